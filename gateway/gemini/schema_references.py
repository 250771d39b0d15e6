"""References of a JSON Schema (`$ref`): definitions by name, JSON pointers, and circles among them."""

from collections.abc import Mapping
from typing import Any

_PREFIXES = ("#/$defs/", "#/definitions/")


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
    """Return the schema at a JSON pointer (RFC 6901), or None where there is none that may be inlined."""
    node: Any = root
    for step in ref.removeprefix("#/").split("/") if ref.startswith("#/") else ("",):
        name = _unescaped(step)
        if isinstance(node, Mapping):
            node = node.get(name)
        elif isinstance(node, list) and name.isdecimal() and int(name) < len(node):
            node = node[int(name)]
        else:
            return None
    return node if isinstance(node, Mapping) and not _never_ends(node, ref) else None


def recursive_definitions(definitions: Mapping[str, Any]) -> set[str]:
    """Return the names of definitions that refer to themselves, directly or through others."""
    edges = {
        name: {
            other
            for ref in _references(schema)
            if (other := definition_name(ref)) is not None and other in definitions
        }
        for name, schema in definitions.items()
    }
    return {name for name in edges if name in _reachable(name, edges)}


def _reachable(start: str, edges: Mapping[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = list(edges[start])
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += edges[name]
    return seen


def _references(schema: object) -> set[str]:
    """Return every `$ref` inside a schema."""
    result: set[str] = set()
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Mapping):
            if isinstance(node.get("$ref"), str):
                result.add(node["$ref"])
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
    return result


def _never_ends(target: object, ref: str) -> bool:
    """Return whether inlining may not end.

    It may not if the target contains `ref`, or a reference that is neither a definition's name nor `#`.
    """
    refs = _references(target)
    return ref in refs or any(definition_name(other) is None and other != "#" for other in refs)


def _unescaped(step: str) -> str:
    """Return a step of a JSON pointer as a key (RFC 6901, section 4)."""
    return step.replace("~1", "/").replace("~0", "~")
