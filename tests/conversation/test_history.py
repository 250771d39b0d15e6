"""Whatever history a client sends, Gemini's contract has nothing against it (translation.md B.2)."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.capabilities import shipped
from gateway.conversation import translation as chat
from gateway.emulator.messages import decode
from gateway.emulator.model_rules import refusal
from gateway.emulator.validation import validate
from gateway.gemini import wire as gemini
from gateway.gemini.capabilities import CapabilityTable
from gateway.gemini.thought_signatures import SignatureKeys
from gateway.plugins.chat.wire import decode_request

FAMILIES = CapabilityTable(shipped())
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


def translated(model: str, messages: list[dict[str, Any]], **fields: Any) -> Any:
    body = decode_request(json.dumps({"messages": messages, **fields}))
    done = chat.to_gemini(
        body, chat.TranslationContext(model, FAMILIES.of(model), keyring=SignatureKeys("k"))
    )
    return json.loads(gemini.encode_request(done.request))


@settings(max_examples=1500, deadline=None)
@given(st.sampled_from(MODELS), st.lists(MESSAGES, min_size=1, max_size=8))
def test_no_history_meets_an_ordering_refusal(model: str, messages: list[dict[str, Any]]) -> None:
    found = translated(model, messages)

    assert validate(model, found) is None
    told = refusal(model, decode(found))
    assert told is None or "not valid" in told  # a signature the client made up is Google's to judge


@given(st.lists(MESSAGES, min_size=1, max_size=6))
def test_every_text_of_the_user_arrives_once_and_in_order(messages: list[dict[str, Any]]) -> None:
    numbered = [{**m, "content": f"<{i}>"} if m["role"] == "user" else m for i, m in enumerate(messages)]
    found = translated("gemini-2.5-flash", numbered)

    texts = [part.get("text", "") for content in found["contents"] for part in content["parts"]]
    expected = [m["content"] for m in numbered if m["role"] == "user"]
    assert [text for text in texts if text.startswith("<")] == expected


@pytest.mark.parametrize("model", MODELS[1:4])
def test_every_result_stands_right_after_its_calls(model: str) -> None:
    call = {"type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "tool_calls": [{"id": "1", **call}, {"id": "2", **call}]},
        {"role": "user", "content": "hurry"},
        {"role": "tool", "tool_call_id": "2", "content": "two"},
        {"role": "system", "content": "be calm"},
        {"role": "tool", "tool_call_id": "1", "content": "one"},
    ]
    contents = translated(model, messages)["contents"]

    results = [part["functionResponse"]["response"]["output"] for part in contents[2]["parts"]]
    assert results == ["one", "two"]
    assert [part["text"] for part in contents[3]["parts"]] == ["hurry", "be calm"]
