"""What Google refuses of JSON Schemas, in its words."""

from typing import Any

import pytest

from gateway.emulator.models import model_of
from gateway.emulator.schema_rules import schema_refusal

F25, F38 = "gemini-2.5-flash", "gemini-3.8-flash"
REF = {"$ref": "#/$defs/A"}
OPAQUE = "Request contains an invalid argument."


def refused(schema: Any, model: str = F38, mode: str = "AUTO") -> str | None:
    tools = [{"functionDeclarations": [{"name": "f"}, {"name": "g", "parametersJsonSchema": schema}]}]
    calling = {"functionCallingConfig": {"mode": mode}}
    return schema_refusal(model_of(model), {"tools": tools, "toolConfig": calling})


def answered(schema: Any, model: str) -> str | None:
    return schema_refusal(model_of(model), {"generationConfig": {"responseJsonSchema": schema}})


def properties(**schemas: Any) -> dict[str, Any]:
    return {"type": "object", "properties": schemas}


@pytest.mark.row("T12", "T6")
@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({**REF, "$defs": {"A": {}}}, None),
        (properties(a={"$ref": "#"}), None),
        ({**REF, "$defs": {"A": {}}, "type": "object"}, "schema at top-level can only contain properties starting with '$' when $ref is present"),
        ({"$defs": {"A": {}}, **properties(draft={**REF, "description": "d"})},
         "schema at properties.draft can only contain properties starting with '$' when $ref is present"),
        (properties(a={"anyOf": [{}, REF]}), "reference to undefined schema at properties.a.anyOf.1"),
        (properties(a={"$ref": "#/definitions/A"}, definitions={"A": {}}), "reference to undefined schema at properties.a"),
        ({"required": ["b"], **properties(a={})},
         "* GenerateContentRequest.tools[0].function_declarations[1].parameters_json_schema.required[0]: property is not defined"),
        ({"required": ["b"]}, None),
        ({"type": "array", "prefixItems": [{"items": REF}]}, "reference to undefined schema at prefixItems.0.items"),
        ({"additionalProperties": REF}, "reference to undefined schema at additionalProperties"),
        (True, None),
    ],
)  # fmt: skip
def test_t12_references_and_names(schema: Any, message: str | None) -> None:
    assert refused(schema) == message


@pytest.mark.row("T12", "T6")
def test_t12_bounds_have_too_many_states_where_they_multiply() -> None:
    rows = {"type": "array", "maxItems": 30, "items": {"type": "array", "maxItems": 33, "items": {}}}
    lines = {"type": "array", "maxItems": 500, "items": {"type": "string", "maxLength": 200}}
    for schema in (rows, lines, properties(a={"type": "array", "maxItems": 961})):
        assert str(answered(schema, F25)).startswith(
            "The specified schema produces a constraint that has too many states"
        )
        assert answered(schema, F38) == refused(schema) == OPAQUE
    assert refused(properties(a={"type": "array", "maxItems": 960})) is None


@pytest.mark.row("T12", "T6")
def test_t12_long_enums_are_refused_where_a_call_is_forced() -> None:
    schema = properties(a={"enum": [f"action_required_{i:03}" for i in range(140)]})

    assert (refused(schema), refused(schema, mode="ANY")) == (None, OPAQUE)
    assert str(refused(schema, F25, "ANY")).startswith("The specified schema")
