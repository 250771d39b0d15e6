"""Places of a JSON Schema: which schema a reference names (https://json-schema.org/draft/2020-12/json-schema-core#section-8).

Tools come from many generators. Some lay a model's schema into a property with its definitions, whose references then
start at the wrong root, or name a definition by an address that is not in the schema. Such a reference means the
nearest definition of its name.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

_PREFIXES = ("#/$defs/", "#/definitions/")
_DEFINITIONS = ("definitions", "$defs")
_ANCHORS = ("$anchor", "$dynamicAnchor")
_LONGEST_INDEX = 9
"""Digits of an array index."""
_LONGEST_NAME = 64
LONGEST_PLACE = 100
"""Characters of a place inside a schema that an error repeats."""
_BAD_CHARACTER = re.compile(r"[^A-Za-z0-9_.-]")
_ANYTHING: Mapping[str, Any] = {}
"""The schema `true`."""

Scope = tuple[Mapping[str, Any], ...]
"""Definitions around a schema, the nearest last."""


class SchemaPlaces:
    """The references of a schema, and what they name."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self.references: list[tuple[Mapping[str, Any], Scope]] = []
        """Each schema with a reference, and the definitions around it."""
        self._ids: dict[str, Mapping[str, Any]] = {}
        self._anchors: dict[str, Mapping[str, Any]] = {}
        self._definitions: dict[str, Mapping[str, Any]] = {}
        """The first definition of each name, wherever it stands."""
        self._defined: dict[int, str] = {}
        """The names of definitions by their schema's id."""
        self._places: dict[int, str] = {}
        """The places of definitions, and of what pointers name, by their schema's id."""
        self._outer: set[int] = set()
        self._names: dict[int, str] = {}
        self._taken: set[str] = set()
        self._pointed: dict[tuple[int, str], Mapping[str, Any] | None] = {}
        self._walk()

    def find(self, ref: str, scope: Scope) -> Mapping[str, Any] | None:
        """Return the schema that a reference names, or None."""
        base, _, fragment = ref.partition("#")
        start = self._ids.get(base) if base else self._root
        if "%" in fragment:
            fragment = unquote(fragment)
        if start is not None:
            exact = self._exact(start, fragment)
            if exact is not None:
                return exact
        name = unescaped((fragment or base).rpartition("/")[2])
        for definitions in reversed(scope):
            if name in definitions and (schema := _schema(definitions[name])) is not None:
                return schema
        return self._definitions.get(name)

    def name(self, schema: Mapping[str, Any]) -> tuple[str, bool]:
        """Return a name for a schema that no other has, and whether it is a definition. The whole has an empty name."""
        if schema is self._root:
            return "", False
        own = self._defined.get(id(schema))
        known = self._names.get(id(schema))
        if known is None:
            stem = _BAD_CHARACTER.sub("_", (own or "schema")[:_LONGEST_NAME])
            known, number = stem, 1
            while known in self._taken:
                number += 1
                known = f"{stem}_{number}"
            self._taken.add(known)
            self._names[id(schema)] = known
        return known, own is not None

    def is_outer(self, schema: Mapping[str, Any]) -> bool:
        """Return whether a schema is a definition beside the whole one. Those do not lie in one another."""
        return id(schema) in self._outer

    def _exact(self, start: Mapping[str, Any], fragment: str) -> Mapping[str, Any] | None:
        if not fragment:
            return start
        if not fragment.startswith("/"):
            return self._anchors.get(fragment)
        key = id(start), fragment
        if key not in self._pointed:
            schema = self._pointed[key] = pointed_schema(start, f"#{fragment}")
            if schema is not None and start is self._root:
                self._places.setdefault(id(schema), _place(fragment))
        return self._pointed[key]

    def place(self, schema: Mapping[str, Any]) -> str:
        """Return a schema's place such as `$defs.A`, or the empty one of the whole where it is not known."""
        return self._places.get(id(schema), "")

    def _walk(self) -> None:
        """Note every reference, definition, anchor and id."""
        waiting: list[tuple[Any, Scope, str]] = [(self._root, (), "")]
        while waiting:
            node, scope, at = waiting.pop()
            if isinstance(node, Mapping):
                for key in _DEFINITIONS:
                    if isinstance(node.get(key), Mapping):
                        scope = (*scope, node[key])
                        self._note_definitions(node[key], below(at, key), outer=node is self._root)
                if isinstance(node.get("$ref"), str):
                    self.references.append((node, scope))
                self._note_names(node)
                children = ((child, below(at, name)) for name, child in node.items())
            else:
                children = ((child, at_index(at, i)) for i, child in enumerate(node))
            waiting += [(child, scope, place) for child, place in children if isinstance(child, dict | list)]

    def _note_definitions(self, definitions: Mapping[str, Any], at: str, *, outer: bool) -> None:
        for name, value in definitions.items():
            schema = _schema(value)
            if schema is None:
                continue
            self._definitions.setdefault(name, schema)
            self._defined[id(schema)] = name
            self._places[id(schema)] = below(at, name)
            if outer:
                self._outer.add(id(schema))

    def _note_names(self, node: Mapping[str, Any]) -> None:
        for key in _ANCHORS:
            if isinstance(node.get(key), str):
                self._anchors.setdefault(node[key], node)
        own = node.get("$id")
        if isinstance(own, str):
            self._ids.setdefault(own.removesuffix("#"), node)
            if own.startswith("#"):  # drafts before 2019-09
                self._anchors.setdefault(own[1:], node)


def _schema(value: object) -> Mapping[str, Any] | None:
    """Return a schema as an object, or None for what is no schema, or takes nothing."""
    return _ANYTHING if value is True else value if isinstance(value, Mapping) else None


def join(at: str, step: str) -> str:
    return f"{at}.{step}" if at and step else at or step


def below(at: str, name: str) -> str:
    """Return the place of a name. No place is much longer than an error repeats: long names may lie in one another."""
    return at if len(at) > LONGEST_PLACE else join(at, name[:LONGEST_PLACE])


def at_index(at: str, i: int) -> str:
    return at if len(at) > LONGEST_PLACE else f"{at}[{i}]"


def _place(fragment: str) -> str:
    """Return a JSON pointer's place as an error writes it."""
    at = ""
    for step in fragment.split("/")[1:]:
        at = at_index(at, int(step)) if _is_index(step) else below(at, unescaped(step))
    return at


def definitions_of(root: Mapping[str, Any]) -> dict[str, Any]:
    """Return the definitions by name, from `$defs` and from `definitions`, its name before draft 2019-09."""
    result: dict[str, Any] = {}
    for key in _DEFINITIONS:
        if isinstance(root.get(key), Mapping):
            result.update(root[key])
    return result


def definition_name(ref: str) -> str | None:
    """Return the name of the definition that a reference means, or None for any other pointer."""
    for prefix in _PREFIXES:
        if ref.startswith(prefix):
            return unescaped(ref.removeprefix(prefix))
    return None


def pointed_schema(root: Mapping[str, Any], ref: str) -> Mapping[str, Any] | None:
    """Return the schema at a JSON pointer (RFC 6901), or None where there is none."""
    node: Any = root
    for step in ref.removeprefix("#/").split("/") if ref.startswith("#/") else ("",):
        name = unescaped(step)
        if isinstance(node, Mapping):
            node = node.get(name)
        elif isinstance(node, list) and _is_index(name) and int(name) < len(node):
            node = node[int(name)]
        else:
            return None
    return node if isinstance(node, Mapping) else None


def _is_index(name: str) -> bool:
    return len(name) <= _LONGEST_INDEX and name.isascii() and name.isdigit()


def unescaped(step: str) -> str:
    """Return a step of a JSON pointer as a key (RFC 6901, section 4)."""
    return step.replace("~1", "/").replace("~0", "~")
