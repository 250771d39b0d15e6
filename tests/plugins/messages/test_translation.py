"""Anthropic's Messages: blocks to a chat, events to blocks; the same frames for every cut of the stream."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest
from gateway.gemini.stream_translator import StreamTranslator
from gateway.gemini.turn_reader import TurnReader
from gateway.gemini.usage import TokenCounts
from gateway.plugins.messages.request import to_chat
from gateway.plugins.messages.response import MessagesStream, usage
from gateway.plugins.messages.wire import MessagesRequest
from tests.support.paths import GOLDEN

STREAMS = sorted((GOLDEN / "chat_stream").glob("*.golden"))
USER = {"role": "user", "content": "hi"}


def chat(**fields: Any) -> Any:
    body = {"max_tokens": 5, "messages": [USER], **fields}
    return msgspec.to_builtins(to_chat(msgspec.convert(body, MessagesRequest)).body)


def set_(message: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in message.items() if value is not None}


def test_i124_results_come_before_the_words_beside_them() -> None:
    content = [{"type": "tool_result", "tool_use_id": "t", "content": "42"}, {"type": "text", "text": "and?"}]
    tool, user = chat(messages=[{"role": "user", "content": content}])["messages"]

    assert (tool["role"], tool["content"], tool["tool_call_id"]) == ("tool", "42", "t")
    assert user["role"] == "user"


def test_a_thoughts_signature_goes_to_the_call_after_it() -> None:
    content = [{"type": "thinking", "thinking": "t", "signature": "S"}, {"type": "text", "text": "x"},
               {"type": "tool_use", "id": "a", "name": "f", "input": {"a": 1}},
               {"type": "tool_use", "id": "b", "name": "g", "input": {}}, {"type": "server_tool_use"}]  # fmt: skip
    (message,) = chat(messages=[{"role": "assistant", "content": content}])["messages"]

    first, second = message["tool_calls"]
    assert first["extra_content"]["google"]["thought_signature"] == "S"
    assert second["extra_content"] is None
    assert [part["text"] for part in message["content"]] == ["x"]


def test_a_redacted_thought_signs_the_text() -> None:
    content = [{"type": "redacted_thinking", "data": "S"}, {"type": "text", "text": "x"}]
    (message,) = chat(messages=[{"role": "assistant", "content": content}])["messages"]

    assert message["extra_content"]["google"]["thought_signature"] == "S"


def test_images_documents_and_errors() -> None:
    def source(**fields: Any) -> dict[str, Any]:
        return {"source": fields}

    content = [
        {"type": "image", **source(type="base64", media_type="image/png", data="AAAA")},
        {"type": "image", **source(type="url", url="https://a.example/x.png")},
        {"type": "image", **source(type="file", file_id="file-a")},
        {"type": "document", **source(type="base64", data="AAAA")},
        {"type": "document", **source(type="text", data="words")},
        {"type": "document", **source(type="content", content=[{"type": "text", "text": "more"}])},
        {"type": "document", **source(type="content", content="most")},
        {
            "type": "tool_result",
            "tool_use_id": "t",
            "content": [{"type": "text", "text": "boom"}],
            "is_error": True,
        },
    ]
    tool, user = chat(messages=[{"role": "user", "content": content}])["messages"]

    parts = user["content"]
    assert tool["content"] == '{"error":"boom"}'
    assert [part["type"] for part in parts] == [
        "image_url",
        "image_url",
        "file",
        "file",
        "text",
        "text",
        "text",
    ]
    assert parts[3]["file"]["file_data"] == "data:application/pdf;base64,AAAA"


def test_fields_find_their_place() -> None:
    found = chat(
        system=[{"type": "text", "text": "s"}], stop_sequences=["x"], top_k=3, thinking={"type": "adaptive"},
        output_config={"effort": "high", "format": {"type": "json_schema", "schema": {"type": "object"}}},
        tools=[{"name": "f", "input_schema": {"type": "object"}}, {"name": "bash", "type": "bash_20250124"},
               {"name": "web_search", "type": "web_search_20250305"}, {"name": "m", "type": "memory_20250818"}],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
    )  # fmt: skip

    assert found["messages"][0]["role"] == "system"
    assert (found["stop"], found["top_k"], found["max_completion_tokens"]) == (["x"], 3, 5)
    assert (found["reasoning"]["effort"], found["reasoning"]["enabled"]) == ("high", True)
    assert [tool["type"] for tool in found["tools"]] == ["function", "function", "web_search"]
    assert (found["tool_choice"], found["parallel_tool_calls"]) == ("required", False)
    assert found["response_format"]["type"] == "json_schema"
    assert (
        chat(tools=[{"name": "f"}], tool_choice={"type": "tool", "name": "f"})["tool_choice"]["name"] == "f"
    )


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": None}, "max_tokens"), ({"messages": [{"role": "king", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "hologram"}]}]}, "messages.0.content.0.type"),
        ({"messages": [{"role": "assistant", "content": [{"type": "tool_use"}]}]}, "messages.0.content.0.name"),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "x"}}]}]},
         "messages.0.content.0.source.type"),
        ({"tools": [{"name": "f"}], "tool_choice": {"type": "maybe"}}, "tool_choice.type"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_names_its_field(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        chat(**fields)

    assert caught.value.param == param


def test_i123_cached_tokens_are_counted_apart() -> None:
    found = usage(TokenCounts(prompt=100, cached=60, completion=5))

    assert (found["input_tokens"], found["cache_read_input_tokens"], found["output_tokens"]) == (40, 60, 5)


def frames(stream: bytes, cuts: list[int]) -> tuple[bytes, Any]:
    numbers = iter(range(1000))
    encoder = MessagesStream({"id": "msg_x", "model": "asked", "content": [], "stop_reason": None})
    translator = StreamTranslator(TurnReader(lambda: f"toolu_{next(numbers)}"), encoder)
    out = b""
    for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        out += translator.feed(stream[a:b]) if translator.error is None else b""
    out += translator.close() if translator.error is None else b""
    if translator.error is not None:
        out += translator.fail(translator.error)
    return out, encoder.message


def sse(file: Path) -> bytes:
    events = file.read_bytes().decode().partition("\n-----\n")[0]
    return b"".join(b"data: " + line.encode() + b"\r\n\r\n" for line in events.split("\n") if line)


@pytest.mark.parametrize("file", STREAMS, ids=lambda f: f.stem)
def test_every_stream_builds_the_message_it_told(file: Path) -> None:
    out, message = frames(sse(file), [])
    events = [json.loads(line[6:]) for line in out.decode().split("\n") if line.startswith("data: ")]
    kinds = [event["type"] for event in events]

    if kinds[-1] == "error":
        assert "message_stop" not in kinds
        return
    assert (kinds[0], kinds[-2], kinds[-1]) == ("message_start", "message_delta", "message_stop")
    started = [event["index"] for event in events if event["type"] == "content_block_start"]
    stopped = [event["index"] for event in events if event["type"] == "content_block_stop"]
    assert started == stopped == list(range(len(message["content"])))
    texts = "".join(e["delta"].get("text", "") for e in events if e["type"] == "content_block_delta")
    assert texts == "".join(block.get("text", "") for block in message["content"])
    assert message["stop_reason"] in ("end_turn", "max_tokens", "tool_use", "refusal")


@given(st.sampled_from(STREAMS), st.lists(st.integers(0, 4000), max_size=10))
def test_a_stream_cut_anywhere_gives_the_same_frames(file: Path, cuts: list[int]) -> None:
    stream = sse(file)

    assert frames(stream, sorted(cut % (len(stream) + 1) for cut in cuts))[0] == frames(stream, [])[0]


def test_a_signature_needs_a_thinking_block_of_its_own_only_when_none_is_open() -> None:
    def stream(*parts: dict[str, Any]) -> Any:
        chunk = {"candidates": [{"content": {"parts": list(parts)}, "finishReason": "STOP"}]}
        return frames(b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n", [])[1]["content"]

    call = {"functionCall": {"name": "f"}, "thoughtSignature": "S"}
    assert [(b["type"], b.get("signature")) for b in stream(call)] == [("thinking", "S"), ("tool_use", None)]
    thought = {"text": "why", "thought": True}
    assert [(b["type"], b.get("signature")) for b in stream(thought, call)] == [
        ("thinking", "S"),
        ("tool_use", None),
    ]
