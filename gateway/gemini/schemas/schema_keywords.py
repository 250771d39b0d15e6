"""Keywords of a JSON Schema that Gemini takes in another form: types, bounds, enums, formats and null.

Each function changes a schema that is being made, never the client's.
"""

from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]

_TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
_TEXT_FORMATS = frozenset({"date-time", "date", "time", "enum"})
_NUMBER_FORMATS = frozenset({"int32", "int64", "float", "double"})
_CONSTRAINTS = ("pattern", "minLength", "maxLength", "uniqueItems", "multipleOf", "default")
_NUMBER_KEYWORDS = frozenset({"minimum", "maximum", "multipleOf", "format"})
_OF_TYPE: dict[str, frozenset[str]] = {
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "number": _NUMBER_KEYWORDS,
    "integer": _NUMBER_KEYWORDS,
    "array": frozenset({"items", "prefixItems", "minItems", "maxItems", "uniqueItems"}),
    "object": frozenset(
        (
            "properties", "required", "additionalProperties", "minProperties", "maxProperties", "propertyOrdering",
        )
    ),
    "boolean": frozenset(),
    "null": frozenset(),
}  # fmt: skip
"""Keywords that concern values of one type only."""
OUTER = ("title", "description", "default")
"""Keywords that stay beside `anyOf` when the rest of a schema moves into its branches."""
_PYTHON_TYPES: Mapping[type, str] = {
    bool: "boolean", str: "string", int: "integer", float: "number", list: "array", dict: "object",
}  # fmt: skip


def add_type(out: Schema, value: object) -> None:
    """Add the known types, in lower case."""
    names = [str(name).lower() for name in (value if isinstance(value, list) else [value])]
    known = list(dict.fromkeys(name for name in names if name in _TYPES))
    if known:
        out["type"] = known[0] if len(known) == 1 else known


def add_bounds(out: Schema, schema: Mapping[str, Any]) -> None:
    """Replace exclusiveMinimum and exclusiveMaximum, which Gemini does not know, by the inclusive bound."""
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


def add_enum(out: Schema, schema: Mapping[str, Any]) -> None:
    """Add enum or const as enum, without empty strings, which Gemini refuses; null becomes a type of its own."""
    if "const" in schema:
        values: list[Any] = [schema["const"]]
    elif isinstance(schema.get("enum"), list):
        values = list(schema["enum"])
    else:
        return
    kept = [value for value in values if value is not None and value != ""]
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
    return _PYTHON_TYPES.get(type(value), "null")


def add_format(out: Schema, schema: Mapping[str, Any]) -> None:
    """Add a format that Gemini knows; one of a string that it does not know becomes part of the description."""
    value = schema.get("format")
    if not isinstance(value, str):
        return
    numeric = out.get("type", "string") in ("number", "integer")
    if value in (_NUMBER_FORMATS if numeric else _TEXT_FORMATS):
        out["format"] = value
    elif not numeric:
        _describe(out, f"Format: {value}")


def constraints_in_words(out: Schema) -> None:
    for key in _CONSTRAINTS:
        if key in out:
            _describe(out, f"Constraint: {key} {out.pop(key)}")


def _describe(out: Schema, words: str) -> None:
    """Add words to the description, once."""
    description = out.get("description")
    if not isinstance(description, str) or not description:
        out["description"] = words
    elif words not in description:
        out["description"] = f"{description} ({words})"


def one_of_types(out: Schema, types: list[str]) -> None:
    """Replace a list of types by anyOf, each branch with the keywords that concern its type."""
    del out["type"]
    inner = {
        key: out.pop(key) for key in list(out) if key not in OUTER and key not in ("anyOf", "$defs", "$id")
    }
    out["anyOf"] = [*(_branch(name, inner) for name in types), *out.get("anyOf", ())]


def _branch(name: str, keywords: Schema) -> Schema:
    branch: Schema = {"type": name}
    for key, value in keywords.items():
        if key == "enum":
            values = [v for v in value if _type_of(v) in (name, "integer" if name == "number" else name)]
            branch.update({"enum": values} if values else {})
        elif key in _OF_TYPE[name] or not any(key in keys for keys in _OF_TYPE.values()):
            branch[key] = value
    return branch


def or_null(out: Schema) -> None:
    """Add null as an alternative."""
    alternatives = out.get("anyOf")
    if isinstance(alternatives, list) and len(out.keys() - set(OUTER)) == 1:
        if {"type": "null"} not in alternatives:
            alternatives.append({"type": "null"})
        return
    inner = {key: out.pop(key) for key in list(out) if key not in OUTER and key not in ("$defs", "$id")}
    if inner.get("type") != "null":
        out["anyOf"] = [inner, {"type": "null"}] if inner else [{"type": "null"}]
    else:
        out.update(inner)
