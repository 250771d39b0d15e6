"""What the emulated model does besides talking, and what it refuses to combine."""

from typing import Any

import pytest

from gateway.emulator.refusals import refusal
from gateway.emulator.schemas import instance
from gateway.emulator.turns import turn

F3 = "gemini-3-flash-preview"
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"functionDeclarations": [{"name": "get_weather", "parametersJsonSchema": CITY}, {"name": "g"}]}]


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "parts": [{"text": text}]}


def asked(text: str, **fields: Any) -> dict[str, Any]:
    return {"contents": [user(text)], **fields}


def mode(name: str, *allowed: str) -> dict[str, Any]:
    config = {"mode": name, **({"allowedFunctionNames": list(allowed)} if allowed else {})}
    return {"functionCallingConfig": config}


def calls(model: str, request: dict[str, Any]) -> list[Any]:
    found = turn(model, request)
    return [part["functionCall"]["name"] for part in found.parts if "functionCall" in part] if found else []


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


def test_calls_are_signed_and_named_as_their_family_does() -> None:
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
        found = turn(model, asked("x", **fields))
        assert found is not None
        return found.parts

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
    found = turn(F3, asked("Ada", systemInstruction=instruction, generationConfig=config))

    assert found is not None
    assert found.parts == [{"text": '{"age": 36}'}]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "OBJECT", "properties": {"name": {"type": "STRING"}, "age": {"type": "INTEGER"}}}, {"name": "Ada", "age": 36}),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"enum": ["b"]}}}, "b"),
        ({"anyOf": [{"type": "array", "items": {"type": "number"}, "minItems": 2}]}, [7.5, 7.5]),
        ({"type": "integer", "minimum": 50}, 50), ({"type": "boolean"}, True), ({"type": "null"}, None), (True, "x"),
        ({"type": "object", "properties": {"a": {}, "b": {}}, "required": ["b", "c"]}, {"b": "x"}),
    ],
)  # fmt: skip
def test_the_smallest_instance(schema: Any, expected: Any) -> None:
    assert instance(schema) == expected


JSON = {"responseMimeType": "application/json"}
SEARCH: dict[str, Any] = {"googleSearch": {}}


@pytest.mark.parametrize(
    ("model", "fields", "told"),
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
def test_what_does_not_go_together_is_refused(model: str, fields: dict[str, Any], told: str) -> None:
    found = refusal(model, asked("x", **fields))

    assert found is not None
    assert told in found


def _step(signature: str | None) -> list[dict[str, Any]]:
    part: dict[str, Any] = {"functionCall": {"name": "f"}}
    if signature:
        part["thoughtSignature"] = signature
    return [
        user("x"),
        {"role": "model", "parts": [part]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]},
    ]


@pytest.mark.parametrize(
    ("signature", "told"),
    [
        (None, "missing a thought_signature"), ("bm90IG91cnM=", "not valid"), ("!", "not valid"),
        ("skip_thought_signature_validator", None),
        ("c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=", None),
    ],
)  # fmt: skip
def test_signatures_are_looked_at(signature: str | None, told: str | None) -> None:
    found = refusal(F3, {"contents": _step(signature)})

    assert (told in found) if told and found else found is None
    assert (found is None) == (told is None)


def test_earlier_turns_and_older_models_need_no_signature() -> None:
    assert (
        refusal(F3, {"contents": [*_step(None), {"role": "model", "parts": [{"text": "a"}]}, user("b")]})
        is None
    )
    assert refusal("gemini-2.5-flash", {"contents": _step(None)}) is None
