"""Bodies of any size from genes: places of a good body that are filled until the body is as large as wanted."""

import copy
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tests.support.hostile import paths

Path = tuple[Any, ...]
FILLERS = 12
"""Different ways to fill a place. Which one a number means depends on the kind of the place."""
TEXTS: list[Callable[[int], str]] = [
    lambda n: "x" * n,
    lambda n: "\n" * n,
    lambda n: '"[{,:\\' * (n // 6),
    lambda n: "é😀" * (n // 2),
    lambda n: "a.[2]" * (n // 5),
    lambda n: "data:image/png," + "%41" * (n // 3),
    lambda n: "data:" + ";a" * (n // 2),
    lambda n: "data:image/png;base64," + "iVBO\n" * (n // 5),
    lambda n: '{"a":[' + "{}," * (n // 3) + "{}]}",
    lambda n: "[" * (n // 2) + "]" * (n // 2),
    lambda n: "1" * n,
    lambda n: "aB_" * (n // 3),
]
SCHEMAS: list[Callable[[int], dict[str, Any]]] = [
    lambda n: {"type": "object", "properties": {f"p{i}": {} for i in range(n)}},
    lambda n: {"x": {"a": [1] * n}, "properties": {f"p{i}": {"$ref": "#/x"} for i in range(n)}},
    lambda n: {"$defs": {f"D{i}": {"items": {"$ref": f"#/$defs/D{i + 1}"}} for i in range(n)}, "$ref": "#/$defs/D0"},
    lambda n: {"$defs": {f"D{i}": {"anyOf": [{"$ref": f"#/$defs/D{i + 1}", "title": t} for t in "ab"]} for i in range(n)},
               "properties": {"a": {"$ref": "#/$defs/D0"}}},
    lambda n: {"$defs": {"X": {f"k{i}": 1 for i in range(n)}},
               "properties": {f"p{i}": {"$ref": "#/$defs/X", "title": ""} for i in range(n)}},
    lambda n: {"allOf": [{"properties": {f"p{i}": {}}, "required": [f"p{i}"]} for i in range(n)]},
    lambda n: {"$defs": {"X": {"properties": {f"k{i}": {} for i in range(n)}}}, "allOf": [{"$ref": "#/$defs/X"}] * n},
    lambda n: {"properties": {"x" * n * 8: {"properties": {f"p{i}": {} for i in range(n)}}}},
    lambda n: {"type": "object", "enum": list(range(n * 4))},
    lambda n: {"anyOf": [{"type": ["string", "null", "integer"], "enum": ["a", None, 1], "format": "x"}] * n},
    lambda n: {"x": [{"x": [{"x": [1] * n}]}], "properties": {f"p{i}": {"$ref": "#/x/0" + "/x/0" * (i % 2)} for i in range(n)}},
    lambda n: {"properties": {f"p{i}": {"$ref": "#/" + "a/" * 20} for i in range(n)}},
]  # fmt: skip
SCHEMA_NAMES = ("parameters", "schema", "input_schema")


class Gene(msgspec.Struct, frozen=True):
    """One place that is filled, and how."""

    path: Path
    filler: int

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.path))} #{self.filler}"


def places(good: dict[str, Any]) -> list[Path]:
    """Return the places of a body that can be filled: lists, objects and texts."""
    return sorted((path for path in paths(good) if isinstance(_at(good, path), list | dict | str)), key=str)


def build(good: dict[str, Any], genes: Sequence[Gene], size: int, steps: int = 32) -> bytes:
    """Return the largest body with these genes whose JSON is not larger than `size`, as near as so many steps get."""

    def encoded(count: int) -> bytes:
        return json.dumps(_filled(good, genes, count), separators=(",", ":")).encode()

    count, best = 1, json.dumps(good).encode()
    while count <= size and len(data := encoded(count)) <= size:  # genes inside each other multiply
        count, best = 2 * count, data
    low, high = count // 2 + 1, count - 1
    while low <= high and (steps := steps - 1) > 0:
        count = (low + high) // 2
        if len(data := encoded(count)) <= size:
            low, best = count + 1, data
        else:
            high = count - 1
    return best


def child(
    parents: Sequence[tuple[Gene, ...]], spots: Sequence[Path], rolls: random.Random
) -> tuple[Gene, ...]:
    """Return genes of two parents, one of them changed."""
    genes = list({gene for parent in rolls.sample(list(parents), 2) for gene in parent})
    rolls.shuffle(genes)
    return tuple([Gene(rolls.choice(spots), rolls.randrange(FILLERS)), *genes][: rolls.randint(1, 3)])


def _at(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value


def _filled(good: dict[str, Any], genes: Sequence[Gene], count: int) -> dict[str, Any]:
    body = copy.deepcopy(good)
    for gene in genes:
        try:
            around = _at(body, gene.path[:-1])
            around[gene.path[-1]] = _fill(around[gene.path[-1]], gene, count)
        except (KeyError, IndexError, TypeError):  # another gene has replaced the place
            continue
    return body


def _fill(value: Any, gene: Gene, count: int) -> Any:
    if gene.path[-1] in SCHEMA_NAMES and isinstance(value, dict):
        return SCHEMAS[gene.filler](count)
    if isinstance(value, str):
        return TEXTS[gene.filler](count)
    if isinstance(value, list):
        items = value or ["x"]
        kind, item = gene.filler % 3, items[gene.filler // 3 % len(items)]
        if kind == 0:
            return [item] * count
        if kind == 1:
            return [_numbered(item, i) for i in range(count)]
        return [items[i % len(items)] for i in range(count)]
    if isinstance(value, dict):
        inner: Any = [1, {}, [], "x", {"$ref": "#"}, next(iter(value.values()), None)][gene.filler % 6]
        prefix = "k" if gene.filler < 6 else "aB"
        return {**value, **{f"{prefix}{i}": inner for i in range(count)}}
    return value


def _numbered(value: Any, number: int) -> Any:
    """Return a copy whose ids and names are its own."""
    if isinstance(value, dict):
        return {
            key: f"{inner}{number}" if key in ("id", "call_id", "name", "tool_call_id") and isinstance(inner, str)
            else _numbered(inner, number)
            for key, inner in value.items()
        }  # fmt: skip
    return [_numbered(inner, number) for inner in value] if isinstance(value, list) else value
