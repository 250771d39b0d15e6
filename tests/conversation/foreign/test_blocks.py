"""Blocks of any vendor's dialect."""

from typing import Any

import pytest

from gateway.conversation.foreign.blocks import (
    BlockReader,
    ForeignCall,
    ForeignResult,
    Thought,
    as_parts,
    kind_of,
)
from gateway.conversation.foreign.turns import bracketed
from gateway.conversation.invalid import UnknownShape
from gateway.conversation.notes import Notes
from gateway.gemini.wire import Part


def _reader() -> BlockReader:
    return BlockReader(Notes(), bracketed)


@pytest.mark.row("G12")
@pytest.mark.parametrize(
    "block",
    [
        {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}},
        {"type": "tool-call", "toolCallId": "c", "toolName": "f", "args": {"a": 1}},
        {"type": "tool-call", "toolCallId": "c", "toolName": "f", "input": {"a": 1}},
        {"type": "tool_call", "id": "c", "name": "f", "args": {"a": 1}},
        {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": '{"a":1}'},
        {"type": "function", "id": "c", "function": {"name": "f", "arguments": '{"a":1}'}},
        {"functionCall": {"id": "c", "name": "f", "args": {"a": 1}}},
        {"toolUse": {"toolUseId": "c", "name": "f", "input": {"a": 1}}},
    ],
)
def test_g12_a_call_of_every_vendor(block: dict[str, Any]) -> None:
    (call,) = _reader().read(block, "at")

    assert isinstance(call, ForeignCall)
    assert (call.id, call.name, call.arguments) == ("c", "f", '{"a":1}')


@pytest.mark.parametrize(
    "block",
    [
        {"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "x"},
        {"type": "custom", "id": "c", "custom": {"name": "f", "input": "x"}},
    ],
)
def test_a_custom_call_is_a_function_of_one_text(block: dict[str, Any]) -> None:
    (call,) = _reader().read(block, "at")

    assert isinstance(call, ForeignCall)
    assert call.arguments == '{"input":"x"}'


@pytest.mark.row("G12")
@pytest.mark.parametrize(
    "block",
    [
        {"type": "tool_result", "tool_use_id": "c", "content": "42"},
        {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": "42"}]},
        {
            "type": "tool-result",
            "toolCallId": "c",
            "toolName": "f",
            "output": {"type": "text", "value": "42"},
        },
        {"type": "tool-result", "toolCallId": "c", "toolName": "f", "result": 42},
        {"type": "function_call_output", "call_id": "c", "output": "42"},
        {"toolResult": {"toolUseId": "c", "content": [{"text": "42"}]}},
        {"functionResponse": {"id": "c", "name": "f", "response": "42"}},
    ],
)
def test_g12_a_result_of_every_vendor(block: dict[str, Any]) -> None:
    (result,) = _reader().read(block, "at")

    assert isinstance(result, ForeignResult)
    assert (result.call_id, result.parts, result.error) == ("c", [Part(text="42")], False)


@pytest.mark.parametrize(
    ("block", "text"),
    [
        ({"type": "tool_result", "tool_use_id": "c", "is_error": True, "content": "no"}, "no"),
        ({"toolResult": {"toolUseId": "c", "status": "error", "content": [{"text": "no"}]}}, "no"),
        ({"type": "tool-result", "isError": True, "result": {"why": "no"}}, '{"why":"no"}'),
    ],
)
def test_a_failed_result_is_an_error(block: dict[str, Any], text: str) -> None:
    (result,) = _reader().read(block, "at")

    assert isinstance(result, ForeignResult)
    assert result.error
    assert result.parts == [Part(text=text)]


@pytest.mark.row("G5")
@pytest.mark.parametrize(
    ("block", "text"),
    [
        ({"type": "tool_reference", "tool_name": "mcp__a"}, "The tool 'mcp__a' is available."),
        ({"type": "container_upload", "file_id": "file_1"}, "[container_upload] file_id: file_1"),
        ({"type": "zork", "depth": {"of": [1]}}, '[zork] {"depth":{"of":[1]}}'),
        ({"type": "refusal", "refusal": "no"}, "no"),
        ({"type": "text", "text": {"value": "x", "annotations": []}}, "x"),
        ({"text": "x"}, "x"),
    ],
)
def test_g05_an_unknown_block_becomes_text_and_a_note(block: dict[str, Any], text: str) -> None:
    notes = Notes()

    assert BlockReader(notes, bracketed).read(block, "at") == [Part(text=text)]
    assert list(notes) == [f"at.type={kind_of(block)}"]


def test_documents_and_search_results_become_their_texts() -> None:
    content = [{"type": "text", "text": "body"}]
    search = {"type": "search_result", "title": "T", "source": "https://a.example", "content": content}
    document = {
        "type": "document",
        "title": "T",
        "context": "C",
        "source": {"type": "content", "content": content},
    }
    plain = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "body"}}

    assert _reader().parts(search, "at") == [Part(text="T\nhttps://a.example"), Part(text="body")]
    assert _reader().parts(document, "at") == [Part(text="T\nC\n"), Part(text="body")]
    assert _reader().parts(plain, "at") == [Part(text="body")]


@pytest.mark.row("G19")
@pytest.mark.parametrize("signature", [None, 5, {"a": 1}, ["x"], ""])
def test_g19_a_signature_that_is_no_text_is_dropped(signature: object) -> None:
    reader = _reader()

    assert reader.read({"type": "thinking", "thinking": "t", "signature": signature}, "at") == [Thought(None)]
    (call,) = reader.read({"type": "tool_use", "name": "f", "thought_signature": signature}, "at")
    assert isinstance(call, ForeignCall)
    assert call.signature is None


@pytest.mark.parametrize(
    "place",
    [
        {"extra_content": {"google": {"thought_signature": "s"}}},
        {"extra_content": {"vertex": {"thought_signature": "s"}}},
        {"provider_specific_fields": {"thought_signature": "s"}},
        {"providerOptions": {"google": {"thoughtSignature": "s"}}},
        {"thoughtSignature": "s"},
    ],
)
def test_a_calls_signature_is_found_where_clients_keep_it(place: dict[str, Any]) -> None:
    (call,) = _reader().read({"type": "tool_use", "name": "f", **place}, "at")

    assert isinstance(call, ForeignCall)
    assert call.signature == "s"


def test_calls_where_none_can_stand_become_text() -> None:
    assert as_parts(ForeignCall("c", "f", "{}", "", "")) == (Part(text="[tool_use] f({})"),)
    assert as_parts(ForeignResult("c", "", [Part(text="1")], "")) == (
        Part(text="[tool_result] c"),
        Part(text="1"),
    )
    assert as_parts(Thought("s")) == ()


@pytest.mark.parametrize("value", [5, True, {}, {"type": ""}, {"type": 5}, {"a": 1}, [[1]]])
def test_what_names_no_kind_is_a_mistake(value: object) -> None:
    with pytest.raises(UnknownShape):
        _reader().content(value, "at")
