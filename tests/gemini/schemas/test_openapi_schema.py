"""JSON Schema as Gemini's older Schema: a row for each rule of the conversion."""

import json
from typing import Any

import pytest

from gateway.gemini.schemas.openapi_schema import classic
from gateway.gemini.schemas.schema_references import InlineBudget, SchemaTooLarge
from tests.support.steps import Meter

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
    assert classic(schema, "f", InlineBudget()) == expected


def doubled(levels: int) -> dict[str, Any]:
    """Definitions of which each names the next twice: 2 ** levels schemas once they are inlined."""
    definitions: dict[str, Any] = {
        f"D{i}": {"type": "object", "properties": {name: {"$ref": f"#/$defs/D{i + 1}"} for name in "ab"}}
        for i in range(levels)
    }
    return {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/D0"}},
        "$defs": definitions | {f"D{levels}": {"type": "string"}},
    }


@pytest.mark.row("A3")
def test_a03_definitions_do_not_multiply_without_end() -> None:
    """17 levels took 2.7 s, 21 never ended."""
    with pytest.raises(SchemaTooLarge) as caught:
        Meter(stop_at=3_000_000).run(lambda: classic(doubled(40), "tools[0].parameters", InlineBudget()))

    assert caught.value.param == "tools[0].parameters"
    assert str(caught.value).startswith("Invalid 'tools[0].parameters': more than 50000 values once")


@pytest.mark.row("A3")
def test_a03_schemas_of_one_request_share_a_budget() -> None:
    budget = InlineBudget(1000)
    for _ in range(3):
        classic(doubled(5), "f", budget)
    with pytest.raises(SchemaTooLarge):
        classic(doubled(5), "f", budget)


@pytest.mark.row("A3")
def test_a03_definitions_inside_definitions_end() -> None:
    """100 definitions of 90 levels each are 9,000 levels of recursion."""

    def nest(levels: int, inner: Any) -> Any:
        return {"type": "array", "items": nest(levels - 1, inner)} if levels else inner

    definitions = {f"D{i}": nest(90, {"$ref": f"#/$defs/D{i + 1}"}) for i in range(100)}
    result = classic({"$ref": "#/$defs/D0", "$defs": definitions}, "f", InlineBudget())

    assert result["type"] == "ARRAY"


@pytest.mark.parametrize(
    "field", ["required", "format", "enum", "properties", "items", "type", "anyOf", "$ref", "$defs"]
)
@pytest.mark.parametrize("value", [5, True, "x", [5, [1], {}, None], {"a": [1]}, None])
def test_a_schema_that_was_never_cleaned_is_no_error(field: str, value: Any) -> None:
    """Clients send Gemini's own `parametersJsonSchema` in `google.tools`."""
    json.dumps(classic({"type": "object", "properties": {"a": {}}, field: value}, "f", InlineBudget()))
