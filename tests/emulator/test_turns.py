"""Turns of the emulated model besides talk."""

import json
from typing import Any

import pytest

from gateway.emulator.model_rules import refusal
from gateway.emulator.turns import turn
from tests.support.emulator import config, text, user

F3 = "gemini-3-flash-preview"


CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


TOOLS = [{"functionDeclarations": [{"name": "get_weather", "parametersJsonSchema": CITY}, {"name": "g"}]}]


def asked(text: str, **fields: Any) -> dict[str, Any]:
    return {"contents": [user(text)], **fields}


def mode(name: str, *allowed: str) -> dict[str, Any]:
    config = {"mode": name, **({"allowedFunctionNames": list(allowed)} if allowed else {})}
    return {"functionCallingConfig": config}


def calls(model: str, request: dict[str, Any]) -> list[Any]:
    result = turn(model, request)
    return [part["functionCall"]["name"] for part in result.parts if "functionCall" in part] if result else []


@pytest.mark.parametrize(
    ("prompt", "config", "expected"),
    [
        ("hello", None, []), ("the weather in Oslo", None, ["get_weather"]), ("call g", None, ["g"]),
        ("get_weather and g", None, ["get_weather", "g"]), ("hello", mode("ANY"), ["get_weather"]),
        ("hello", mode("ANY", "g"), ["g"]), ("the weather", mode("NONE"), []),
    ],
)  # fmt: skip
def test_functions_are_called_when_they_are_asked_for(prompt: str, config: Any, expected: list[str]) -> None:
    request = asked(prompt, tools=TOOLS, **({"toolConfig": config} if config else {}))

    assert calls(F3, request) == expected


def test_calls_are_signed_and_named_as_their_model_does() -> None:
    request = asked("get_weather in Oslo and g", tools=TOOLS)
    first, second = turn(F3, request).parts  # type: ignore[union-attr]
    (old, _) = turn("gemini-2.0-flash", request).parts  # type: ignore[union-attr]

    assert first["functionCall"]["args"] == {"city": "Oslo"}
    assert len(first["functionCall"]["id"]) == 8
    assert "thoughtSignature" in first
    assert "thoughtSignature" not in second
    assert set(old) == {"functionCall"}
    assert "id" not in old["functionCall"]


def test_steps_go_on_until_there_were_enough() -> None:
    contents = [user("get_weather in 3 steps")]
    for _ in range(3):
        step = turn(F3, {"contents": contents, "tools": TOOLS})
        assert step is not None
        assert "functionCall" in step.parts[0]
        contents += [
            {"role": "model", "parts": step.parts},
            {
                "role": "user",
                "parts": [{"functionResponse": {"name": "get_weather", "response": {"output": "sun"}}}],
            },
        ]
    final = turn(F3, {"contents": contents, "tools": TOOLS})

    assert final is not None
    assert final.parts == [{"text": "The tool said: sun"}]
    assert refusal(F3, {"contents": contents, "tools": TOOLS}) is None


def test_other_things_it_does() -> None:
    def parts(model: str, **fields: Any) -> list[Any]:
        result = turn(model, asked("x", **fields))
        assert result is not None
        return result.parts

    assert parts(F3, generationConfig={"responseMimeType": "application/json"}) == [
        {"text": '{"answer": "PONG"}'}
    ]
    assert parts("gemini-3.1-flash-image")[1]["inlineData"]["mimeType"] == "image/png"
    assert parts("gemini-3.8-flash-tts")[0]["inlineData"]["mimeType"].startswith("audio/L16")
    assert [next(iter(p)) for p in parts(F3, tools=[{"codeExecution": {}}])] == [
        "executableCode",
        "codeExecutionResult",
        "text",
    ]
    assert parts(F3, generationConfig={"thinkingConfig": {"includeThoughts": True}})[0]["thought"] is True
    searched = turn(F3, asked("x", tools=[{"googleSearch": {}}]))
    assert searched is not None
    assert searched.grounding is not None
    assert searched.grounding["groundingSupports"][0]["segment"]["endIndex"] == 17
    assert turn(F3, asked("x")) is None


@pytest.mark.parametrize("config", [{}, {"responseMimeType": "application/json"}])
def test_a_schema_in_words_is_followed(config: Any) -> None:
    words = 'Return the correct JSON response. {"properties": {"age": {"type": "integer"}}}'
    instruction = {"parts": [{"text": words}]}
    result = turn(F3, asked("Ada", systemInstruction=instruction, generationConfig=config))

    assert result is not None
    assert result.parts == [{"text": '{"age": 36}'}]


WORDS = 'Answer only with a JSON value matching this JSON Schema: {bad {"a": 1} {"properties": {"name": {"type": "string"}}}'


PERSON = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (config(responseMimeType="application/json"), {"answer": "PONG"}),
        (config(responseMimeType="application/json", responseJsonSchema=PERSON), {"name": "Ada", "age": 36}),
        (config(responseFormat={"text": {"mimeType": "APPLICATION_JSON", "schema": PERSON}}), {"name": "Ada", "age": 36}),
        (config(responseFormat={"text": {"mimeType": "APPLICATION_JSON"}}), {"answer": "PONG"}),
        ({"systemInstruction": {"parts": [{"text": WORDS}]}}, {"name": "Ada"}),
        ({"systemInstruction": {"parts": [{"text": "Answer only in JSON."}]}}, {"answer": "PONG"}),
    ],
)  # fmt: skip
def test_json_is_answered_where_a_field_or_words_ask_for_it(fields: dict[str, Any], expected: Any) -> None:
    assert json.loads(text(F3, "x", **fields)) == expected


def test_an_enum_is_a_bare_word() -> None:
    assert text(F3, "x", **config(responseMimeType="text/x.enum", responseSchema={"type": "STRING", "enum": ["yes"]})) == "yes"  # fmt: skip
    assert text(F3, "x", **config(responseMimeType="text/x.enum", responseJsonSchema={"enum": [1]})) == "1"


AGE = '{"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}'


@pytest.mark.row("T12")
@pytest.mark.parametrize(
    "words",
    [
        f"Output should be in JSON format and conform to the following schema:\n\n```\n{AGE}\n```",
        (
            'The output should be formatted as a JSON instance that conforms to the JSON schema below. As an example: {"properties":'
            f' {{"foo": {{"type": "array"}}}}}} and {{"foo": ["bar"]}}.\nHere is the output schema:\n```\n{AGE}\n```'
        ),
        f"Always respond with a JSON object that's compatible with this schema:\n\n{AGE}\n\nNo Markdown.",
        f"JSON schema:\n{AGE}\nYou MUST answer with a JSON object that matches the JSON schema above.",
        f"Ensure your final answer strictly adheres to the following OpenAPI schema: {AGE}",
        f"{'Long instructions. ' * 400} Output a valid JSON object. Here is the JSON schema to follow: {AGE}",
    ],
)
def test_t12_frameworks_ask_for_json_in_words(words: str) -> None:
    assert text("gemini-3-flash-preview", f"How old is Ada? {words}") == '{"age": 36}'


@pytest.mark.row("T12")
def test_t12_json_in_words_without_a_schema() -> None:
    assert text("gemini-3-flash-preview", "Respond in JSON.") == '{"answer": "PONG"}'
    assert text("gemini-3-flash-preview", "What is JSON?") == "You said: What is JSON?"
    long = "You are an agent. Tools return JSON. " * 200
    assert text("gemini-3-flash-preview", long).startswith("You said:")
