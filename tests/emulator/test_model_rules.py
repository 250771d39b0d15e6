"""Combinations of valid fields that Google refuses, and what each model lacks."""

from typing import Any

import pytest

from gateway.emulator.model_rules import RULES, refusal
from tests.support.emulator import user

F3, F25 = "gemini-3-flash-preview", "gemini-2.5-flash"


FUNCTIONS: dict[str, Any] = {"functionDeclarations": [{"name": "f"}]}


JSON = {"responseMimeType": "application/json"}


SEARCH: dict[str, Any] = {"googleSearch": {}}


FLAG = {"includeServerSideToolInvocations": True}


PNG = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}


def asked(*parts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": "x"}, *parts]}], **fields}


def thinking(**fields: Any) -> dict[str, Any]:
    return asked(generationConfig={"thinkingConfig": fields})


def calling(mode: str | None, *allowed: str) -> dict[str, Any]:
    config = {"mode": mode, "allowedFunctionNames": list(allowed)}
    return {"functionCallingConfig": {key: value for key, value in config.items() if value}}


@pytest.mark.parametrize(
    ("model", "request_", "message"),
    [
        (F25, asked(generationConfig=JSON, tools=[FUNCTIONS]),
         "Function calling with a response mime type: 'application/json' is unsupported"),
        (F25, asked(generationConfig=JSON, tools=[{"urlContext": {}}]),
         "Tool use with a response mime type: 'application/json' is unsupported"),
        (F3, asked(generationConfig=JSON, tools=[FUNCTIONS], toolConfig=calling("ANY")),
         "Forced function calling (ANY mode) with a response mime type: 'application/json' is unsupported"),
        (F3, asked(generationConfig=JSON, tools=[{"googleMaps": {}}]),
         "Google Maps tool with a response mime type: 'application/json' is unsupported"),
        (F25, asked(tools=[FUNCTIONS], toolConfig=FLAG), "Tool call context circulation is not enabled for models/gemini-2.5-flash"),
        (F3, asked(tools=[FUNCTIONS, SEARCH], toolConfig={**calling("AUTO"), **FLAG}), "Function calling mode AUTO is not supported"),
        ("gemini-3.8-flash-tts", asked(tools=[FUNCTIONS]), "Function calling is not enabled for models/gemini-3.8-flash-tts"),
        ("gemma-3-27b-it", asked(tools=[FUNCTIONS]), "Function calling is not enabled for models/gemma-3-27b-it"),
        ("gemini-3.1-flash-image", asked(generationConfig=JSON), "JSON mode is not enabled for models/gemini-3.1-flash-image"),
        (F3, asked(generationConfig={"imageConfig": {"aspectRatio": "1:1"}}), f"Aspect ratio is not enabled for models/{F3}"),
        ("gemini-3-pro-image", asked(generationConfig={"imageConfig": {"aspectRatio": "1:8"}}),
         "* GenerateContentRequest.generation_config.image_config.aspect_ratio: unsupported value '1:8'"),
        ("gemini-nano-banana-2.1", asked(generationConfig={"imageConfig": {"imageSize": "512"}}),
         "* GenerateContentRequest.generation_config.image_config.image_size: unsupported value '512'; supported: 1K, 2K, 4K"),
        ("gemini-2.5-flash-image", asked(generationConfig={"imageConfig": {"imageSize": "1K"}}),
         "* GenerateContentRequest.generation_config.image_config.image_size: unsupported value '1K'; supported: none"),
        ("gemini-3.8-flash-tts", asked(PNG), "Image input modality is not enabled for models/gemini-3.8-flash-tts"),
        ("gemma-3-27b-it", asked({"fileData": {"fileUri": "u", "mimeType": "application/pdf"}}), "Document input modality"),
        (F3, asked({"inlineData": {"mimeType": "jpeg", "data": ""}}), "Unsupported MIME type: jpeg"),
        (F3, asked({"inlineData": {"mimeType": "API key not valid", "data": ""}}), "Unsupported MIME type: API key not valid"),
        (F3, asked({"fileData": {"fileUri": "gs://b/o.jpg"}}), "Invalid or unsupported file uri: gs://b/o.jpg"),
        (F3, asked({"fileData": {"fileUri": "https://a/reported as leaked"}}), "Invalid or unsupported file uri: https://a/reported"),
        (F3, asked(tools=[FUNCTIONS, FUNCTIONS]), "Duplicate function declaration found: f"),
        (F3, asked(tools=[SEARCH, {"functionDeclarations": [{"name": "g"}, {}]}], toolConfig=FLAG),
         "* GenerateContentRequest.tools[1].function_declarations[1].name: Invalid function name. Must start with a letter"),
        (F3, asked(tools=[FUNCTIONS], toolConfig=calling("AUTO", "f")), "only when the function calling mode is ANY or VALIDATED"),
        (F3, asked(tools=[FUNCTIONS], toolConfig=calling("ANY", "g")), "allowed_function_names: g is not among"),
        (F3, asked(cachedContent="cachedContents/a", systemInstruction={"parts": [{"text": "x"}]}),
         "Tool config, tools and system instruction should not be set in the request when using cached content."),
        ("gemini-flash-latest", asked(generationConfig={"responseLogprobs": True}), "Logprobs is not enabled for"),
        ("gemini-2.0-flash", thinking(includeThoughts=True), "Thinking is not enabled for models/gemini-2.0-flash"),
        (F25, thinking(thinkingLevel="LOW"), "Thinking level is not supported for this model."),
        ("gemini-3.1-pro-preview", thinking(thinkingLevel="MINIMAL"), "Thinking level MINIMAL is not supported for this model."),
        ("gemini-9-next", thinking(thinkingLevel="MINIMAL"), "Thinking level MINIMAL is not supported for this model."),
        ("gemini-3-pro-preview", thinking(thinkingLevel="MEDIUM"), "Thinking level MEDIUM is not supported for this model."),
        ("gemini-3.7-flash", thinking(thinkingBudget=0), "Budget 0 is invalid. This model only works in thinking mode."),
        ("gemini-2.5-flash-lite", thinking(thinkingBudget=100), "value between 0 and 24576"),
        ("gemini-2.5-pro", thinking(thinkingBudget=50_000), "value between 128 and 32768"),
        (F3, asked(generationConfig={"responseModalities": ["TEXT", "AUDIO"]}),
         ("modalities (TEXT, AUDIO) is not supported by the model. models/gemini-3-flash-preview accepts the following "
         "combination of response modalities:\n* TEXT\n")),
        ("gemini-3.1-flash-image", asked(generationConfig={"responseModalities": ["TEXT"]}), "\n* TEXT, IMAGE\n* IMAGE\n"),
    ],
)  # fmt: skip
def test_refused(model: str, request_: dict[str, Any], message: str) -> None:
    refused = refusal(model, request_)

    assert message in str(refused)


@pytest.mark.parametrize(
    ("model", "request_"),
    [
        (F3, asked(generationConfig=JSON, tools=[FUNCTIONS])), (F3, asked(generationConfig=JSON, tools=[SEARCH])),
        (F3, asked(tools=[FUNCTIONS, SEARCH], toolConfig=FLAG)), (F3, asked(tools=[FUNCTIONS], toolConfig=calling("VALIDATED", "f"))),
        (F3, asked(tools=[FUNCTIONS], toolConfig=calling(None, "f"))), (F3, asked(cachedContent="cachedContents/a")),
        (F25, asked(generationConfig={"responseLogprobs": True})), (F3, thinking(thinkingLevel="MINIMAL")),
        ("gemini-3.8-flash", thinking(thinkingLevel="LOW")), (F25, thinking(thinkingBudget=0)),
        (F25, thinking(thinkingBudget=-1)), ("gemini-2.5-pro", thinking(thinkingBudget=128)),
        ("gemma-4-31b-it", asked(PNG, generationConfig=JSON, systemInstruction={"parts": [{"text": "x"}]})),
        ("gemini-3.1-flash-image", asked(PNG, generationConfig={"responseModalities": ["IMAGE", "TEXT"]})),
        ("gemini-3.1-flash-image", asked()), ("gemini-3.8-flash-tts", asked(generationConfig={"responseModalities": ["AUDIO"]})),
        (F3, asked({"fileData": {"fileUri": "u"}}, generationConfig={"responseModalities": ["TEXT"]})),
    ],
)  # fmt: skip
def test_taken(model: str, request_: dict[str, Any]) -> None:
    assert refusal(model, request_) is None


def test_each_message_is_said_once() -> None:
    assert len({message for _, message in RULES}) == len(RULES)


TOOLS = [{"functionDeclarations": [{"name": "get_weather"}, {"name": "g"}]}]


def mode(name: str, *allowed: str) -> dict[str, Any]:
    config = {"mode": name, **({"allowedFunctionNames": list(allowed)} if allowed else {})}
    return {"functionCallingConfig": config}


@pytest.mark.parametrize(
    ("model", "fields", "message"),
    [
        ("gemini-2.5-flash", {"generationConfig": JSON, "tools": TOOLS}, "Function calling with a response mime type"),
        ("gemini-2.5-flash", {"generationConfig": JSON, "tools": [SEARCH]}, "Tool use with a response mime type"),
        (F3, {"generationConfig": JSON, "tools": TOOLS, "toolConfig": mode("ANY")}, "Forced function calling"),
        (F3, {"tools": [*TOOLS, SEARCH]}, "include_server_side_tool_invocations"),
        ("gemini-2.5-flash", {"tools": [*TOOLS, SEARCH]}, "Tool use with function calling is unsupported"),
        ("gemini-2.5-flash", {"toolConfig": {"includeServerSideToolInvocations": True}}, "context circulation"),
        (F3, {"toolConfig": mode("AUTO")}, "config is set without"),
        (F3, {"cachedContent": "cachedContents/a", "tools": TOOLS}, "cached content"),
        (F3, {"tools": [TOOLS[0], TOOLS[0]]}, "Duplicate"),
        (F3, {"tools": [{"functionDeclarations": [{"name": "1a"}]}]}, "Invalid function name"),
        (F3, {"generationConfig": {"responseLogprobs": True}}, "Logprobs"),
        ("gemma-3-27b-it", {"generationConfig": JSON}, "JSON mode"),
        ("gemma-3-27b-it", {"systemInstruction": {"parts": [{"text": "x"}]}}, "Developer instruction"),
        ("gemini-2.0-flash", {"generationConfig": {"thinkingConfig": {"thinkingBudget": 1}}}, "Thinking is not enabled"),
        ("gemini-3.8-flash", {"generationConfig": {"thinkingConfig": {"thinkingLevel": "MINIMAL"}}}, "MINIMAL"),
        ("gemini-2.5-pro", {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}, "Budget 0"),
        ("gemini-2.5-pro", {"generationConfig": {"thinkingConfig": {"thinkingBudget": 5}}}, "out of range"),
        (F3, {"generationConfig": {"responseModalities": ["IMAGE"]}}, "modalities"),
        ("gemini-3.8-flash-tts", {}, "modalities"),
    ],
)  # fmt: skip
def test_fields_that_exclude_each_other_are_refused(model: str, fields: dict[str, Any], message: str) -> None:
    refused = refusal(model, asked(**fields))

    assert message in str(refused)


@pytest.mark.row("T12", "T1")
@pytest.mark.parametrize("response", [{"$ref": "#/a"}, {"output": [{"b": {"$ref": "#/a"}}]}])
def test_t12_a_reference_in_a_result_is_refused(response: Any) -> None:
    call = {"role": "model", "parts": [{"functionCall": {"name": "f"}}]}
    body = {"contents": [user("hi"), call, user({"functionResponse": {"name": "f", "response": response}})]}

    assert refusal("gemini-2.5-flash", body) == (
        "The referenced name `#/a` in function_response.response does not match to a display_name in the "
        "function_response.parts."
    )


@pytest.mark.row("T12", "T8")
def test_t12_bytes_of_no_kind_are_refused() -> None:
    part = {"inlineData": {"mimeType": "application/octet-stream", "data": "AAAA"}}

    assert (
        refusal("gemini-2.5-flash", {"contents": [user(part)]})
        == "Unsupported MIME type: application/octet-stream"
    )


@pytest.mark.row("M4", "T12")
def test_m4_new_speech_models_take_no_sampling() -> None:
    body = {"contents": [user("hi")], "generationConfig": {"topK": 4}}

    assert refusal("gemini-3.8-flash-tts", body) == "temperature, top_p and top_k are not supported for models/gemini-3.8-flash-tts."  # fmt: skip
    assert refusal("gemini-3-flash-preview", body) is None
