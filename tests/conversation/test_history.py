"""Histories of every kind become turns that Gemini takes."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.history import response_of
from gateway.conversation.translation import TranslationContext, translate
from gateway.emulator.messages import decode
from gateway.emulator.model_rules import refusal
from gateway.emulator.validation import validate
from gateway.errors import BadRequest
from gateway.gemini.thought_signatures import SignatureKeys
from gateway.gemini.wire import Part
from gateway.plugins.chat.request import conversation
from gateway.plugins.chat.wire import decode_request
from tests.support.chat import gemini_body, translation
from tests.support.models import TABLE

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
    return gemini_body({"messages": messages, **fields}, model)


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


KEYS = SignatureKeys("k")
CALL = {"type": "function", "function": {"name": "f", "arguments": '{"b": 1, "a": 2}'}}
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(20)).decode()


def asked(messages: list[dict[str, Any]], **fields: Any) -> ConversationBuilder:
    return conversation(decode_request(json.dumps({"messages": messages, **fields})), strict=False)


def answer_parts(messages: list[dict[str, Any]], stored: dict[bytes, str]) -> list[Part]:
    """Return the parts of the first model turn, with some signatures in the store."""
    model = "gemini-3-flash-preview"
    context = TranslationContext(model, TABLE.of(model), keys=KEYS, stored=stored)
    return list(translate(asked(messages), context).request.contents[1].parts or ())


@pytest.mark.parametrize("number", [0, 1])
def test_a_stored_signature_is_put_on_its_call(number: int) -> None:
    """By the call's id, and by its content for clients that make new ids."""
    key = KEYS.call("c1", "f", '{"a":2,"b":1}')[number]
    messages = [{"role": "assistant", "tool_calls": [{"id": "c1", **CALL}]}]

    (call,) = answer_parts(messages, {key: "SIGNED"})

    assert call.thought_signature == "SIGNED"
    assert asked(messages).unsigned(KEYS) == list(KEYS.call("c1", "f", '{"a":2,"b":1}'))


def test_another_clients_signature_is_not_found() -> None:
    key = SignatureKeys("somebody else").call("c1", "f", '{"a":2,"b":1}')[0]

    (call,) = answer_parts([{"role": "assistant", "tool_calls": [{"id": "c1", **CALL}]}], {key: "SIGNED"})

    assert call.thought_signature == "skip_thought_signature_validator"


def test_a_stored_signature_is_put_on_an_image_of_an_answer() -> None:
    image = {"image_url": {"url": f"data:image/png;base64,{PNG}"}}
    messages = [{"role": "assistant", "content": "look", "images": [image]}]
    (key,) = KEYS.image(PNG)

    text, picture = answer_parts(messages, {key: "SIGNED"})

    assert (text.thought_signature, picture.thought_signature) == (None, "SIGNED")
    assert asked(messages).unsigned(KEYS) == [key]


def test_strict_mode_refuses_arguments_that_are_no_object() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "[1]"}}
    messages = [{"role": "user", "content": "go"}, {"role": "assistant", "tool_calls": [call]}]

    with pytest.raises(BadRequest) as caught:
        translation({"messages": messages}, strict=True)

    assert caught.value.param == "messages[1].tool_calls[0].function.arguments"
    assert translation({"messages": messages}).notes[0] == "messages[1].tool_calls[0].function.arguments"


def test_a_call_has_the_name_that_its_tool_was_sent_under() -> None:
    tools = [{"type": "function", "function": {"name": name}} for name in ("a b", "a_b")]
    call = {"id": "c1", "type": "function", "function": {"name": "a_b", "arguments": "{}"}}
    body = gemini_body(
        {
            "tools": tools,
            "messages": [
                {"role": "assistant", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c1", "content": "ok"},
            ],
        }
    )

    assert [f["name"] for f in body["tools"][0]["functionDeclarations"]] == ["a_b", "a_b_2"]
    assert body["contents"][1]["parts"][0]["functionCall"]["name"] == "a_b_2"
    assert body["contents"][2]["parts"][0]["functionResponse"]["name"] == "a_b_2"


def test_a_result_with_an_unknown_id_is_not_matched_by_its_name() -> None:
    body = gemini_body(
        {
            "messages": [
                {"role": "assistant", "tool_calls": [{"id": "c1", **CALL}]},
                {"role": "tool", "tool_call_id": "other", "name": "f", "content": "ok"},
            ]
        }
    )

    response = body["contents"][2]["parts"][0]["functionResponse"]
    assert response["response"] == {"error": "no result was provided"}
    assert body["contents"][3]["parts"][0]["text"] == "Tool result (other): ok"


def test_the_last_of_several_results_counts() -> None:
    results = [{"role": "tool", "tool_call_id": "c1", "content": text} for text in ("first", "second")]
    body = gemini_body({"messages": [{"role": "assistant", "tool_calls": [{"id": "c1", **CALL}]}, *results]})

    assert body["contents"][2]["parts"][0]["functionResponse"]["response"] == {"output": "second"}


@pytest.mark.parametrize(("depth", "is_json"), [(60, True), (99, True), (101, False)])
def test_a_result_is_nested_as_deep_as_googles_parser_takes(depth: int, is_json: bool) -> None:
    """A result that is nested deeper than 100 levels is sent as text."""
    text = '{"a":' * depth + "1" + "}" * depth

    response = json.loads(bytes(response_of(text)))

    assert response == (json.loads(text) if is_json else {"output": text})


@pytest.mark.parametrize(
    ("mime_type", "inside"), [("image/png", True), ("application/zip", False), (None, True)]
)
def test_media_of_a_result_stand_where_gemini_takes_them(mime_type: str | None, inside: bool) -> None:
    """Files of types that a functionResponse cannot hold follow it; a file without a type is taken for an image."""
    file = {"file_id": "files/abc", "format": mime_type}
    body = gemini_body(
        {
            "messages": [
                {"role": "assistant", "tool_calls": [{"id": "c1", **CALL}]},
                {"role": "tool", "tool_call_id": "c1", "content": [{"type": "file", "file": file}]},
            ]
        },
        "gemini-3-flash-preview",
    )

    assert ("parts" in body["contents"][2]["parts"][0]["functionResponse"]) is inside
    assert len(body["contents"]) == (3 if inside else 4)
