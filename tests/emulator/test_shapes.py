"""The emulator knows every field of a request, and says Google's words for what is none or out of range."""

from typing import Any

import pytest

from gateway.emulator.contract import check, shaped

F25 = "gemini-2.5-flash"


def asking(**more: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": "hi"}]}], **more}


def config(**fields: Any) -> dict[str, Any]:
    return asking(generationConfig=fields)


def tool(**fields: Any) -> dict[str, Any]:
    return asking(tools=[{"functionDeclarations": [{"name": "f", **fields}]}])


def test_all_fields_of_the_reference_are_known() -> None:
    """translation.md 0.2 to 0.6, and none of 0.4."""
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

    assert check(F25, body) is None
    assert shaped(body)["contents"][0]["parts"][0]["inlineData"] == {"mimeType": "image/png", "data": "iVBORw0KGgo"}  # fmt: skip


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (config(routingConfig={}), 'Unknown name "routingConfig" at \'generationConfig\': Cannot find field.'),
        (asking(safetySettings=[{"category": "HARM_CATEGORY_HARASSMENT", "method": "SEVERITY"}]), "at 'safetySettings[0]'"),
        (asking(safetySettings=[{"category": "HARM_CATEGORY_RUDE"}]), 'v1beta.HarmCategory), "HARM_CATEGORY_RUDE"'),
        (config(thinkingConfig={"thinkingLevel": 3}), "v1beta.ThinkingConfig.ThinkingLevel"),
        (config(imageConfig={"personGeneration": "x"}), "personGeneration"),
        (config(temperature=[1]), "Proto field is not repeating, cannot start list."),
        (tool(parameters={"type": ["STRING", "NULL"]}), "Proto field is not repeating, cannot start list."),
        (tool(parameters={"type": "OBJECT", "additionalProperties": False}), 'Unknown name "additionalProperties"'),
        (tool(parameters={"type": "ARRAY"}), "function_declarations[0].parameters.items: missing field."),
        (tool(parameters={"type": "OBJECT", "properties": {"a": {}}}), "properties[a]: schema must have a type"),
        (tool(parameters={"type": "OBJECT", "required": ["a"]}), "required[0]: property is not defined"),
        (tool(parameters={"anyOf": [{"type": "STRING"}, {"type": "ARRAY"}]}), "any_of[1].items: missing field."),
        (tool(parameters={"type": "STRING"}, parametersJsonSchema={}), "must not be set both"),
        (config(responseSchema={"type": "OBJECT"}), "response_schema.properties: should be non-empty for OBJECT type"),
        (config(responseSchema={"type": "ARRAY", "items": {"type": "ARRAY"}}), "items.items: missing field."),
        (config(topP=2), "generation_config.top_p: must be in the range [0, 1]"), (config(maxOutputTokens=0), "max_output_tokens"),
        (config(responseMimeType="image/png"), "response_mime_type: allowed mimetypes are `text/plain`"),
        ({"contents": [{"parts": [{"thought": True}]}]}, "required oneof field 'data' must have one initialized field"),
        ({"contents": [{"parts": [{"text": "a", "fileData": {}}]}]}, "oneof field 'data' is already set. Cannot set 'fileData'"),
        ({"contents": [{"parts": [{"functionResponse": {"name": "f", "response": "x"}}]}]}, "(object), 'x'"),
        ({"contents": [{"parts": [{"functionCall": {"name": "f", "args": []}}]}]}, "cannot start list"),
        ({"contents": [{"parts": [{"text": "a", "thoughtSignature": "?!"}]}]}, 'Base64 decoding failed for "?!"'),
        (config(candidateCount=2) | {"labels": {"a": 1}}, "labels[a]"),
    ],
)  # fmt: skip
def test_the_rest_is_refused_in_googles_words(body: Any, message: str) -> None:
    refusal = check(F25, body)

    assert refusal is not None
    assert message in refusal.message


def test_image_models_are_colder() -> None:
    assert check("gemini-3.1-flash-image", config(temperature=1)) is None
    assert check("gemini-3.1-flash-image", config(temperature=1.5)) is not None
    assert check("gemini-2.5-pro", config(presencePenalty=1)) is None
    refusal = check(F25, config(frequencyPenalty=1))
    assert refusal is not None
    assert refusal.message == "Penalty is not enabled for models/gemini-2.5-flash"
