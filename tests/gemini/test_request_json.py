"""Gemini's request as plain JSON."""

import msgspec
import pytest

from gateway.gemini.request_json import canonical, read_request
from gateway.gemini.wire import encode_request


def test_a_request_is_read_and_written_unchanged() -> None:
    body = {
        "contents": [
            {"role": "user", "parts": [{"text": "hi"}, {"inlineData": {"mimeType": "image/png", "data": "QQ=="}}]},
            {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"a": 1.5}}, "thoughtSignature": "s"}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"output": [1]}}}]},
        ],
        "systemInstruction": {"parts": [{"text": "short"}]},
        "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object"}}]}],
        "generationConfig": {"temperature": 0.5, "thinkingConfig": {"thinkingBudget": 0}},
        "safetySettings": [{"category": "C", "threshold": "OFF"}],
    }  # fmt: skip

    assert msgspec.json.decode(encode_request(read_request(body))) == body


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"contentz": []}, "unknown fields of a Gemini request: contentz"),
        ({"generationConfig": {"temprature": 1}}, "generationConfig.temprature"),
        (
            {"tools": [{"googleSearch": {}}, {"newTool": {"a": 1}}]},
            r"unknown fields of a Gemini request: tools\.1\.newTool",
        ),
        ({"contents": [{"parts": [{"txt": "hi"}]}]}, r"contents\.0\.parts\.0\.txt"),
        ({"contents": 5}, "not a Gemini request"),
        ({"contents": [{"parts": [{"text": 5}]}]}, "not a Gemini request"),
    ],
)
def test_a_mistake_is_a_value_error(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_request({"contents": []} | change)


def test_a_client_s_own_request_gets_one_spelling() -> None:
    assert canonical(
        {
            "contents": {"parts": {"text": "a"}},
            "system_instruction": {"parts": {"text": "b"}},
            "generation_config": {"max_output_tokens": 5, "newOption": 1},
            "somethingNew": 1,
        }
    ) == {
        "contents": [{"parts": [{"text": "a"}]}],
        "systemInstruction": {"parts": [{"text": "b"}]},
        "generationConfig": {"maxOutputTokens": 5, "newOption": 1},
        "somethingNew": 1,
    }


def test_what_comes_in_both_spellings_is_left() -> None:
    body: dict[str, object] = {"system_instruction": {"parts": []}, "systemInstruction": {"parts": []}}

    assert canonical(body) == body


@pytest.mark.parametrize("contents", [None, "text", [5, None], {"parts": None}])
def test_what_is_no_content_is_left(contents: object) -> None:
    result = canonical({"contents": contents})["contents"]

    assert result == contents or result == [contents]
