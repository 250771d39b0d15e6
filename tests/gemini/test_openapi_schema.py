"""JSON Schema as Gemini's older Schema: a row for each rule of the conversion."""

import json
from typing import Any

import pytest

from gateway.gemini.openapi_schema import classic

NULL = {"type": "null"}
ROWS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"type": ["string", "null"]}, {"type": "STRING", "nullable": True}),
    ({"anyOf": [{"type": "integer"}, NULL]}, {"type": "INTEGER", "nullable": True}),
    ({"enum": [1, 2], "type": "integer"}, {"type": "STRING", "format": "enum", "enum": ["1", "2"]}),
    ({"type": ["string", "integer", "null"]}, {"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}], "nullable": True}),
    ({"oneOf": [{"type": "string"}, {"type": "boolean"}]}, {"anyOf": [{"type": "STRING"}, {"type": "BOOLEAN"}]}),
    ({"const": True}, {"type": "STRING", "format": "enum", "enum": ["true"]}),
    ({"enum": ["a", None, ""]}, {"type": "STRING", "format": "enum", "enum": ["a"], "nullable": True}),
    ({"type": "array"}, {"type": "ARRAY", "items": {"type": "STRING"}}),
    ({"type": "array", "items": {"type": "number", "format": "float"}},
     {"type": "ARRAY", "items": {"type": "NUMBER", "format": "float"}}),
    ({"type": "object"}, {"type": "STRING", "description": "JSON object"}),
    ({"type": "object", "properties": {}, "description": "d"}, {"type": "STRING", "description": "d JSON object"}),
    ({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a", "b"], "additionalProperties": False},
     {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}, "required": ["a"]}),
    ({"properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"type": "string", "format": "email"}}},
     {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}),
    ({"$ref": "#/$defs/T", "$defs": {"T": {"properties": {"t": {"$ref": "#/$defs/T"}}}}},
     {"type": "OBJECT", "properties": {"t": {"type": "OBJECT", "description": "A T as above"}}}),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "expected"), ROWS, ids=lambda v: json.dumps(v)[:50])
def test_the_older_schema(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    assert classic(schema) == expected
