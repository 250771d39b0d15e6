"""The rest of Google's refusals, each with its model and its words (translation.md J), and what passes beside them."""

import base64
from typing import Any

import pytest

from gateway.emulator.history import SIGNATURE
from gateway.emulator.refusals import RULES, refusal

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
    found = {"mode": mode, "allowedFunctionNames": list(allowed)}
    return {"functionCallingConfig": {key: value for key, value in found.items() if value}}


@pytest.mark.parametrize(
    ("model", "request_", "told"),
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
        ("gemini-3.8-flash-tts", asked(tools=[FUNCTIONS]), "Function calling is not enabled for models/gemini-3.8-flash-tts"),
        ("gemma-3-27b-it", asked(tools=[FUNCTIONS]), "Function calling is not enabled for models/gemma-3-27b-it"),
        ("gemini-3.1-flash-image", asked(generationConfig=JSON), "JSON mode is not enabled for models/gemini-3.1-flash-image"),
        ("gemini-3.8-flash-tts", asked(PNG), "Image input modality is not enabled for models/gemini-3.8-flash-tts"),
        ("gemma-3-27b-it", asked({"fileData": {"fileUri": "u", "mimeType": "application/pdf"}}), "Document input modality"),
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
def test_refused(model: str, request_: dict[str, Any], told: str) -> None:
    found = refusal(model, request_)

    assert found is not None
    assert told in found


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


def _steps(*signatures: str | None) -> dict[str, Any]:
    """A user's turn and a step of one call for each signature."""
    contents: list[dict[str, Any]] = [{"role": "user", "parts": [{"text": "x"}]}]
    for signature in signatures:
        part: dict[str, Any] = {"functionCall": {"name": "f"}}
        contents += [
            {"role": "model", "parts": [part | ({"thoughtSignature": signature} if signature else {})]},
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]},
        ]
    return {"contents": contents}


OURS = base64.b64encode(SIGNATURE + b"abc").decode()


@pytest.mark.parametrize(
    ("signatures", "told"),
    [
        ((OURS, OURS), None), ((OURS.replace("+", "-").replace("/", "_").rstrip("="),), None),
        (("skip_thought_signature_validator", "context_engineering_is_the_way_to_go"), None),
        (("skip/thought/signature/validator",), None), ((OURS, "AAAA"), "Thought signature is not valid"), (("A",), "not valid"),
        ((OURS, None), ("Function call is missing a thought_signature in functionCall parts. This is required for tools to work "
         "correctly, and missing thought_signature may lead to degraded model performance. Additional data, function call "
         "`default_api:f` , position 4. Please refer to https://ai.google.dev/gemini-api/docs/thought-signatures for more details.")),
    ],
)  # fmt: skip
def test_each_step_of_the_current_turn_is_signed(
    signatures: tuple[str | None, ...], told: str | None
) -> None:
    found = refusal(F3, _steps(*signatures))

    assert told in found if told and found else found is told


def test_only_the_first_of_parallel_calls_is_signed() -> None:
    request = _steps(OURS)
    request["contents"][1]["parts"].append({"functionCall": {"name": "g"}})

    assert refusal(F3, request) is None
    request["contents"][1]["parts"].reverse()
    assert "default_api:g" in str(refusal(F3, request))


def test_a_history_without_a_user_is_all_of_the_current_turn() -> None:
    request = _steps(None)
    del request["contents"][0]

    assert "position 1" in str(refusal(F3, request))
