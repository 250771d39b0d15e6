"""Whole answers, counts, and the policy table."""

import json
from typing import Any

import pytest
from msgspec import Raw

from gateway.conversation import field_policy as compat
from gateway.errors import UnsupportedParameter
from gateway.gemini.stream_translator import decode
from gateway.gemini.turn_reader import TurnReader
from gateway.plugins.chat.response import Envelope, completion
from gateway.plugins.chat.wire import encode


def answered(gemini: dict[str, Any]) -> dict[str, Any]:
    reader = TurnReader(lambda: "call_new")
    events = reader.feed(decode(json.dumps(gemini).encode())) + reader.close(whole=True, accept_empty=True)
    found: dict[str, Any] = json.loads(encode(completion(events, Envelope("chatcmpl-x", 1, "asked"))))
    return found


def turn(parts: list[dict[str, Any]] | None, finish: str | None = "STOP", **more: Any) -> dict[str, Any]:
    content = {"role": "model"} if parts is None else {"role": "model", "parts": parts}
    return {"candidates": [{"content": content, "finishReason": finish}], **more}


def test_thoughts_and_texts_are_told_apart() -> None:  # I.82
    found = answered(turn([{"text": "T", "thought": True}, {"text": "A"}, {"text": "B"}]))

    message = found["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == ("AB", "T")


def test_tokens_eaten_by_thoughts_leave_an_empty_answer() -> None:  # I.83
    counts = {"promptTokenCount": 15, "thoughtsTokenCount": 2, "totalTokenCount": 17}
    found = answered(turn(None, "MAX_TOKENS", usageMetadata=counts))

    assert found["choices"][0]["message"]["content"] == ""
    assert found["choices"][0]["finish_reason"] == "length"
    assert found["usage"]["total_tokens"] == 17
    assert found["usage"]["completion_tokens_details"]["reasoning_tokens"] == 2


def test_a_call_without_id_and_arguments_gets_both() -> None:  # I.84
    choice = answered(turn([{"functionCall": {"name": "f", "args": None}}]))["choices"][0]

    assert choice["message"]["content"] is None
    assert choice["message"]["tool_calls"] == [
        {"id": "call_new", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    ]
    assert choice["finish_reason"] == "tool_calls"


def test_sound_is_counted_apart() -> None:
    data = turn(
        [{"text": "x"}], usageMetadata={"promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 7}]}
    )

    assert answered(data)["usage"]["prompt_tokens_details"]["audio_tokens"] == 7


def test_a_blocked_prompt_is_a_refusal() -> None:  # I.87
    choice = answered({"promptFeedback": {"blockReason": "SAFETY"}})["choices"][0]

    assert choice["finish_reason"] == "content_filter"
    assert choice["message"]["content"] is None
    assert choice["message"]["refusal"] == "Request blocked by Gemini: SAFETY"


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("NEW_THING", "stop"), ("PROHIBITED_CONTENT", "content_filter"), ("MALFORMED_FUNCTION_CALL", "stop"),
     (None, "stop"), (1, "stop"), (99, "stop"), ("OTHER", "stop")],
)  # fmt: skip
def test_every_finish_reason_is_one_of_openais(reason: Any, expected: str) -> None:  # I.88
    assert answered(turn([{"text": "x"}], reason))["choices"][0]["finish_reason"] == expected


def test_code_signatures_and_unknown_parts() -> None:
    parts: list[dict[str, Any]] = [
        {"executableCode": {"code": "1"}},
        {"text": "", "thoughtSignature": "S"},
        {"hologram": 1},
    ]
    message = answered(turn(parts))["choices"][0]["message"]

    assert message["content"] == "\n```python\n1\n```\n"
    assert message["extra_content"] == {"google": {"thought_signature": "S"}}


def test_an_answer_without_anything_is_an_empty_one() -> None:
    found = answered({})

    assert (found["choices"][0]["message"]["content"], found["choices"][0]["finish_reason"]) == ("", "stop")
    assert found["id"] == "chatcmpl-x"
    assert found["model"] == "asked"


def raw(**fields: Any) -> dict[str, Raw]:
    return {name: Raw(json.dumps(value).encode()) for name, value in fields.items()}


def test_what_asks_for_nothing_is_never_noted() -> None:  # I.14, partly
    sent = raw(tools=[], logit_bias={}, response_format={"type": "text"}, modalities=["text"], n=2, store=False,
               service_tier="auto", web_search_options=None, parallel_tool_calls=True, top_logprobs=0)  # fmt: skip

    assert compat.review(sent, compat.CHAT, "strict") == []


def test_harmless_and_unknown_fields_are_notes_in_both_modes() -> None:
    sent = {**raw(user="u", metadata={"a": "b"}), "weird\r\nname": Raw(b"1"), "": Raw(b"1")}

    assert compat.review(sent, compat.CHAT, "strict") == ["user", "metadata", "weird??name", "?"]


def test_what_changes_the_answer_is_a_note_or_a_400() -> None:
    sent = raw(logit_bias={"1": 2})

    assert compat.review(sent, compat.CHAT, "lenient") == ["logit_bias"]
    with pytest.raises(UnsupportedParameter) as caught:
        compat.review(sent, compat.CHAT, "strict")
    assert caught.value.param == "logit_bias"


def test_a_mapped_field_that_a_model_refuses_is_a_400_in_strict_mode() -> None:
    with pytest.raises(UnsupportedParameter):
        compat.drop("presence_penalty", "no", [], "strict")
