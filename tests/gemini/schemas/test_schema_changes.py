"""Schemas that were refused, in smaller forms."""

import json
from typing import Any

import msgspec
import pytest

from gateway.errors import BadRequest
from gateway.gemini.schemas import schema_changes as changes
from gateway.gemini.wire import (
    Content,
    FunctionCallingConfig,
    FunctionDeclaration,
    GenerateContentRequest,
    GenerationConfig,
    Part,
    Tool,
    ToolConfig,
    encode_request,
)

NO = BadRequest("")
HI = [Content([Part(text="hi")], "user")]


def declaring(*declarations: FunctionDeclaration, **fields: Any) -> GenerateContentRequest:
    return GenerateContentRequest(HI, tools=[Tool(function_declarations=list(declarations))], **fields)


def declared(schema: dict[str, Any], change: Any) -> dict[str, Any]:
    """Return the schema after a change, the same in both dialects."""
    results = []
    for field in ("parameters_json_schema", "parameters"):
        fields: dict[str, Any] = {field: schema}
        request = declaring(FunctionDeclaration("f", **fields))
        before = encode_request(request)
        changed = change(request, NO)
        assert encode_request(request) == before
        results.append(changed and getattr(changed.tools[0].function_declarations[0], field))
    assert results[0] == results[1]
    result: dict[str, Any] = results[0]
    return result


@pytest.mark.row("T6")
def test_t06_bounds_are_told_in_words_at_every_place() -> None:
    string = {"type": "string", "maxLength": 5, "format": "date-time", "description": "d"}
    schema = {
        "type": "array", "maxItems": 9, "items": {"anyOf": [string, {"type": "object", "properties": {"maxItems": string}}]},
        "$defs": {"A": {"minimum": 1, "enum": ["a"]}},
    }  # fmt: skip
    told = {"type": "string", "description": "d (Constraint: maxLength 5) (Constraint: format date-time)"}
    assert declared(schema, changes.bounds_in_words) == {
        "type": "array", "description": "Constraint: maxItems 9",
        "items": {"anyOf": [told, {"type": "object", "properties": {"maxItems": told}}]},
        "$defs": {"A": {"enum": ["a"], "description": "Constraint: minimum 1"}},
    }  # fmt: skip


@pytest.mark.row("T6")
def test_t06_long_enums_are_told_in_words() -> None:
    words = [f"action_required_{i:03}" for i in range(60)]
    short = {"type": "STRING", "format": "enum", "enum": words[:20]}

    assert declared(short, changes.bounds_in_words) is None
    assert declared({**short, "enum": words}, changes.bounds_in_words) == {
        "type": "STRING", "description": f"One of: {', '.join(words)}"}  # fmt: skip


@pytest.mark.row("T6")
@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "object", "properties": {"a": {}}, "required": ["a", "b"]}, {"type": "object", "properties": {"a": {}}, "required": ["a"]}),
        ({"type": "OBJECT", "required": ["b"]}, {"type": "OBJECT"}),
        ({"type": "STRING", "properties": {"a": {}}, "required": ["a"]}, {"type": "STRING"}),
        ({"type": "integer", "enum": [1, True]}, {"type": "integer", "description": "One of: 1, true"}),
        ({"enum": ["a"]}, {"enum": ["a"], "type": "string"}),
        ({"items": {"type": "number", "enum": ["1"]}}, {"items": {"type": "number", "description": "One of: 1"}}),
        ({"properties": {"a": {"type": "string"}}, "required": ["a"]}, None),
    ],
)  # fmt: skip
def test_t06_keywords_of_another_type_go(schema: dict[str, Any], expected: Any) -> None:
    assert declared(schema, changes.fitting_types) == expected


@pytest.mark.row("T6")
def test_t06_every_schema_in_words() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    config = GenerationConfig(response_mime_type="application/json", response_json_schema=schema)
    request = declaring(
        FunctionDeclaration("f", "Does.", schema), FunctionDeclaration("g"), FunctionDeclaration("h", parameters=schema),
        generation_config=config,
    )  # fmt: skip
    changed = changes.schemas_in_words(request, NO)

    assert changed is not None
    body = json.loads(encode_request(changed))
    first, second, third = body["tools"][0]["functionDeclarations"]
    assert first == {
        "name": "f", "parametersJsonSchema": {"type": "object"},
        "description": f"Does.\n\nArguments as JSON Schema: {msgspec.json.encode(schema).decode()}",
    }  # fmt: skip
    assert second == {"name": "g"}
    assert "parameters" not in third
    assert body["generationConfig"] == {"responseMimeType": "application/json"}
    assert msgspec.json.encode(schema).decode() in body["systemInstruction"]["parts"][0]["text"]
    assert changes.schemas_in_words(changed, NO) is None


@pytest.mark.row("T6")
def test_t06_a_call_is_no_longer_forced() -> None:
    calling = FunctionCallingConfig("ANY", ["g"])
    config = ToolConfig(calling)
    request = declaring(FunctionDeclaration("f"), FunctionDeclaration("g"), tool_config=config)
    changed = changes.unforced(request, NO)

    assert changed is not None
    body = json.loads(encode_request(changed))
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "AUTO"}}
    assert [f["name"] for f in body["tools"][0]["functionDeclarations"]] == ["g"]
    assert changes.unforced(changed, NO) is None


def test_a_schema_without_end_is_left_at_some_depth() -> None:
    schema: dict[str, Any] = {"maxItems": 1}
    for _ in range(300):
        schema = {"items": schema}

    assert declared(schema, changes.bounds_in_words) is None
