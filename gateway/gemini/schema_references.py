"""References of a JSON Schema (`$ref`): definitions by name, JSON pointers, circles among them, and their size.

A few references can make a schema of any size: 21 definitions that name the next one twice are 2 million schemas once
they are inlined. So every target that is inlined is weighed, once, and charged to the budget of its request.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.errors import BadRequest

MOST_INLINED = 50_000
"""Values that the references of one request's schemas may bring; 64 characters of text count as one more."""
LIGHT_INLINED = 2_000
"""Values that may be inlined on the event loop, which takes about 10 ms."""
_PREFIXES = ("#/$defs/", "#/definitions/")
_CHARACTERS = 6
"""log2 of the characters that count as one value."""
_LONGEST_INDEX = 9
"""Digits of an array index."""


class SchemaTooLarge(BadRequest):
    """A schema that is too large once its references are inlined; `param` is its path."""

    def __init__(self, param: str, most: int = MOST_INLINED, what: str = "values") -> None:
        super().__init__(
            f"Invalid '{param}': more than {most} {what} once its references are inlined.", param=param
        )
        self._detail = most, what

    def at(self, param: str) -> "SchemaTooLarge":
        """Return the same error for the schema's path in another request."""
        return SchemaTooLarge(param, *self._detail)


class InlineBudget:
    """The values that the references of one request's schemas may still bring."""

    def __init__(self, most: int = MOST_INLINED) -> None:
        self._left = self._most = most

    def spend(self, values: int, param: str) -> None:
        """Charge values to the budget. Raises SchemaTooLarge with `param` when it is spent."""
        self._left -= values
        if self._left < 0:
            raise SchemaTooLarge(param, self._most)


class References:
    """The references of one schema, whose path in the client's request is `param`."""

    def __init__(self, root: Mapping[str, Any], param: str, budget: InlineBudget) -> None:
        self._root = root
        self._param = param
        self._budget = budget
        self.definitions = definitions_of(root)
        self.recursive = recursive_definitions(self.definitions)
        """Names of definitions that refer to themselves."""
        self._pointed: dict[str, Mapping[str, Any] | None] = {}
        self._weighed: dict[int, tuple[object, int, set[str]]] = {}
        """By the target's id: the target, its values, and the references inside."""

    def pointed(self, ref: str) -> Mapping[str, Any] | None:
        """Return the schema at a JSON pointer, or None where there is none that may be inlined.

        It may not if the target contains `ref`, or a reference that is neither a definition's name nor `#`: inlining
        them may not end.
        """
        if ref not in self._pointed:
            self._pointed[ref] = self._inlinable(ref)
        return self._pointed[ref]

    def inline(self, target: object) -> Mapping[str, Any]:
        """Return a target that is inlined now. Raises SchemaTooLarge when the request has inlined too much."""
        self._budget.spend(self._weigh(target)[0], self._param)
        return target if isinstance(target, Mapping) else {}

    def _inlinable(self, ref: str) -> Mapping[str, Any] | None:
        target = pointed_schema(self._root, ref)
        if target is None:
            return None
        if id(target) not in self._weighed:  # targets may lie in one another, so the walk is charged as well
            self._budget.spend(self._weigh(target)[0], self._param)
        refs = self._weigh(target)[1]
        never_ends = ref in refs or any(definition_name(other) is None and other != "#" for other in refs)
        return None if never_ends else target

    def _weigh(self, target: object) -> tuple[int, set[str]]:
        known = self._weighed.get(id(target))
        if known is None:
            known = self._weighed[id(target)] = (target, *_weight(target))
        return known[1:]


def definitions_of(root: Mapping[str, Any]) -> dict[str, Any]:
    """Return the definitions by name, from `$defs` and from `definitions`, its name before draft 2019-09."""
    result: dict[str, Any] = {}
    for key in ("definitions", "$defs"):
        if isinstance(root.get(key), Mapping):
            result.update(root[key])
    return result


def definition_name(ref: str) -> str | None:
    """Return the name of the definition that a reference means, or None for any other pointer."""
    for prefix in _PREFIXES:
        if ref.startswith(prefix):
            return _unescaped(ref.removeprefix(prefix))
    return None


def pointed_schema(root: Mapping[str, Any], ref: str) -> Mapping[str, Any] | None:
    """Return the schema at a JSON pointer (RFC 6901), or None where there is none."""
    node: Any = root
    for step in ref.removeprefix("#/").split("/") if ref.startswith("#/") else ("",):
        name = _unescaped(step)
        if isinstance(node, Mapping):
            node = node.get(name)
        elif isinstance(node, list) and _is_index(name) and int(name) < len(node):
            node = node[int(name)]
        else:
            return None
    return node if isinstance(node, Mapping) else None


def recursive_definitions(definitions: Mapping[str, Any]) -> set[str]:
    """Return the names of definitions that refer to themselves, directly or through others.

    They are the members of strongly connected components, and the names that name themselves. Tarjan's algorithm
    ("Depth-first search and linear graph algorithms", 1972) finds them in time linear in names and references.
    """
    edges = {
        name: {
            other
            for ref in _weight(schema)[1]
            if (other := definition_name(ref)) is not None and other in definitions
        }
        for name, schema in definitions.items()
    }
    result = {name for name, others in edges.items() if name in others}
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    component: dict[str, None] = {}
    """The names whose component is not complete, in the order of their numbers."""
    for start in edges:
        path: list[tuple[str, Iterator[str]]] = []
        waiting: str | None = start if start not in number else None
        while waiting is not None or path:
            if waiting is not None:
                number[waiting] = lowest[waiting] = len(number)
                component[waiting] = None
                path.append((waiting, iter(edges[waiting])))
            name, others = path[-1]
            waiting = None
            for other in others:
                if other not in number:
                    waiting = other
                    break
                if other in component:
                    lowest[name] = min(lowest[name], number[other])
            if waiting is None:
                path.pop()
                if path:
                    above = path[-1][0]
                    lowest[above] = min(lowest[above], lowest[name])
                if lowest[name] == number[name]:
                    members = _popped(component, name)
                    result.update(members if len(members) > 1 else ())
    return result


def _popped(names: dict[str, None], first: str) -> list[str]:
    """Remove the names from `first` to the end, and return them."""
    removed: list[str] = []
    while not removed or removed[-1] != first:
        removed.append(names.popitem()[0])
    return removed


def _weight(schema: object) -> tuple[int, set[str]]:
    """Return the size of a schema in values, and every `$ref` inside."""
    weight = 0
    refs: set[str] = set()
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        weight += 1
        if isinstance(node, str):
            weight += len(node) >> _CHARACTERS
        elif isinstance(node, Mapping):
            if isinstance(node.get("$ref"), str):
                refs.add(node["$ref"])
            weight += sum(map(len, node)) >> _CHARACTERS
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
    return weight, refs


def _is_index(name: str) -> bool:
    return len(name) <= _LONGEST_INDEX and name.isascii() and name.isdigit()


def _unescaped(step: str) -> str:
    """Return a step of a JSON pointer as a key (RFC 6901, section 4)."""
    return step.replace("~1", "/").replace("~0", "~")
