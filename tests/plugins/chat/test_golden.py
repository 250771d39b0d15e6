"""Golden files of chat: a request and its Gemini body, an answer and its completion, a stream and its chunks."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.gemini.stream_translator import StreamTranslator
from gateway.gemini.turn_reader import TurnReader
from gateway.gemini.wire import decode_response
from gateway.plugins.chat.answer_wire import encode
from gateway.plugins.chat.response import AnswerOptions, ChatStream, Envelope, completion
from tests.support import goldens
from tests.support.chat import translation

STREAMS = goldens.files("chat_stream")
RESPONSE_FIELDS = ["candidates", "content", "parts", "text", "functionCall", "name", "args", "index", "finishReason",
                   "usageMetadata", "promptTokenCount", "error", "promptFeedback"]  # fmt: skip


def stream(upstream: bytes, cuts: list[int]) -> bytes:
    encoder = ChatStream(Envelope("chatcmpl-x", 1700000000, "asked"), include_usage=True)
    return goldens.streamed(
        StreamTranslator(TurnReader(goldens.numbered("call_"), most=8), encoder), upstream, cuts
    )


@pytest.mark.parametrize("file", goldens.files("chat"), ids=lambda file: file.stem)
def test_a_request_becomes_its_gemini_body(file: Path) -> None:
    (request,) = goldens.inputs(file)

    goldens.check(file, goldens.report_or_error(lambda: translation(request)))


@pytest.mark.parametrize("file", goldens.files("chat_turn"), ids=lambda file: file.stem)
def test_an_answer_becomes_a_completion(file: Path) -> None:
    request, answer = goldens.inputs(file)
    asked = translation(request)
    reader = TurnReader(goldens.numbered("call_"), asked.rules, most=8)
    events = reader.feed(decode_response(answer)) + reader.close(whole=True, accept_empty=True)
    envelope = Envelope("chatcmpl-x", 1700000000, json.loads(request).get("model", "asked"))
    result = completion(events, envelope, AnswerOptions(asked.rules, asked.audio_format))

    goldens.check(file, goldens.pretty(encode(result)))


@pytest.mark.parametrize("file", STREAMS, ids=lambda file: file.stem)
def test_a_stream_becomes_its_chunks(file: Path) -> None:
    (lines,) = goldens.inputs(file)

    goldens.check(file, stream(goldens.sse(lines), []).decode())


@pytest.mark.parametrize("file", STREAMS, ids=lambda file: file.stem)
def test_a_stream_byte_by_byte_is_the_same(file: Path) -> None:
    upstream = goldens.sse(goldens.inputs(file)[0])

    assert stream(upstream, list(range(len(upstream)))) == stream(upstream, [])


@given(st.sampled_from(STREAMS), st.lists(st.integers(0, 5000), max_size=12))
def test_a_stream_cut_anywhere_is_the_same(file: Path, cuts: list[int]) -> None:
    upstream = goldens.sse(goldens.inputs(file)[0])

    assert stream(upstream, cuts) == stream(upstream, [])


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(RESPONSE_FIELDS), inner, max_size=4)
        ),
        max_leaves=12,
    )
)
def test_no_json_crashes_the_translator(value: Any) -> None:
    out = stream(goldens.sse(json.dumps(value)), [])

    assert out.endswith((b"data: [DONE]\n\n", b"}\n\n"))
