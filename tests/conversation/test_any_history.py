"""Histories of every kind, generated: the emulator's checks of order refuse none of them."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.emulator.messages import decode
from gateway.emulator.model_rules import refusal
from gateway.emulator.validation import validate
from tests.support.chat import gemini_body

MODELS = [
    "gemini-2.0-flash",
    "gemini-2.5-flash",
    "gemini-3-flash-preview",
    "gemini-3.8-flash",
    "gemma-3-27b-it",
]

IDS = st.sampled_from(["a", "b", "c", "", "call_1__thought__U0lH"])
NAMES = st.sampled_from(["f", "g", "1tool"])
TEXTS = st.sampled_from(["", "hi", "\n", "[1]", '{"a": 1}'])
PARTS = st.lists(st.builds(lambda text: {"type": "text", "text": text}, TEXTS), max_size=2)
CALLS = st.builds(
    lambda i, name, args: {"id": i, "type": "function", "function": {"name": name, "arguments": args}},
    IDS, NAMES, st.sampled_from(["", "{}", "{bad", '{"a":1}']),
)  # fmt: skip
MESSAGES = st.one_of(
    st.builds(lambda role, content: {"role": role, "content": content},
              st.sampled_from(["system", "developer", "user"]), TEXTS | PARTS),
    st.builds(lambda content, calls: {"role": "assistant", "content": content, "tool_calls": calls},
              st.none() | TEXTS | PARTS, st.none() | st.lists(CALLS, max_size=3)),
    st.builds(lambda i, content: {"role": "tool", "tool_call_id": i, "content": content}, IDS, TEXTS | PARTS),
    st.builds(lambda name, content: {"role": "function", "name": name, "content": content}, NAMES, TEXTS),
    st.builds(lambda name: {"role": "assistant", "function_call": {"name": name, "arguments": "{}"}}, NAMES),
)  # fmt: skip


@pytest.mark.parametrize("model", MODELS)
@settings(max_examples=250)
@given(messages=st.lists(MESSAGES, min_size=1, max_size=8))
def test_no_history_meets_an_ordering_refusal(model: str, messages: list[dict[str, Any]]) -> None:
    body = gemini_body({"messages": messages}, model)

    assert validate(model, body) is None
    reason = refusal(model, decode(body))
    assert reason is None or "not valid" in reason  # a signature the client made up is Google's to judge


@given(st.lists(MESSAGES, min_size=1, max_size=6))
def test_every_text_of_the_user_arrives_once_and_in_order(messages: list[dict[str, Any]]) -> None:
    numbered = [{**m, "content": f"<{i}>"} if m["role"] == "user" else m for i, m in enumerate(messages)]
    body = gemini_body({"messages": numbered}, "gemini-2.5-flash")

    texts = [part.get("text", "") for content in body["contents"] for part in content["parts"]]
    expected = [m["content"] for m in numbered if m["role"] == "user"]
    assert [text for text in texts if text.startswith("<")] == expected
