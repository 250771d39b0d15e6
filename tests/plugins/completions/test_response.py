"""Legacy completions, the answer: the chunks of a stream make up the unary answer, on every stream of chat's goldens."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.gemini.events import Event, Finished, TextDelta, TurnEnded, TurnStarted
from gateway.gemini.stream_translator import StreamTranslator, decode
from gateway.gemini.turn_reader import TurnReader
from gateway.gemini.usage import TokenCounts
from gateway.plugins.completions.response import CompletionStream, Envelope, completion
from tests.support import goldens
from tests.support.frames import frames

STREAMS = goldens.files("chat_stream")


def lines_of(file: Path) -> list[bytes]:
    return [line.encode() for line in goldens.inputs(file)[0].split("\n") if line]


def stream(file: Path, cuts: list[int]) -> bytes:
    encoder = CompletionStream(Envelope("cmpl-x", 1, "asked"), ["echo "], include_usage=True, calls=1)
    translator = StreamTranslator(TurnReader(lambda: "call"), encoder)
    return goldens.streamed(translator, goldens.sse(goldens.inputs(file)[0]), cuts)


@given(st.sampled_from(STREAMS), st.lists(st.integers(0, 4000), max_size=10))
def test_a_stream_cut_anywhere_gives_the_same_frames(file: Path, cuts: list[int]) -> None:
    assert stream(file, cuts) == stream(file, [])


@pytest.mark.parametrize("file", STREAMS, ids=lambda file: file.stem)
def test_the_chunks_make_up_the_whole_answer(file: Path) -> None:
    out = stream(file, [])
    if not out.endswith(b"data: [DONE]\n\n"):
        assert b'data: {"error"' in out
        return
    reader = TurnReader(lambda: "call")
    events: list[Event] = [event for line in lines_of(file) for event in reader.feed(decode(line))]
    whole = completion([*events, *reader.close()], Envelope("cmpl-x", 1, "asked"), ["echo "] * 8)
    chunks = frames(out)

    texts = [choice["text"] for chunk in chunks for choice in chunk["choices"] if choice["index"] == 0]
    assert "".join(texts) == whole.choices[0].text
    assert chunks[-1]["usage"]["total_tokens"] == whole.usage.total_tokens  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "model"),
    [("gemini-2.5-pro", "gemini-2.5-pro"), (None, "asked")],
)
def test_the_first_call_names_the_answer(name: str | None, model: str) -> None:
    envelope = Envelope("cmpl-x", 1, "asked")
    envelope.rename(TurnStarted("r1", name))
    envelope.rename(TurnStarted("r2", "another"))

    assert (envelope.id, envelope.model) == ("cmpl-r1", model)


def test_usage_and_the_end_follow_the_last_call() -> None:
    encoder = CompletionStream(Envelope("cmpl-x", 1, "asked"), ["", ""], include_usage=True, calls=2)
    end: list[Event] = [Finished(0, "stop"), TurnEnded(TokenCounts(prompt=3, completion=2))]

    assert b"[DONE]" not in encoder.encode([TextDelta(0, "a"), *end])
    out = encoder.encode([TextDelta(1, "b"), *end])
    assert out.endswith(b"data: [DONE]\n\n")
    assert b'"completion_tokens":4' in out
