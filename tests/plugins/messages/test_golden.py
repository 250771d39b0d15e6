"""Golden files of Messages: a request and its Gemini body, an answer and its message, a stream and its events."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError
from gateway.gemini.stream_translator import StreamTranslator
from gateway.gemini.turn_reader import TurnReader
from gateway.gemini.wire import decode_response
from gateway.plugins.messages.fields import MESSAGES
from gateway.plugins.messages.request import conversation
from gateway.plugins.messages.response import MessagesStream, error_object
from gateway.plugins.messages.wire import PLACEHOLDERS, decode_request, encode
from tests.support import goldens
from tests.support.frames import frames

STREAMS = [*goldens.files("messages_stream"), *goldens.files("chat_stream")]


def message(model: str = "asked") -> dict[str, Any]:
    return {"id": "msg_x", "type": "message", "role": "assistant", "model": model, "content": [],
            "stop_reason": None, "stop_sequence": None, "usage": {}}  # fmt: skip


def gemini_body(request: str) -> str:
    try:
        body = goldens.decoded(request, decode_request, PLACEHOLDERS)
        said = goldens.reviewed(
            conversation(body, goldens.fields_of(request), strict=False), request, MESSAGES
        )
        return goldens.report(goldens.translated(said, goldens.model_of(body)))
    except GatewayError as error:
        return f"{error.status} {encode(error_object(error)).decode()}\n"


@pytest.mark.parametrize("file", goldens.files("messages"), ids=lambda file: file.stem)
def test_a_request_becomes_its_gemini_body(file: Path) -> None:
    (request,) = goldens.inputs(file)

    goldens.check(file, gemini_body(request))


@pytest.mark.parametrize("file", goldens.files("messages_turn"), ids=lambda file: file.stem)
def test_an_answer_becomes_a_message(file: Path) -> None:
    request, answer = goldens.inputs(file)
    body = decode_request(request)
    translation = goldens.translated(conversation(body, strict=False), goldens.model_of(body))
    reader = TurnReader(goldens.numbered("toolu_"), translation.rules)
    encoder = MessagesStream(message(goldens.model_of(body)))
    encoder.whole([*reader.feed(decode_response(answer)), *reader.close(whole=True, accept_empty=True)])

    goldens.check(file, goldens.pretty(encode(encoder.message)))


def stream(upstream: bytes, cuts: list[int]) -> tuple[bytes, dict[str, Any]]:
    encoder = MessagesStream(message())
    translator = StreamTranslator(TurnReader(goldens.numbered("toolu_")), encoder)
    return goldens.streamed(translator, upstream, cuts), encoder.message


@pytest.mark.parametrize("file", goldens.files("messages_stream"), ids=lambda file: file.stem)
def test_a_stream_becomes_its_events(file: Path) -> None:
    (lines,) = goldens.inputs(file)

    goldens.check(file, stream(goldens.sse(lines), [])[0].decode())


@pytest.mark.parametrize("file", STREAMS, ids=lambda file: file.stem)
def test_a_stream_byte_by_byte_is_the_same(file: Path) -> None:
    upstream = goldens.sse(goldens.inputs(file)[0])

    assert stream(upstream, list(range(len(upstream)))) == stream(upstream, [])


@given(st.sampled_from(STREAMS), st.lists(st.integers(0, 4000), max_size=10))
def test_a_stream_cut_anywhere_is_the_same(file: Path, cuts: list[int]) -> None:
    upstream = goldens.sse(goldens.inputs(file)[0])

    assert stream(upstream, cuts) == stream(upstream, [])


@pytest.mark.parametrize("file", STREAMS, ids=lambda file: file.stem)
def test_the_events_build_the_message_of_the_unary_answer(file: Path) -> None:
    out, answer = stream(goldens.sse(goldens.inputs(file)[0]), [])
    events = frames(out)
    kinds = [event["type"] for event in events]

    if kinds[-1] == "error":
        assert "message_stop" not in kinds
        return
    assert (kinds[0], kinds[-2], kinds[-1]) == ("message_start", "message_delta", "message_stop")
    assert accumulated(events) == json.loads(encode(answer["content"]))
    assert events[-2]["delta"]["stop_reason"] == answer["stop_reason"]


def accumulated(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the content blocks as Anthropic's SDKs put them together."""
    content: list[dict[str, Any]] = []
    for event in events:
        if event["type"] == "content_block_start":
            assert event["index"] == len(content)
            content.append({**event["content_block"]})
        elif event["type"] == "content_block_delta":
            block, delta = content[event["index"]], event["delta"]
            match delta["type"]:
                case "text_delta":
                    block["text"] += delta["text"]
                case "thinking_delta":
                    block["thinking"] += delta["thinking"]
                case "signature_delta":
                    block["signature"] = delta["signature"]
                case "input_json_delta":
                    block["input"] = json.loads(delta["partial_json"])
                case "citations_delta":
                    block["citations"] = [*block.get("citations", []), delta["citation"]]
    return content
