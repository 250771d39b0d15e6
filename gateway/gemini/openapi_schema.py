"""JSON Schema as Gemini's older Schema, for models that refuse the newer fields (translation.md A.3)."""

import re
from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]

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
_ANYTHING: Schema = {"type": "STRING"}
_DEEPEST = 100
_REF = re.compile(r"#/(?:\$defs|definitions)/(.+)")


def classic(schema: Mapping[str, Any]) -> Schema:
    """The nearest Schema there is; whatever it has no word for is left out."""
    definitions = schema.get("$defs")
    return _convert(schema, definitions if isinstance(definitions, Mapping) else {}, ())


def _convert(schema: Mapping[str, Any], definitions: Mapping[str, Any], above: tuple[str, ...]) -> Schema:
    """One schema; `above` names the definitions it is part of, so that a circle ends as an open object."""
    ref = schema.get("$ref")
    if isinstance(ref, str):
        found = _REF.fullmatch(ref)
        name = found[1] if found else ""
        target = definitions.get(name)
        if name in above or not isinstance(target, Mapping) or len(above) > _DEEPEST:
            return {"type": "OBJECT", "description": f"A {name or 'value'} as above"}
        return _convert(
            {**target, **{k: v for k, v in schema.items() if k != "$ref"}}, definitions, (*above, name)
        )
    out = {key: value for key, value in schema.items() if key in _KEPT}
    _alternatives(out, schema, definitions, above)
    _type(out, schema)
    _enum(out, schema)
    _parts(out, schema, definitions, above)
    kind = out.get("type", "")
    if schema.get("format") in _FORMATS.get(kind, ()):
        out.setdefault("format", schema["format"])
    return out


def _type(out: Schema, schema: Mapping[str, Any]) -> None:
    """One type in capitals; null is a flag, several types are alternatives."""
    given = schema.get("type")
    names = [str(name).upper() for name in (given if isinstance(given, list) else [given] if given else [])]
    if "NULL" in names:
        out["nullable"] = True
        names.remove("NULL")
    if len(names) == 1:
        out["type"] = names[0]
    elif names:
        out["anyOf"] = [{"type": name} for name in names]


def _alternatives(
    out: Schema, schema: Mapping[str, Any], definitions: Mapping[str, Any], above: tuple[str, ...]
) -> None:
    """anyOf without its null; a single one left stands for itself."""
    given = schema.get("anyOf") or schema.get("oneOf")
    if not isinstance(given, list):
        return
    kept = [one for one in given if isinstance(one, Mapping) and str(one.get("type")).lower() != "null"]
    if len(kept) < len(given):
        out["nullable"] = True
    converted = [_convert(one, definitions, above) for one in kept]
    if len(converted) == 1:
        for key, value in converted[0].items():
            out.setdefault(key, value)
    elif converted:
        out["anyOf"] = converted


def _enum(out: Schema, schema: Mapping[str, Any]) -> None:
    """Texts only: numbers become texts."""
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


def _parts(
    out: Schema, schema: Mapping[str, Any], definitions: Mapping[str, Any], above: tuple[str, ...]
) -> None:
    """Properties and items, which the older field insists on."""
    properties = schema.get("properties")
    if isinstance(properties, Mapping) and properties:
        out["type"] = "OBJECT"
        out["properties"] = {
            name: _convert(_mapping(one), definitions, above) for name, one in properties.items()
        }
        required = [name for name in schema.get("required") or () if name in properties]
        if required:
            out["required"] = required
    elif out.get("type") == "OBJECT":
        out["type"] = "STRING"
        out["description"] = f"{out.get('description') or ''} JSON object".strip()
    if out.get("type") == "ARRAY":
        out["items"] = _convert(_mapping(schema.get("items")), definitions, above) or dict(_ANYTHING)
        if not out["items"].keys() & {"type", "anyOf"}:
            out["items"]["type"] = "STRING"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
