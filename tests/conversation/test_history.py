"""Histories become turns that Gemini takes: calls with their results, in an order that it accepts."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from msgspec import structs

from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.history import History, HistoryContext, write
from gateway.conversation.notes import Notes
from gateway.conversation.pairing import Call, Item, Result, Turn
from gateway.conversation.parts import AnyPart, server_part
from gateway.conversation.translation import TranslationContext, translate
from gateway.errors import BadRequest
from gateway.gemini.capabilities import Capabilities
from gateway.gemini.thought_signatures import SignatureKeys
from gateway.gemini.wire import Blob, Part, ServerToolCall, decode_part, encode_json
from gateway.plugins.chat.request import conversation
from gateway.plugins.chat.wire import decode_request
from tests.support.chat import gemini_body, translation
from tests.support.models import TABLE


@pytest.mark.parametrize("model", ["gemini-2.5-flash", "gemini-3-flash-preview", "gemini-3.8-flash"])
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
    contents = gemini_body({"messages": messages}, model)["contents"]

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
    assert body["contents"][3]["parts"][0]["text"] == "Tool result (c1): first"


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


ABLE = Capabilities(signatures=False)
SIGNED = Capabilities()


def user(text: str, at: str = "u") -> Turn:
    return Turn("user", [Part(text=text)], at)


def model(text: str = "", at: str = "m", calls: Sequence[Call] = ()) -> Turn:
    return Turn("model", [Part(text=text)] if text else [], at, list(calls))


def called(call_id: str, name: str = "f", arguments: str = "{}", signature: str | None = None) -> Call:
    at = f"call {call_id or name}"
    return Call(call_id, name, arguments, at, f"{at} arguments", signature)


def result(call_id: str, *parts: AnyPart | str, name: str = "", error: bool = False) -> Result:
    own: list[AnyPart] = [Part(text=part) if isinstance(part, str) else part for part in parts]
    return Result(call_id, name, own, f"result {call_id or name}", error)


def written(
    *items: Item, capabilities: Capabilities = ABLE, names: Mapping[str, str] | None = None
) -> tuple[History, Any, list[str]]:
    """Return a history, its contents as JSON, and the notes."""
    notes = Notes()
    history = write(items, HistoryContext(capabilities, KEYS, names=names or {}), notes)
    return history, json.loads(encode_json(history.contents)), list(notes)


def responses(contents: Any) -> list[Any]:
    """Return all function responses, as (id, response)."""
    parts = [
        part["functionResponse"]
        for content in contents
        for part in content["parts"]
        if "functionResponse" in part
    ]
    return [(part.get("id"), part["response"]) for part in parts]


def test_a_result_belongs_to_the_nearest_call_before_it_with_its_id() -> None:
    _, contents, notes = written(
        user("go"),
        model(calls=[called("c1")]),
        result("c1", "first"),
        model(calls=[called("c1")]),
        result("c1", "second"),
    )

    assert responses(contents) == [("c1", {"output": "first"}), ("c1", {"output": "second"})]
    assert notes == []


def test_a_result_without_an_id_belongs_to_the_nearest_call_of_its_name() -> None:
    _, contents, _ = written(
        user("go"),
        model(calls=[called("", "f"), called("", "g")]),
        result("", "one", name="f"),
        result("", "two", name="g"),
        model(calls=[called("", "f")]),
        result("", "three", name="f"),
    )

    assert responses(contents) == [(None, {"output": text}) for text in ("one", "two", "three")]


def test_a_call_without_a_result_gets_an_error_and_a_note() -> None:
    history, contents, notes = written(
        user("go"), model(calls=[called("c1"), called("c2")]), result("c2", "ok")
    )

    assert responses(contents) == [("c1", {"error": "no result was provided"}), ("c2", {"output": "ok"})]
    assert notes == ["call c1"]
    assert history.paths == ["u", "m", "result c2"]


def test_calls_without_any_result_have_the_path_of_their_turn() -> None:
    assert written(user("go"), model(calls=[called("c1")]))[0].paths == ["u", "m", "m"]


@pytest.mark.parametrize(("error", "text"), [(False, "oh"), (True, '{"error":"oh"}')])
@pytest.mark.parametrize(("call_id", "name", "word"), [("x", "f", "x"), ("", "g", "g"), ("", "", "unknown")])
def test_a_result_without_a_call_is_text_and_noted(
    call_id: str, name: str, word: str, error: bool, text: str
) -> None:
    orphan = result(call_id, "oh", name=name, error=error)

    _, contents, notes = written(model("hi", calls=[called("c1")]), result("c1", "ok"), orphan)

    assert contents[-1] == {"role": "user", "parts": [{"text": f"Tool result ({word}): {text}"}]}
    assert notes == [orphan.at]


@pytest.mark.parametrize(
    ("arguments", "sent", "noted"),
    [
        ("", b"{}", False),
        (" \n", b"{}", False),
        ('{"a": 1.0}', b'{"a": 1.0}', False),
        ("[1]", b'{"_raw":"[1]"}', True),
        ("null", b'{"_raw":"null"}', True),
        ("{bad", b'{"_raw":"{bad"}', True),
        ('{"a":%s}' % ("7" * 4200), b'{"_raw":"{\\"a\\":%s}"}' % (b"7" * 4200), True),
    ],
)
def test_arguments_are_an_object(arguments: str, sent: bytes, noted: bool) -> None:
    history, _, notes = written(
        user("go"), model(calls=[called("c1", arguments=arguments)]), result("c1", "ok")
    )

    call = (history.contents[1].parts or [])[0].function_call
    assert call is not None
    assert bytes(call.args) == sent
    assert notes == (["call c1 arguments"] if noted else [])


def test_a_call_of_an_undeclared_function_has_a_name_that_gemini_takes() -> None:
    _, contents, _ = written(
        user("go"),
        model(calls=[called("c1", "1 tool"), called("c2", "known")]),
        result("c1", "ok"),
        result("c2", "ok"),
        names={"known": "known_2"},
    )

    for content, kind in ((contents[1], "functionCall"), (contents[2], "functionResponse")):
        assert [part[kind]["name"] for part in content["parts"]] == ["_1_tool", "known_2"]


def test_the_first_call_of_each_step_is_signed_where_the_model_wants_it() -> None:
    items: list[Item] = [
        user("go"),
        model(calls=[called("c1"), called("c2")]),
        result("c1", "ok"),
        result("c2", "ok"),
        model(calls=[called("c3", signature="S"), called("c4")]),
        result("c3", "ok"),
        result("c4", "ok"),
    ]
    _, contents, notes = written(*items, capabilities=SIGNED)

    signatures = [[part.get("thoughtSignature") for part in contents[i]["parts"]] for i in (1, 3)]
    assert signatures == [["skip_thought_signature_validator", None], ["S", None]]
    assert notes == ["call c1.thought_signature"]
    assert written(*items)[2] == []


@pytest.mark.parametrize("prefill", [False, True])
def test_a_history_begins_with_the_user_and_may_end_with_the_model(prefill: bool) -> None:
    history, contents, _ = written(model("hi"), capabilities=Capabilities(prefill=prefill))

    expected = [("user", ""), ("model", "hi")] + [("user", "Continue.")] * (not prefill)
    assert [(content["role"], content["parts"][0]["text"]) for content in contents] == expected
    assert history.paths == ["", "m"] + [""] * (not prefill)


def test_an_empty_history_is_an_empty_text_of_the_user() -> None:
    assert written()[1] == [{"role": "user", "parts": [{"text": ""}]}]


def test_neighbours_of_one_role_are_joined_at_the_first_ones_place() -> None:
    history, contents, _ = written(
        user("a", "u1"), user("b", "u2"), model("c", "m1"), model("d", "m2"), user("e", "u3")
    )

    assert [[part["text"] for part in content["parts"]] for content in contents] == [
        ["a", "b"],
        ["c", "d"],
        ["e"],
    ]
    assert history.paths == ["u1", "m1", "u3"]


def test_an_instruction_after_an_answer_is_said_where_it_stands() -> None:
    system = [Turn("system", [Part(text=text)], "s") for text in ("first", "second")]

    history, contents, _ = written(system[0], user("a"), model("b"), system[1])

    assert [part.text for part in history.system] == ["first"]
    assert contents[2] == {"role": "user", "parts": [{"text": "second"}]}


PICTURE = Part(inline_data=Blob("image/png", PNG))


def test_media_of_a_result_are_inside_its_response_where_the_model_takes_them() -> None:
    items: list[Item] = [user("go"), model(calls=[called("c1")]), result("c1", "a map", PICTURE)]

    _, inside, _ = written(*items)
    _, outside, _ = written(*items, capabilities=Capabilities(signatures=False, response_media=False))

    assert inside[2]["parts"][0]["functionResponse"]["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": PNG}}
    ]
    assert len(inside) == 3
    assert "parts" not in outside[2]["parts"][0]["functionResponse"]
    assert outside[3]["role"] == "user"
    assert outside[3]["parts"] == [
        {"text": "Attachment of tool result f:"},
        {"inlineData": {"mimeType": "image/png", "data": PNG}},
    ]


@pytest.mark.parametrize("response_media", [False, True])
@pytest.mark.parametrize(("text", "output"), [("", "See the attached file(s)."), ("a map", "a map")])
def test_a_result_of_media_alone_has_a_text(response_media: bool, text: str, output: str) -> None:
    own = [text, PICTURE] if text else [PICTURE]
    _, contents, _ = written(
        user("go"),
        model(calls=[called("c1")]),
        result("c1", *own),
        capabilities=Capabilities(signatures=False, response_media=response_media),
    )

    assert responses(contents) == [("c1", {"output": output})]


def test_a_failed_call_is_an_error() -> None:
    _, contents, _ = written(user("go"), model(calls=[called("c1")]), result("c1", '{"a":1}', error=True))

    assert responses(contents) == [("c1", {"error": '{"a":1}'})]


@pytest.mark.row("T9")
@pytest.mark.parametrize("stored", [True, False])
def test_t09_a_part_of_googles_own_tool_comes_back_as_it_came(*, stored: bool) -> None:
    told, came = Part(text="as the client tells it"), b'{"toolCall":{"toolType":"X"},"thoughtSignature":"S"}'
    builder = ConversationBuilder("messages")
    builder.turn("model", [Part(text="a"), server_part(told, "t1", 2, "m.1"), Part(text="b")], "m")
    key = KEYS.server_part("t1", 2)
    context = HistoryContext(ABLE, KEYS, {key: came.decode()} if stored else {})

    history = write(builder.items, context, builder.notes)

    assert builder.unsigned(KEYS) == [key]
    assert history.contents[1].parts == [
        Part(text="a"), decode_part(came) if stored else told, Part(text="b")
    ]  # fmt: skip


@pytest.mark.row("T9")
@pytest.mark.parametrize("able", [True, False])
def test_t09_a_search_of_another_model_is_left_out_with_a_note(*, able: bool) -> None:
    search = Part(tool_call=ServerToolCall("GOOGLE_SEARCH_WEB"), thought_signature="S")
    builder = ConversationBuilder("messages")
    builder.turn("model", [server_part(search, "t1", 0, "m.0"), Part(text="b")], "m")
    capabilities = structs.replace(ABLE, builtins_with_functions=able)

    history = write(builder.items, HistoryContext(capabilities, KEYS), builder.notes)

    assert history.contents[1].parts == ([search] if able else []) + [Part(text="b")]
    assert list(builder.notes) == ([] if able else ["m.0"])
