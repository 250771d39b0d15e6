"""Legacy completions, streamed: the same frames for every cut of the stream, and the same text as the whole answer."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.gemini.events import Event
from gateway.gemini.stream_translator import StreamTranslator, decode
from gateway.gemini.turn_reader import TurnReader
from gateway.plugins.completions.response import CompletionStream, Envelope, completion
from tests.support.paths import GOLDEN

STREAMS = sorted((GOLDEN / "chat_stream").glob("*.golden"))


def events_of(file: Path) -> list[bytes]:
    told = file.read_bytes().decode().partition("\n-----\n")[0]
    return [line.encode() for line in told.split("\n") if line]


def frames(stream: bytes, cuts: list[int]) -> tuple[bytes, bool]:
    """What the client gets, and whether it ended well."""
    encoder = CompletionStream(Envelope("cmpl-x", 1, "asked"), ["echo "], include_usage=True, calls=1)
    translator = StreamTranslator(TurnReader(lambda: "call"), encoder)
    out = b""
    for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        out += translator.feed(stream[a:b]) if translator.error is None else b""
    out += translator.close() if translator.error is None else b""
    if translator.error is not None:
        return out + translator.fail(translator.error), False
    return out, True


def sse(file: Path) -> bytes:
    return b"".join(b"data: " + event + b"\r\n\r\n" for event in events_of(file))


@given(st.sampled_from(STREAMS), st.lists(st.integers(0, 4000), max_size=10))
def test_a_stream_cut_anywhere_gives_the_same_frames(file: Path, cuts: list[int]) -> None:
    stream = sse(file)

    assert frames(stream, sorted(cut % (len(stream) + 1) for cut in cuts)) == frames(stream, [])


@pytest.mark.parametrize("file", STREAMS, ids=lambda f: f.stem)
def test_the_chunks_make_up_the_whole_answer(file: Path) -> None:
    out, good = frames(sse(file), [])
    if not good:
        assert b'data: {"error"' in out
        return
    reader = TurnReader(lambda: "call")
    events: list[Event] = [event for one in events_of(file) for event in reader.feed(decode(one))]
    whole = completion([*events, *reader.close()], Envelope("cmpl-x", 1, "asked"), ["echo "] * 8)
    chunks = [json.loads(line[6:]) for line in out.split(b"\n\n") if line and line != b"data: [DONE]"]

    told = "".join(choice["text"] for chunk in chunks for choice in chunk["choices"] if choice["index"] == 0)
    assert told == whole.choices[0].text
    assert chunks[-1]["usage"]["total_tokens"] == whole.usage.total_tokens  # type: ignore[union-attr]
