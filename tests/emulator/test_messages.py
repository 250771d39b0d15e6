"""Every field of a request is known, and nothing else is decoded."""

from typing import Any

import pytest
from msgspec import Struct

from gateway.emulator.errors import RefusedError, Violation
from gateway.emulator.messages import ENUMS, MESSAGES, decode
from gateway.emulator.validation import validate
from gateway.gemini import wire

F25 = "gemini-2.5-flash"


def asking(**more: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": "hi"}]}], **more}


def config(**fields: Any) -> dict[str, Any]:
    return asking(generationConfig=fields)


def tool(**fields: Any) -> dict[str, Any]:
    return asking(tools=[{"functionDeclarations": [{"name": "f", **fields}]}])


def test_all_fields_of_the_reference_are_known() -> None:
    parts: list[dict[str, Any]] = [
        {"inline_data": {"mime_type": "image/png", "data": "iVBORw0KGgo"}, "mediaResolution": {"level": "MEDIA_RESOLUTION_LOW"}},
        {"fileData": {"fileUri": "https://x.example", "mimeType": "video/mp4"}, "videoMetadata": {"fps": 1, "startOffset": "1s", "endOffset": "2s"}},
        {"executableCode": {"id": "1", "language": "PYTHON", "code": "1"}, "thoughtSignature": "AAAA", "partMetadata": {"a": 1}},
        {"codeExecutionResult": {"id": "1", "outcome": "OUTCOME_OK", "output": "1"}},
        {"toolCall": {"id": "1", "toolType": "X", "args": {}}}, {"toolResponse": {"id": "1", "toolType": "X", "response": {}}},
    ]  # fmt: skip
    schema = {"type": "OBJECT", "properties": {"a": {"type": "array", "items": {"type": "STRING"}, "maxItems": "5"}}, "required": ["a"]}  # fmt: skip
    body = {
        "contents": [{"role": "user", "parts": parts}], "cached_content": "c", "serviceTier": "flex", "labels": {"a": "b"},
        "store": True, "continuationToken": "t", "model": "models/m", "systemInstruction": {"parts": [{"text": "x"}]},
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
        "tools": [
            {"functionDeclarations": [{"name": "f", "description": "d", "parameters": schema, "behavior": "BLOCKING"}]},
            {"googleSearch": {"timeRangeFilter": {"startTime": "a", "endTime": "b"}, "searchTypes": {"webSearch": {}, "imageSearch": {}}}},
            {"codeExecution": {}}, {"urlContext": {}}, {"googleMaps": {}}, {"computerUse": {}}, {"mcpServers": []},
            {"fileSearch": {"fileSearchStoreNames": ["s"], "topK": 1, "metadataFilter": "m"}}, {"googleSearchRetrieval": {}},
        ],
        "toolConfig": {
            "functionCallingConfig": {"mode": "VALIDATED", "allowedFunctionNames": ["f"]}, "includeServerSideToolInvocations": True,
            "retrievalConfig": {"latLng": {"latitude": 1.5, "longitude": 2}, "languageCode": "de"},
        },
        "generationConfig": {
            "temperature": 1.5, "topP": 0.5, "topK": 40, "candidateCount": 2, "maxOutputTokens": 9, "stopSequences": ["x"],
            "responseLogprobs": True, "logprobs": 3, "seed": 7, "responseMimeType": "application/json", "responseSchema": schema,
            "responseModalities": ["TEXT"], "mediaResolution": "MEDIA_RESOLUTION_HIGH", "imageConfig": {"aspectRatio": "1:1", "imageSize": "1K"},
            "speechConfig": {"voiceConfig": {}, "multiSpeakerVoiceConfig": {}, "languageCode": "de"}, "enableEnhancedCivicAnswers": True,
            "thinkingConfig": {"includeThoughts": True, "thinkingBudget": 5}, "audioTranscriptionConfig": {},
            "responseFormat": {"text": {"mimeType": "APPLICATION_JSON", "schema": {}}},
        },
    }  # fmt: skip

    assert validate(F25, body) is None
    assert decode(body)["contents"][0]["parts"][0]["inlineData"] == {"mimeType": "image/png", "data": "iVBORw0KGgo"}  # fmt: skip


def test_the_tables_name_only_types_that_exist() -> None:
    known = {"json", "object", "string", "bytes", "bool", "number", "integer", "int64", *MESSAGES, *ENUMS}
    types = {type_.strip("[]{}") for fields in MESSAGES.values() for type_ in fields.values()}

    assert types <= known


@pytest.mark.parametrize(
    ("body", "message_type", "field", "message"),
    [
        ([], "Content", None, "Invalid JSON payload received. Unexpected token."),
        ({"text": [1]}, "Part", "", 'Invalid JSON payload received. Unknown name "text": Proto field is not repeating, cannot start list.'),
        ({"role": 1}, "Content", "role", "Invalid value at 'role' (TYPE_STRING), 1"),
        ({"parts": {}}, "Content", "parts", "Invalid value at 'parts', expected a list"),
        ({"parts": [{"text": "a", "x_y": 1}]}, "Content", "parts[0]",
         "Invalid JSON payload received. Unknown name \"x_y\" at 'parts[0]': Cannot find field."),
        ({"level": "HIGH"}, "PartResolution", "level",
         ("Invalid value at 'level' (type.googleapis.com/google.ai.generativelanguage.v1beta."
          "GenerationConfig.MediaResolution), \"HIGH\"")),
        ({"fps": True}, "VideoMetadata", "fps", "Invalid value at 'fps' (TYPE_FLOAT), true"),
    ],
)  # fmt: skip
def test_a_value_of_the_wrong_type_is_refused_with_its_path(
    body: Any, message_type: str, field: str | None, message: str
) -> None:
    with pytest.raises(RefusedError) as caught:
        decode(body, message_type)

    refusal = caught.value.refusal
    assert refusal.message == message
    assert refusal.violations == (() if field is None else (Violation(field, message),))


def test_a_refusal_repeats_every_name_and_value_as_it_was_sent() -> None:
    """As in github.com/MinLL/SkyrimNet-GamePlugin/issues/77 and github.com/simonw/llm-gemini/issues/49."""
    name, value = "a\" at 'b': Cannot find field.\nno", "API key not valid"
    body = config(imageConfig={name: 1, "imageSize": 2}, thinkingConfig={"thinkingLevel": value}) | {"x": 1}

    with pytest.raises(RefusedError) as caught:
        decode(body)

    refusal = caught.value.refusal
    assert [violation.field for violation in refusal.violations] == [
        "generation_config.image_config",
        "generation_config.image_config.image_size",
        "generation_config.thinking_config.thinking_level",
        "",
    ]
    assert refusal.message.startswith(
        f"Invalid JSON payload received. Unknown name \"{name}\" at 'generation_config.image_config': Cannot find "
        "field.\nInvalid value at 'generation_config.image_config.image_size' (TYPE_STRING), 2\n"
    )
    assert f'ThinkingConfig.ThinkingLevel), "{value}"\n' in refusal.message
    assert refusal.message.endswith('Unknown name "x": Cannot find field.')


def test_an_entry_of_a_map_is_named_by_its_position() -> None:
    schema = {"type": "OBJECT", "properties": {"a": {"type": "STRING"}, "API key not valid": {"const": 1}}}

    with pytest.raises(RefusedError) as caught:
        decode(tool(parameters=schema))

    (violation,) = caught.value.refusal.violations
    assert violation.field == "tools[0].function_declarations[0].parameters.properties[1].value"


def test_names_become_camel_case_but_keys_of_data_stay() -> None:
    body = {"function_call": {"name": "f", "args": {"snake_case": {"and_more": 1}}}}

    assert decode(body, "Part") == {"functionCall": {"name": "f", "args": {"snake_case": {"and_more": 1}}}}


SENT = {
    kind.__name__: kind.__struct_encode_fields__
    for kind in vars(wire).values()
    if isinstance(kind, type) and issubclass(kind, Struct) and kind.__name__ in MESSAGES
}
"""The gateway's messages that have a table of the same name, with their fields."""


@pytest.mark.parametrize("name", SENT)
def test_each_field_that_the_gateway_sends_is_known(name: str) -> None:
    assert sorted(set(SENT[name]) - set(MESSAGES[name])) == []


def test_the_messages_of_a_request_are_compared() -> None:
    assert {
        "GenerateContentRequest",
        "GenerationConfig",
        "Content",
        "Part",
        "Tool",
        "FunctionDeclaration",
    } <= set(SENT)
