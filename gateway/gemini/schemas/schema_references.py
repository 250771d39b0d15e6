"""References of a JSON Schema (`$ref`): what they mean, circles among them, and their size.

A few references can make a schema of any size: 21 definitions that name the next one twice are 2 million schemas once
they are inlined. So every target that is inlined is weighed, once, and charged to the budget of its request.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, TypeVar

from msgspec import Struct

from gateway.errors import BadRequest
from gateway.gemini.schemas.schema_places import SchemaPlaces, definitions_of

MOST_INLINED = 50_000
"""Values that the references of one request's schemas may bring; 64 characters of text count as one more."""
LIGHT_INLINED = 2_000
"""Values that may be inlined on the event loop, which takes about 10 ms."""
_CHARACTERS = 6
"""log2 of the characters that count as one value."""
Key = TypeVar("Key")


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
        self.left = self._most = most

    def spend(self, values: int, param: str) -> None:
        """Charge values to the budget. Raises SchemaTooLarge with `param` when it is spent."""
        self.left -= values
        if self.left < 0:
            raise SchemaTooLarge(param, self._most)


class Target(Struct, frozen=True):
    """A schema that a reference means."""

    schema: Mapping[str, Any]
    name: str
    """Its name among the definitions that are sent; empty for the whole schema."""
    place: str
    """Its place in the client's schema, such as `$defs.A`."""
    defined: bool
    """It is a definition, not any other place of the schema."""
    recursive: bool
    """It refers to itself, directly or through others."""


class References:
    """The references of one schema, whose path in the client's request is `param`."""

    def __init__(self, root: Mapping[str, Any], param: str, budget: InlineBudget) -> None:
        self._root = root
        self._param = param
        self._budget = budget
        self.definitions = definitions_of(root)
        """The definitions beside the whole schema."""
        self._targets: dict[int, Target] | None = None
        """By the id of a schema with a reference; made when the first is met."""
        self._weights: dict[int, tuple[object, int]] = {}
        """By a target's id: the target, and its values."""

    def resolve(self, schema: Mapping[str, Any]) -> tuple[Target | None, dict[str, Any]]:
        """Return the schema that a reference finally means, and the keywords beside it and on the way there.

        None stands for a reference that means nothing, or only itself. Raises SchemaTooLarge.
        """
        if self._targets is None:
            self._targets = self._all_targets()
        beside = _siblings(schema)
        target = self._targets.get(id(schema))
        seen: set[str] = set()
        while target is not None and isinstance(target.schema.get("$ref"), str):
            if target.name in seen:
                return None, beside
            seen.add(target.name)
            self._budget.spend(1, self._param)
            beside = {**_siblings(target.schema), **beside}
            target = self._targets.get(id(target.schema))
        return target, beside

    def inline(self, target: object) -> Mapping[str, Any]:
        """Return a target that is inlined now. Raises SchemaTooLarge when the request has inlined too much."""
        known = self._weights.get(id(target))
        if known is None:
            known = self._weights[id(target)] = (target, _weight(target)[0])
        self._budget.spend(known[1], self._param)
        return target if isinstance(target, Mapping) else {}

    def _all_targets(self) -> dict[int, Target]:
        """Return the target of each schema with a reference, by the schema's id."""
        places = SchemaPlaces(self._root)
        edges: dict[int, set[int]] = {}
        named: dict[int, Mapping[str, Any]] = {}
        """By the id of a schema with a reference."""
        for schema, scope in places.references:
            target = places.find(schema["$ref"], scope)
            if target is not None:
                named[id(schema)] = target
        schemas = {id(schema): schema for schema in named.values()}
        for key, schema in schemas.items():
            if schema is self._root:  # a reference to it is never inlined twice
                continue
            weight, inner = _weight(schema)
            self._weights[key] = schema, weight
            if not places.is_outer(schema):  # targets may lie in one another, so the walk is charged
                self._budget.spend(weight, self._param)
            within = {id(named[id(reference)]) for reference in inner if id(reference) in named}
            edges[key] = within - {id(self._root)}
        circles = circular(edges)
        targets: dict[int, Target] = {}
        for key, schema in schemas.items():
            name, defined = places.name(schema)
            targets[key] = Target(schema, name, places.place(schema), defined, not name or key in circles)
        return {key: targets[id(schema)] for key, schema in named.items()}


def circular(edges: Mapping[Key, Collection[Key]]) -> set[Key]:
    """Return the nodes of a graph that lead to themselves, directly or through others.

    They are the members of strongly connected components, and the nodes with an edge to themselves. Tarjan's algorithm
    ("Depth-first search and linear graph algorithms", 1972) finds them in time linear in nodes and edges.
    """
    result = {node for node, others in edges.items() if node in others}
    number: dict[Key, int] = {}
    lowest: dict[Key, int] = {}
    component: dict[Key, None] = {}
    """The nodes whose component is not complete, in the order of their numbers."""
    for start in edges:
        path: list[tuple[Key, Iterator[Key]]] = []
        waiting: Key | None = start if start not in number else None
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


def _popped(names: dict[Key, None], first: Key) -> list[Key]:
    """Remove the nodes from `first` to the end, and return them."""
    removed: list[Key] = []
    while not removed or removed[-1] != first:
        removed.append(names.popitem()[0])
    return removed


def _weight(schema: object) -> tuple[int, list[Mapping[str, Any]]]:
    """Return the size of a schema in values, and every schema inside with a reference."""
    weight = 0
    references: list[Mapping[str, Any]] = []
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        weight += 1
        if isinstance(node, str):
            weight += len(node) >> _CHARACTERS
        elif isinstance(node, Mapping):
            if isinstance(node.get("$ref"), str):
                references.append(node)
            weight += sum(map(len, node)) >> _CHARACTERS
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
    return weight, references


def _siblings(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords beside a reference that say something."""
    return {key: value for key, value in schema.items() if not key.startswith("$") and key != "definitions"}
