"""The texts of a request, found and replaced."""

from typing import Any

import pytest

from gateway.plugins.guard.texts import read, replaced

BODY = {
    "contents": [
        {"role": "user", "parts": [{"text": "a"}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]},
        {
            "role": "model",
            "parts": [{"functionCall": {"name": "f", "args": {"x": ["b", 1]}}, "thoughtSignature": "s"}],
        },
        {
            "role": "user",
            "parts": [{"functionResponse": {"id": "1", "name": "f", "response": {"data": {"y": "c"}}}}],
        },
    ],
    "systemInstruction": {"parts": [{"text": "d"}]},
    "tools": [{"functionDeclarations": [{"name": "f", "description": "e"}]}],
    "safetySettings": [{"category": "HARM", "threshold": "OFF"}],
    "generationConfig": {"responseModalities": ["TEXT"], "stopSequences": ["f"]},
}


def upper(body: Any) -> Any:
    return replaced(body, iter([text.upper() for text in read(body)[0]]))


def part(part: dict[str, Any], role: str = "user") -> dict[str, Any]:
    return {"contents": [{"role": role, "parts": [part]}]}


def test_what_the_model_reads_is_found() -> None:
    assert read(BODY)[0] == ["a", "b", "c", "d", "e", "f"]


def test_texts_are_replaced_in_their_places() -> None:
    result = upper(BODY)

    assert read(result)[0] == ["A", "B", "C", "D", "E", "F"]
    assert result["contents"][0]["parts"][1] == BODY["contents"][0]["parts"][1]  # type: ignore[index]
    assert result["contents"][1]["parts"][0]["functionCall"]["name"] == "f"
    assert result["contents"][1]["parts"][0]["thoughtSignature"] == "s"
    assert BODY["systemInstruction"] == {"parts": [{"text": "d"}]}


@pytest.mark.parametrize(
    "key", ["data", "id", "type", "role", "name", "signature", "model", "required", "toolConfig"]
)
@pytest.mark.parametrize("spelling", ["functionResponse", "function_response"])
def test_o20_a_tool_s_result_may_have_any_keys(key: str, spelling: str) -> None:
    texts, labels = read(part({spelling: {"id": "1", "name": "f", "response": {key: "word"}}}))

    assert texts == ["word"]
    assert key in labels


def test_o20_names_and_keys_are_labels() -> None:
    schema = {"type": "OBJECT", "properties": {"word": {"type": "odd"}}, "required": ["third"]}
    body = part({"functionCall": {"name": "called", "args": {"key": 1}}}, "actor") | {
        "tools": [{"functionDeclarations": [{"name": "declared", "parameters": schema}]}]
    }

    assert {"word", "odd", "third", "called", "key", "actor", "declared"} <= set(read(body)[1])
    assert read(body)[0] == []


def test_o20_neighbouring_parts_are_one_text() -> None:
    body = {
        "contents": [
            {"parts": [{"text": "for"}, {"text": "bidden"}, {"text": "x", "thought": True}, {"text": "y"}]}
        ]
    }

    assert read(body)[0] == ["forbidden", "x", "y"]
    assert replaced(body, iter(["forbidden", "x", "y"])) == body
    assert replaced(body, iter(["gone", "x", "y"])) == {
        "contents": [{"parts": [{"text": "gone"}, {"text": "x", "thought": True}, {"text": "y"}]}]
    }


def test_o20_a_part_with_more_than_text_stays() -> None:
    parts = [{"text": "a"}, {"text": "b", "thoughtSignature": "s"}]

    assert upper({"contents": {"parts": parts}})["contents"]["parts"] == [
        {"text": "AB"},
        {"text": "", "thoughtSignature": "s"},
    ]


def test_o20_texts_of_an_interaction_are_found() -> None:
    body = {"model": "m", "input": [{"type": "text", "text": "for"}, {"type": "text", "text": "bidden"}]}

    assert "forbidden" in read(body)[0]
