"""Responses: items to a chat, events to items; the same frames for every cut of the stream."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest, RateLimited, UnsupportedParameter
from gateway.gemini.call_names import CallRules
from gateway.gemini.stream_translator import StreamTranslator
from gateway.gemini.turn_reader import TurnReader
from gateway.plugins.chat.wire import ChatRequest
from gateway.plugins.responses.request import seal, to_chat, unseal
from gateway.plugins.responses.response import ResponseOptions, ResponseStream
from gateway.plugins.responses.wire import ResponseRequest
from tests.support.paths import GOLDEN

STREAMS = sorted((GOLDEN / "chat_stream").glob("*.golden"))


def chat(**fields: Any) -> ChatRequest:
    return to_chat(msgspec.convert({"input": "hi", **fields}, ResponseRequest), []).body


def messages(*items: dict[str, Any]) -> list[Any]:
    found = chat(input=list(items)).messages
    return [{k: v for k, v in msgspec.to_builtins(m).items() if v is not None} for m in found]


CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "1"}


def test_calls_in_a_row_are_one_message_and_reasoning_signs_the_next() -> None:
    reasoning = {"type": "reasoning", "encrypted_content": seal("S", "c1")}
    first, second, third = messages(reasoning, CALL, {**CALL, "call_id": "c2"}, OUTPUT, CALL)

    assert [call["id"] for call in first["tool_calls"]] == ["c1", "c2"]
    assert first["tool_calls"][0]["extra_content"]["google"]["thought_signature"] == "S"
    assert first["tool_calls"][1]["extra_content"] is None
    assert (second["role"], second["content"], second["tool_call_id"]) == ("tool", "1", "c1")
    assert len(third["tool_calls"]) == 1


def test_items_of_every_kind() -> None:
    found = messages(
        {"role": "developer", "content": "be brief"},
        {"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": "look"}, {"type": "input_image", "image_url": "data:x", "detail": "low"},
            {"type": "input_image", "file_id": "file-a"}, {"type": "input_file", "file_data": "AAAA", "filename": "a.pdf"},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        ]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "ok"},
                                                             {"type": "refusal", "refusal": "no"}]},
        {"type": "custom_tool_call", "call_id": "c", "name": "sh", "input": "ls"},
        {"type": "custom_tool_call_output", "call_id": "c", "output": {"a": 1}},
        {"type": "image_generation_call", "result": "AAAA"},
    )  # fmt: skip

    assert [m["role"] for m in found] == ["developer", "user", "assistant", "assistant", "tool", "assistant"]
    assert [part["type"] for part in found[1]["content"]] == [
        "text",
        "image_url",
        "file",
        "file",
        "input_audio",
    ]
    assert found[3]["tool_calls"][0]["custom"] == {"name": "sh", "input": "ls"}
    assert found[4]["content"] == '{"a":1}'
    assert found[5]["images"][0]["image_url"]["url"] == "data:image/png;base64,AAAA"


def test_fields_find_their_place() -> None:
    body = chat(
        instructions="sys", max_output_tokens=7, reasoning={"effort": "low", "summary": "auto"},
        text={"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
        tools=[{"type": "function", "name": "f"}, {"type": "namespace", "tools": [{"type": "function", "name": "g"}]},
               {"type": "web_search"}, {"type": "custom", "name": "c"}, {"type": "shell"}],
        tool_choice={"type": "function", "name": "f"}, top_logprobs=2,
    )  # fmt: skip

    assert (body.messages[0].role, body.messages[0].content, body.max_completion_tokens) == (
        "system",
        "sys",
        7,
    )
    assert body.reasoning is not None
    assert (body.reasoning.effort, body.reasoning.exclude) == ("low", False)
    assert [tool.type for tool in body.tools or ()] == ["function", "function", "web_search", "custom"]
    assert body.response_format is not None
    assert body.response_format.json_schema is not None
    assert body.logprobs


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"), ({"input": []}, "input"), ({"input": [{"type": "message", "content": "x"}]}, "input[0].role"),
        ({"input": [{"type": "function_call", "call_id": "c"}]}, "input[0].name"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].id"),
        ({"input": [{"role": "user", "content": [{"type": "hologram"}]}]}, "input[0].content[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"), ({"conversation": "c"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_names_its_field(fields: dict[str, Any], param: str) -> None:
    with pytest.raises((BadRequest, UnsupportedParameter)) as caught:
        chat(**fields)

    assert caught.value.param == param


def test_types_nobody_can_run_are_notes() -> None:
    body = msgspec.convert({"input": [{"type": "mcp_call"}, {"role": "user", "content": "x"}],
                            "tools": [{"type": "mcp"}], "tool_choice": "auto"}, ResponseRequest)  # fmt: skip

    assert to_chat(body, []).notes == ["input.mcp_call", "tools.mcp"]


@pytest.mark.parametrize("content", ["", "gsig1:!", "gsig1:AAAA", "gsig1:W10=", "other"])
def test_foreign_encrypted_content_is_left_alone(content: str) -> None:
    assert unseal(content) is None


def test_sealed_signatures_come_back() -> None:
    assert unseal(seal("c2ln", "call_1")) == "c2ln"


def frames(stream: bytes, cuts: list[int], **wishes: Any) -> tuple[bytes, Any]:
    numbers = iter(range(1000))
    response = {"id": "resp_x", "created_at": 1, "model": "asked", "status": "in_progress", "output": []}
    encoder = ResponseStream(
        response, ResponseOptions(CallRules(), **wishes), lambda prefix: f"{prefix}{next(numbers)}"
    )
    translator = StreamTranslator(TurnReader(lambda: f"call_{next(numbers)}"), encoder)
    out = b""
    for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        out += translator.feed(stream[a:b]) if translator.error is None else b""
    out += translator.close() if translator.error is None else b""
    if translator.error is not None:
        out += translator.fail(translator.error)
    return out, encoder.response


def sse(file: Path) -> bytes:
    events = file.read_bytes().decode().partition("\n-----\n")[0]
    return b"".join(b"data: " + line.encode() + b"\r\n\r\n" for line in events.split("\n") if line)


@pytest.mark.parametrize("file", STREAMS, ids=lambda f: f.stem)
def test_every_stream_numbers_its_events_and_ends_once(file: Path) -> None:  # I.125
    out, response = frames(sse(file), [], encrypted=True)
    events = [json.loads(line[6:]) for line in out.decode().split("\n") if line.startswith("data: ")]

    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"] for event in events][:2] == ["response.created", "response.in_progress"]
    ends = [
        e for e in events if e["type"] in ("response.completed", "response.incomplete", "response.failed")
    ]
    assert len(ends) == 1
    assert ends[0]["response"]["status"] == response["status"] == ends[0]["type"].partition(".")[2]
    added = [e for e in events if e["type"] == "response.output_item.added"]
    done = [e for e in events if e["type"] == "response.output_item.done"]
    if response["status"] != "failed":
        assert (
            [e["output_index"] for e in added] == [e["output_index"] for e in done] == list(range(len(added)))
        )
        assert [e["item"] for e in done] == ends[0]["response"]["output"]


@given(st.sampled_from(STREAMS), st.lists(st.integers(0, 4000), max_size=10))
def test_a_stream_cut_anywhere_gives_the_same_frames(file: Path, cuts: list[int]) -> None:
    stream = sse(file)
    edges = sorted(cut % (len(stream) + 1) for cut in cuts)

    assert frames(stream, edges)[0] == frames(stream, [])[0]


def test_a_rate_limit_midway_has_its_code() -> None:
    encoder = ResponseStream(
        {"output": [], "status": "in_progress"}, ResponseOptions(CallRules()), lambda prefix: prefix
    )

    assert b'"code":"rate_limit_exceeded"' in encoder.fail(RateLimited("slow down"))
