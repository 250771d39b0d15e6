"""JSON Schema as Gemini's older Schema, for models that refuse `parametersJsonSchema` or `responseJsonSchema`.

The older fields `parameters` and `responseSchema` take a part of OpenAPI 3.0 (https://ai.google.dev/api/caching#Schema).
"""

from collections.abc import Mapping
from typing import Any

from gateway.gemini.schemas.schema_places import definition_name
from gateway.gemini.schemas.schema_references import InlineBudget, References

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
_DEEPEST = 100
"""Levels of the result. Definitions may lie in one another without end."""
_LONGEST_NAME = 64
"""Characters of a definition's name in a description."""


def classic(schema: Mapping[str, Any], param: str, budget: InlineBudget) -> Schema:
    """Return the nearest older Schema; keywords without an equivalent are left out.

    `param` is the schema's path. Raises SchemaTooLarge when the request's definitions inline more than `budget`.
    """
    return _Converter(References(schema, param, budget)).convert(schema, 0)


class _Converter:
    """Converts one schema; a reference becomes its definition, and a circle of them ends as an object."""

    def __init__(self, references: References) -> None:
        self._references = references
        self._above: list[str] = []
        """Names of the definitions around the schema that is converted."""

    def convert(self, schema: Mapping[str, Any], depth: int) -> Schema:
        """Return one converted schema."""
        ref = schema.get("$ref")
        if isinstance(ref, str):
            return self._definition(ref, schema, depth)
        out = {key: value for key, value in schema.items() if key in _KEPT}
        self._add_alternatives(out, schema, depth)
        _add_type(out, schema)
        _add_enum(out, schema)
        self._add_properties(out, schema, depth)
        self._add_items(out, schema, depth)
        form = schema.get("format")
        if isinstance(form, str) and form in _FORMATS.get(out.get("type", ""), ()):
            out.setdefault("format", form)
        return out

    def _definition(self, ref: str, schema: Mapping[str, Any], depth: int) -> Schema:
        """Return the definition that a reference means, with the keywords beside the reference."""
        name = definition_name(ref) or ""
        target = self._references.definitions.get(name)
        if name in self._above or not isinstance(target, Mapping) or depth >= _DEEPEST:
            return {"type": "OBJECT", "description": f"A {name[:_LONGEST_NAME] or 'value'} as above"}
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        self._above.append(name)
        converted = self.convert({**self._references.inline(target), **beside}, depth + 1)
        self._above.pop()
        return converted

    def _add_alternatives(self, out: Schema, schema: Mapping[str, Any], depth: int) -> None:
        """Add anyOf without null, which becomes a flag; a single alternative replaces anyOf."""
        branches = schema.get("anyOf") or schema.get("oneOf")
        if not isinstance(branches, list):
            return
        kept = [b for b in branches if isinstance(b, Mapping) and str(b.get("type")).lower() != "null"]
        if len(kept) < len(branches):
            out["nullable"] = True
        converted = [self.convert(branch, depth + 1) for branch in kept]
        if len(converted) == 1:
            for key, value in converted[0].items():
                out.setdefault(key, value)
        elif converted:
            out["anyOf"] = converted

    def _add_properties(self, out: Schema, schema: Mapping[str, Any], depth: int) -> None:
        """Add properties; an object without any becomes a string (`should be non-empty for OBJECT type`)."""
        properties = schema.get("properties")
        if isinstance(properties, Mapping) and properties:
            out["type"] = "OBJECT"
            out["properties"] = {
                name: self.convert(_mapping(inner), depth + 1) for name, inner in properties.items()
            }
            names = schema.get("required")
            required = [
                name
                for name in (names if isinstance(names, list) else ())
                if isinstance(name, str) and name in properties
            ]
            if required:
                out["required"] = required
        elif out.get("type") == "OBJECT" and "anyOf" in out:
            del out["type"]  # the alternatives have types of their own
        elif out.get("type") == "OBJECT":
            out["type"] = "STRING"
            out["description"] = f"{out.get('description') or ''} JSON object".strip()

    def _add_items(self, out: Schema, schema: Mapping[str, Any], depth: int) -> None:
        """Add the items of an array, which must have a type (`items: missing field`, `schema must have a type`)."""
        if out.get("type") != "ARRAY":
            return
        out["items"] = self.convert(_mapping(schema.get("items")), depth + 1)
        if not out["items"].keys() & {"type", "anyOf"}:
            out["items"]["type"] = "STRING"


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


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
