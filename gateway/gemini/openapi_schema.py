"""JSON Schema as Gemini's older Schema, for models that refuse `parametersJsonSchema` or `responseJsonSchema`.

The older fields `parameters` and `responseSchema` take a part of OpenAPI 3.0 (https://ai.google.dev/api/caching#Schema).
"""

import re
from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]
Definitions = Mapping[str, Any]

_KEPT = frozenset(
    (
        "default", "description", "example", "maxItems", "maxLength", "maxProperties", "maximum", "minItems",
        "minLength", "minProperties", "minimum", "pattern", "propertyOrdering", "title",
    )
)  # fmt: skip
_FORMATS = {
    "STRING": {"enum", "date-time"},
    "NUMBER": {"float", "double"},
    "INTEGER": {"int32", "int64"},
}
_DEEPEST = 100
_REF = re.compile(r"#/(?:\$defs|definitions)/(.+)")


def classic(schema: Mapping[str, Any]) -> Schema:
    """Return the nearest older Schema; keywords without an equivalent are left out."""
    definitions = schema.get("$defs")
    return _convert(schema, definitions if isinstance(definitions, Mapping) else {}, ())


def _convert(schema: Mapping[str, Any], definitions: Definitions, above: tuple[str, ...]) -> Schema:
    """Return one converted schema; `above` names the definitions around it, so that a circle ends as an object."""
    ref = schema.get("$ref")
    if isinstance(ref, str):
        match = _REF.fullmatch(ref)
        name = match[1] if match else ""
        target = definitions.get(name)
        if name in above or not isinstance(target, Mapping) or len(above) > _DEEPEST:
            return {"type": "OBJECT", "description": f"A {name or 'value'} as above"}
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        return _convert({**target, **beside}, definitions, (*above, name))
    out = {key: value for key, value in schema.items() if key in _KEPT}
    _add_alternatives(out, schema, definitions, above)
    _add_type(out, schema)
    _add_enum(out, schema)
    _add_properties(out, schema, definitions, above)
    _add_items(out, schema, definitions, above)
    if schema.get("format") in _FORMATS.get(out.get("type", ""), ()):
        out.setdefault("format", schema["format"])
    return out


def _add_alternatives(
    out: Schema, schema: Mapping[str, Any], definitions: Definitions, above: tuple[str, ...]
) -> None:
    """Add anyOf without null, which becomes a flag; a single alternative replaces anyOf."""
    branches = schema.get("anyOf") or schema.get("oneOf")
    if not isinstance(branches, list):
        return
    kept = [b for b in branches if isinstance(b, Mapping) and str(b.get("type")).lower() != "null"]
    if len(kept) < len(branches):
        out["nullable"] = True
    converted = [_convert(branch, definitions, above) for branch in kept]
    if len(converted) == 1:
        for key, value in converted[0].items():
            out.setdefault(key, value)
    elif converted:
        out["anyOf"] = converted


def _add_type(out: Schema, schema: Mapping[str, Any]) -> None:
    """Add the type in capitals; null becomes a flag, several types become anyOf."""
    value = schema.get("type")
    types = value if isinstance(value, list) else [value] if value else []
    names = [str(name).upper() for name in types]
    if "NULL" in names:
        out["nullable"] = True
        names.remove("NULL")
    if len(names) == 1:
        out["type"] = names[0]
    elif names:
        out["anyOf"] = [{"type": name} for name in names]


def _add_enum(out: Schema, schema: Mapping[str, Any]) -> None:
    """Add enum or const as an enum of strings, the only kind there is."""
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if not isinstance(values, list):
        return
    if None in values:
        out["nullable"] = True
    out["type"], out["format"] = "STRING", "enum"
    out["enum"] = [
        value if isinstance(value, str) else _text(value) for value in values if value not in (None, "")
    ]


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _add_properties(
    out: Schema, schema: Mapping[str, Any], definitions: Definitions, above: tuple[str, ...]
) -> None:
    """Add properties; an object without any becomes a string (`should be non-empty for OBJECT type`)."""
    properties = schema.get("properties")
    if isinstance(properties, Mapping) and properties:
        out["type"] = "OBJECT"
        out["properties"] = {
            name: _convert(_mapping(inner), definitions, above) for name, inner in properties.items()
        }
        required = [name for name in schema.get("required") or () if name in properties]
        if required:
            out["required"] = required
    elif out.get("type") == "OBJECT":
        out["type"] = "STRING"
        out["description"] = f"{out.get('description') or ''} JSON object".strip()


def _add_items(
    out: Schema, schema: Mapping[str, Any], definitions: Definitions, above: tuple[str, ...]
) -> None:
    """Add the items of an array, which must have a type (`items: missing field`, `schema must have a type`)."""
    if out.get("type") != "ARRAY":
        return
    out["items"] = _convert(_mapping(schema.get("items")), definitions, above)
    if not out["items"].keys() & {"type", "anyOf"}:
        out["items"]["type"] = "STRING"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
