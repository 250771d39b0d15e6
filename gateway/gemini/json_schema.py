"""JSON Schema as Gemini takes it: keywords it does not know go, what they meant stays (translation.md A.3).

The cleaning knows where it is: under `properties` stand names, under `enum`, `const` and `default` data, and neither
is ever taken for a keyword. The client's object is never changed.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any

from gateway.errors import BadRequest

Schema = dict[str, Any]

_DEEPEST = 100
_MOST_NODES = 10_000
"""Schemas in the result: references that are inlined may not explode."""
_TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
_KEPT = frozenset(
    (
        "$id", "$anchor", "title", "description", "default", "minItems", "maxItems", "minimum", "maximum",
        "minLength", "maxLength", "pattern", "uniqueItems", "multipleOf", "minProperties", "maxProperties",
        "propertyOrdering",
    )
)  # fmt: skip
"""Copied as they are; what is neither here nor handled below is left out."""
_TEXT_FORMATS = frozenset({"date-time", "date", "time", "enum"})
_NUMBER_FORMATS = frozenset({"int32", "int64", "float", "double"})
_CONSTRAINTS = ("pattern", "minLength", "maxLength", "uniqueItems", "multipleOf", "default")
_OF_TYPE: dict[str, frozenset[str]] = {
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "number": frozenset({"minimum", "maximum", "multipleOf", "format"}),
    "integer": frozenset({"minimum", "maximum", "multipleOf", "format"}),
    "array": frozenset({"items", "prefixItems", "minItems", "maxItems", "uniqueItems"}),
    "object": frozenset(
        {
            "properties",
            "required",
            "additionalProperties",
            "minProperties",
            "maxProperties",
            "propertyOrdering",
        }
    ),
    "boolean": frozenset(),
    "null": frozenset(),
}
"""Keywords that say something about one type only."""
_OUTER = ("title", "description", "default")
_PYTHON_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "boolean"), (str, "string"), (int, "integer"), (float, "number"), (list, "array"), (dict, "object"),
)  # fmt: skip


def sanitize(schema: Mapping[str, Any], *, tool: bool, ordered: bool = False) -> Schema:
    """A schema for parametersJsonSchema (`tool`) or responseJsonSchema, the same rules for both.

    `ordered` adds propertyOrdering. Raises BadRequest with the place inside the schema.
    """
    del tool  # both fields have been seen to take the same keywords; `strictest` is for a refusal
    return _Cleaner(schema, ordered=ordered).done()


def strictest(schema: Mapping[str, Any]) -> Schema:
    """A cleaned schema once more, with the constraints that some models refuse told in the description."""
    return _Cleaner(schema, in_words=True).done()


class _Cleaner:
    """One schema's cleaning."""

    def __init__(self, root: Mapping[str, Any], *, ordered: bool = False, in_words: bool = False) -> None:
        self._root = root
        self._ordered = ordered
        self._in_words = in_words
        self._nodes = 0
        self._definitions = _definitions(root)
        self._loops = _loops(self._definitions)
        self._used: list[str] = []

    def done(self) -> Schema:
        cleaned = self._clean(self._root, "", 0)
        definitions: Schema = {}
        for name in self._used:  # grows while definitions are cleaned
            definitions[name] = self._clean(self._definitions[name], f"$defs.{name}", 1)
        if definitions:
            cleaned["$defs"] = definitions
        return cleaned

    def _clean(self, schema: object, at: str, depth: int) -> Schema:
        """One schema, at a place such as `properties.a.items`."""
        self._nodes += 1
        if self._nodes > _MOST_NODES:
            raise BadRequest("the schema is too large once its references are inlined")
        if depth > _DEEPEST:
            raise BadRequest(f"{at[:100]}: nested more than {_DEEPEST} levels deep")
        if schema is True:
            return {}
        if not isinstance(schema, Mapping):
            raise BadRequest(f"{at or 'the schema'}: expected a schema, an object")
        if "$ref" in schema:
            return self._reference(schema, at, depth)
        out: Schema = {}
        for key, value in schema.items():
            if key in _KEPT:
                out[key] = copy.deepcopy(value)
            elif key in _HANDLERS:
                _HANDLERS[key](self, out, value, at, depth)
        if "allOf" in schema:
            self._merge_all(out, schema["allOf"], at, depth)
        self._finish(out, schema)
        return out

    def _finish(self, out: Schema, schema: Mapping[str, Any]) -> None:
        """What depends on more than one keyword."""
        if "properties" in out and "type" not in out:
            out["type"] = "object"
        _bounds(out, schema)
        _enumeration(out, schema)
        _format(out, schema)
        if self._in_words:
            _constraints_in_words(out)
        if self._ordered and "properties" in out:
            out["propertyOrdering"] = list(out["properties"])
        types = out.get("type")
        if isinstance(types, list):
            _one_of_types(out, types)
        if schema.get("nullable") is True or out.pop("nullable", False):
            _or_null(out)

    def _reference(self, schema: Mapping[str, Any], at: str, depth: int) -> Schema:
        """A reference: kept where it stands alone, replaced by its target where something stands beside it."""
        ref = schema["$ref"]
        if not isinstance(ref, str):
            raise BadRequest(f"{at or 'the schema'}: $ref must be a text")
        beside = {k: v for k, v in schema.items() if not k.startswith("$") and k != "definitions"}
        name = _name(ref)
        if name is not None and name in self._definitions:
            if beside and name not in self._loops:
                return self._clean({**_object(self._definitions[name]), **beside}, at, depth + 1)
            if name not in self._used:
                self._used.append(name)
            return {"$ref": f"#/$defs/{name}"}
        if ref == "#":
            return {"$ref": "#"}
        target = self._pointed(ref)
        return (
            self._clean({**target, **beside}, at, depth + 1)
            if target is not None
            else self._clean(beside, at, depth)
        )

    def _pointed(self, ref: str) -> Mapping[str, Any] | None:
        """The schema at a JSON pointer, or None for one that leads nowhere, or in a circle."""
        node: Any = self._root
        for step in ref.removeprefix("#/").split("/") if ref.startswith("#/") else ("",):
            step = step.replace("~1", "/").replace("~0", "~")
            if isinstance(node, Mapping):
                node = node.get(step)
            elif isinstance(node, list) and step.isdecimal() and int(step) < len(node):
                node = node[int(step)]
            else:
                return None
        return node if isinstance(node, Mapping) and not _mentions(node, ref) else None

    def _properties(self, out: Schema, value: object, at: str, depth: int) -> None:
        if not isinstance(value, Mapping):
            raise BadRequest(f"{at or 'the schema'}: properties must be an object")
        out["properties"] = {
            name: self._clean(inner, _join(at, f"properties.{name}"), depth + 1)
            for name, inner in value.items()
            if inner is not False
        }

    def _items(self, out: Schema, value: object, at: str, depth: int) -> None:
        if isinstance(value, list):  # how tuples were written before 2020-12
            self._list("prefixItems")(self, out, value, at, depth)
        elif value is not False:
            out["items"] = self._clean(value, _join(at, "items"), depth + 1)

    def _additional(self, out: Schema, value: object, at: str, depth: int) -> None:
        key = "additionalProperties"
        out[key] = value if isinstance(value, bool) else self._clean(value, _join(at, key), depth + 1)

    @staticmethod
    def _list(key: str) -> Callable[["_Cleaner", Schema, object, str, int], None]:
        """For keywords that hold a list of schemas."""

        def handle(self: "_Cleaner", out: Schema, value: object, at: str, depth: int) -> None:
            if not isinstance(value, list):
                raise BadRequest(f"{at or 'the schema'}: {key} must be a list")
            cleaned = [
                self._clean(inner, _join(at, f"{key}[{i}]"), depth + 1)
                for i, inner in enumerate(value)
                if inner is not False
            ]
            if cleaned:
                out[key] = [*out.get(key, ()), *cleaned]

        return handle

    def _type(self, out: Schema, value: object, at: str, _: int) -> None:
        names = [str(name).lower() for name in (value if isinstance(value, list) else [value])]
        known = list(dict.fromkeys(name for name in names if name in _TYPES))
        if known:
            out["type"] = known[0] if len(known) == 1 else known

    def _required(self, out: Schema, value: object, at: str, _: int) -> None:
        if isinstance(value, list):
            out["required"] = [name for name in value if isinstance(name, str)]

    def _merge_all(self, out: Schema, value: object, at: str, depth: int) -> None:
        """allOf: everything of each, the first word counting (translation.md A.3)."""
        if not isinstance(value, list):
            raise BadRequest(f"{at or 'the schema'}: allOf must be a list")
        for i, inner in enumerate(value):
            place = _join(at, f"allOf[{i}]")
            cleaned = self._clean(self._resolved(inner), place, depth + 1)
            for key, found in cleaned.items():
                if key == "properties":
                    out[key] = {**found, **out.get(key, {})}
                elif key == "required":
                    out[key] = list(dict.fromkeys([*out.get(key, ()), *found]))
                else:
                    out.setdefault(key, found)

    def _resolved(self, schema: object) -> object:
        """A reference's target, where that ends."""
        name = (
            _name(schema["$ref"])
            if isinstance(schema, Mapping) and isinstance(schema.get("$ref"), str)
            else None
        )
        if isinstance(schema, Mapping) and name in self._definitions and name not in self._loops:
            return {**_object(self._definitions[name]), **{k: v for k, v in schema.items() if k != "$ref"}}
        return schema


_HANDLERS: dict[str, Callable[[_Cleaner, Schema, object, str, int], None]] = {
    "properties": _Cleaner._properties,  # noqa: SLF001 - its own table
    "items": _Cleaner._items,  # noqa: SLF001
    "additionalProperties": _Cleaner._additional,  # noqa: SLF001
    "prefixItems": _Cleaner._list("prefixItems"),  # noqa: SLF001
    "anyOf": _Cleaner._list("anyOf"),  # noqa: SLF001
    "oneOf": lambda self, out, value, at, depth: _Cleaner._list("anyOf")(self, out, value, at, depth),  # noqa: SLF001
    "type": _Cleaner._type,  # noqa: SLF001
    "required": _Cleaner._required,  # noqa: SLF001
}


def _bounds(out: Schema, schema: Mapping[str, Any]) -> None:
    """exclusiveMinimum and -Maximum, which Gemini does not know."""
    for key, bound, step, word in (
        ("exclusiveMinimum", "minimum", 1, "greater"),
        ("exclusiveMaximum", "maximum", -1, "less"),
    ):
        value = schema.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if out.get("type") == "integer" and isinstance(value, int):
            out.setdefault(bound, value + step)
        else:
            out.setdefault(bound, value)
            _describe(out, f"Must be {word} than {value}.")


def _enumeration(out: Schema, schema: Mapping[str, Any]) -> None:
    """enum and const: no empty texts, and null as a type of its own."""
    if "const" in schema:
        values: list[Any] = [schema["const"]]
    elif isinstance(schema.get("enum"), list):
        values = list(schema["enum"])
    else:
        return
    kept = [copy.deepcopy(value) for value in values if value is not None and value != ""]
    if None in values and not kept:
        out["type"] = "null"
        return
    if kept:
        out["enum"] = kept
        types = list(dict.fromkeys(_type_of(value) for value in kept))
        if "type" not in out and len(types) == 1:
            out["type"] = types[0]
    if None in values and "null" not in (out.get("type") or ()):
        out["nullable"] = True


def _type_of(value: object) -> str:
    return next((name for kind, name in _PYTHON_TYPES if isinstance(value, kind)), "null")


def _format(out: Schema, schema: Mapping[str, Any]) -> None:
    """The few formats that are known; the others are told in words."""
    value = schema.get("format")
    if not isinstance(value, str):
        return
    types = out.get("type", "string")
    numeric = types in ("number", "integer")
    if value in (_NUMBER_FORMATS if numeric else _TEXT_FORMATS):
        out["format"] = value
    elif not numeric:
        _describe(out, f"Format: {value}")


def _constraints_in_words(out: Schema) -> None:
    for key in _CONSTRAINTS:
        if key in out:
            _describe(out, f"Constraint: {key} {out.pop(key)}")


def _describe(out: Schema, words: str) -> None:
    told = out.get("description")
    if not isinstance(told, str) or not told:
        out["description"] = words
    elif words not in told:
        out["description"] = f"{told} ({words})"


def _one_of_types(out: Schema, types: list[str]) -> None:
    """A list of types as alternatives, each with the keywords that are about it."""
    del out["type"]
    inner = {
        key: out.pop(key) for key in list(out) if key not in _OUTER and key not in ("anyOf", "$defs", "$id")
    }
    branches = []
    for name in types:
        branch: Schema = {"type": name}
        for key, value in inner.items():
            if key == "enum":
                values = [
                    v for v in value if _type_of(v) == name or (name == "number" and _type_of(v) == "integer")
                ]
                branch.update({"enum": values} if values else {})
            elif key in _OF_TYPE[name] or not any(key in keys for keys in _OF_TYPE.values()):
                branch[key] = value
        branches.append(branch)
    out["anyOf"] = [*branches, *out.get("anyOf", ())]


def _or_null(out: Schema) -> None:
    """nullable, as an alternative."""
    alternatives = out.get("anyOf")
    if isinstance(alternatives, list) and len(out.keys() - set(_OUTER)) == 1:
        if {"type": "null"} not in alternatives:
            alternatives.append({"type": "null"})
        return
    inner = {key: out.pop(key) for key in list(out) if key not in _OUTER and key not in ("$defs", "$id")}
    if inner.get("type") != "null":
        out["anyOf"] = [inner, {"type": "null"}] if inner else [{"type": "null"}]
    else:
        out.update(inner)


def _definitions(root: Mapping[str, Any]) -> dict[str, Any]:
    """The root's definitions by name, under either of their two keys."""
    found: dict[str, Any] = {}
    for key in ("definitions", "$defs"):
        if isinstance(root.get(key), Mapping):
            found.update(root[key])
    return found


def _name(ref: str) -> str | None:
    for prefix in ("#/$defs/", "#/definitions/"):
        if ref.startswith(prefix):
            return ref.removeprefix(prefix).replace("~1", "/").replace("~0", "~")
    return None


def _object(schema: object) -> Mapping[str, Any]:
    return schema if isinstance(schema, Mapping) else {}


def _references(node: object) -> set[str]:
    """Every $ref below a node."""
    found: set[str] = set()
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            if isinstance(one.get("$ref"), str):
                found.add(one["$ref"])
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return found


def _mentions(node: object, ref: str) -> bool:
    """Whether inlining would go on for ever: the target points at itself, or out of itself by other pointers."""
    found = _references(node)
    return ref in found or any(_name(other) is None and other != "#" for other in found)


def _loops(definitions: Mapping[str, Any]) -> set[str]:
    """Names of definitions that come back to themselves."""
    edges = {
        name: {
            found for ref in _references(schema) if (found := _name(ref)) is not None and found in definitions
        }
        for name, schema in definitions.items()
    }
    looping = set()
    for name in edges:
        seen: set[Any] = set()
        waiting = list(edges[name])
        while waiting:
            one = waiting.pop()
            if one not in seen:
                seen.add(one)
                waiting += edges[one]
        if name in seen:
            looping.add(name)
    return looping


def _join(at: str, step: str) -> str:
    return f"{at}.{step}" if at else step
