"""Values, schemas and turns that Google refuses."""

from typing import Any

import pytest

from gateway.emulator.validation import validate
from tests.support.emulator import user

F25 = "gemini-2.5-flash"


def asking(**more: Any) -> dict[str, Any]:
    return {"contents": [user("hi")], **more}


def config(**fields: Any) -> dict[str, Any]:
    return asking(generationConfig=fields)


def tool(**fields: Any) -> dict[str, Any]:
    return asking(tools=[{"functionDeclarations": [{"name": "f", **fields}]}])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (config(routingConfig={}), 'Unknown name "routingConfig" at \'generation_config\': Cannot find field.'),
        (asking(safetySettings=[{"category": "HARM_CATEGORY_HARASSMENT", "method": "SEVERITY"}]), "at 'safety_settings[0]'"),
        (asking(safetySettings=[{"category": "HARM_CATEGORY_RUDE"}]), 'v1beta.HarmCategory), "HARM_CATEGORY_RUDE"'),
        (config(thinkingConfig={"thinkingLevel": 3}), "v1beta.ThinkingConfig.ThinkingLevel"),
        (config(imageConfig={"personGeneration": "x"}), "personGeneration"),
        (config(temperature=[1]), "Proto field is not repeating, cannot start list."),
        (tool(parameters={"type": ["STRING", "NULL"]}), "Proto field is not repeating, cannot start list."),
        (tool(parameters={"type": "OBJECT", "additionalProperties": False}), 'Unknown name "additionalProperties"'),
        (tool(parameters={"type": "ARRAY"}), "function_declarations[0].parameters.items: missing field."),
        (tool(parameters={"type": "OBJECT", "properties": {"a": {}}}), "properties[a]: schema must have a type"),
        (tool(parameters={"type": "OBJECT", "required": ["a"]}), "required[0]: property is not defined"),
        (tool(parameters={"type": "STRING", "properties": {"a": {"type": "STRING"}}}), "parameters.properties: only allowed for OBJECT type"),
        (tool(parameters={"type": "INTEGER", "enum": ["1"]}), "parameters.enum: only allowed for STRING type"),
        (tool(parameters={"anyOf": [{"type": "STRING"}, {"type": "ARRAY"}]}), "any_of[1].items: missing field."),
        (tool(parameters={"type": "STRING"}, parametersJsonSchema={}), "must not be set both"),
        (config(responseSchema={"type": "OBJECT"}), "response_schema.properties: should be non-empty for OBJECT type"),
        (config(responseSchema={"type": "ARRAY", "items": {"type": "ARRAY"}}), "items.items: missing field."),
        (config(topP=2), "generation_config.top_p: must be in the range [0, 1]"), (config(maxOutputTokens=0), "max_output_tokens"),
        (config(responseMimeType="image/png"), "response_mime_type: allowed mimetypes are `text/plain`"),
        ({"contents": [{"parts": [{"thought": True}]}]}, "required oneof field 'data' must have one initialized field"),
        ({"contents": [{"parts": [{"text": "a", "fileData": {}}]}]}, "oneof field 'data' is already set. Cannot set 'fileData'"),
        ({"contents": [{"parts": [{"functionResponse": {"name": "f", "response": "x"}}]}]}, "google.protobuf.Struct), \"x\""),
        ({"contents": [{"parts": [{"functionCall": {"name": "f", "args": []}}]}]}, "cannot start list"),
        ({"contents": [{"parts": [{"text": "a", "thoughtSignature": "?!"}]}]}, 'Base64 decoding failed for "?!"'),
        (config(candidateCount=2) | {"labels": {"a": 1}}, "labels[0].value"),
    ],
)  # fmt: skip
def test_the_rest_is_refused_in_googles_words(body: Any, message: str) -> None:
    refusal = validate(F25, body)

    assert refusal is not None
    assert message in refusal.message


def test_image_models_are_colder() -> None:
    assert validate("gemini-3.1-flash-image", config(temperature=1)) is None
    assert validate("gemini-3.1-flash-image", config(temperature=1.5)) is not None
    assert validate("gemini-2.5-pro", config(presencePenalty=1)) is None
    refusal = validate(F25, config(frequencyPenalty=1))
    assert refusal is not None
    assert refusal.message == "Penalty is not enabled for models/gemini-2.5-flash"


CALL = {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]}


RESULT = {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([], "Invalid JSON payload"),
        (asking(x=1), 'Unknown name "x": Cannot find field.'),
        (asking(generationConfig={"tempratur": 1}), "Unknown name \"tempratur\" at 'generation_config'"),
        ({"contents": [{"parts": [{"txt": "x"}]}]}, "at 'contents[0].parts[0]'"),
        (asking(generationConfig={"maxOutputTokens": "5"}), "TYPE_INT32"),
        (asking(generationConfig={"topK": True}), "TYPE_FLOAT"),
        (asking(generationConfig=[]), 'Unknown name "generationConfig": Proto field'),
        (asking(safetySettings={}), "expected a list"),
        (
            {"contents": [{"parts": [{"inlineData": {"mimeType": "a/b", "data": "$"}}]}]},
            "Base64 decoding failed",
        ),
        (asking(generationConfig={"stopSequences": list("123456")}), "stop_sequences"),
        (asking(generationConfig={"temperature": 3}), "temperature"),
        (asking(generationConfig={"presencePenalty": 1}), "Penalty is not enabled"),
        (
            asking(generationConfig={"thinkingConfig": {"thinkingBudget": 1, "thinkingLevel": "LOW"}}),
            "Cannot set both",
        ),
        ({"contents": []}, "contents is not specified"),
        ({"contents": [{"role": "function", "parts": [{"text": "x"}]}]}, "valid role"),
        ({"contents": [{"role": "user", "parts": []}]}, "contents.parts must not be empty"),
        ({"contents": [CALL, RESULT]}, "function call turn comes immediately after a user turn"),
        ({"contents": [RESULT]}, "function response turn comes immediately after"),
        ({"contents": [user("hi"), CALL, user("hi")]}, "number of function response parts"),
    ],
)
def test_google_would_refuse_it(body: Any, message: str) -> None:
    refusal = validate("gemini-2.5-flash", body)

    assert refusal is not None
    assert message in refusal.body()["error"]["message"]
    assert refusal.body()["error"]["status"] == "INVALID_ARGUMENT"


def test_rules_differ_by_model() -> None:
    several = asking(generationConfig={"candidateCount": 2})
    prefill = {"contents": [user("hi"), {"role": "model", "parts": [{"text": "I"}]}]}

    assert validate("gemini-2.0-flash", several) is None
    assert validate("gemini-3.8-flash", several) is not None
    assert validate("gemini-3.5-flash", prefill) is None
    assert validate("gemini-3.8-flash", prefill) is not None


def test_good_requests_pass_in_both_spellings() -> None:
    config = {"max_output_tokens": 5, "responseJsonSchema": {"anything": 1}, "temperature": 1}
    body = {
        "contents": [user("hi"), CALL, RESULT],
        "generation_config": config,
        "system_instruction": {"parts": [{"text": "x"}]},
    }

    assert validate("gemini-2.5-flash", body) is None
