"""A recorded stream gives the client the same bytes wherever the network cuts it."""

import base64
import random

import pytest

from gateway.gemini.stream_translator import StreamTranslator
from gateway.gemini.turn_reader import TurnReader
from gateway.plugins.chat.response import ChatStream, Envelope
from tests.support.corpus import Record, recorded


def is_stream(record: Record) -> bool:
    return (record["endpoint"], record["status"]) == ("streamGenerateContent", 200)


def client_stream(stream: bytes, cuts: list[int]) -> bytes:
    numbers = iter(range(1000))
    encoder = ChatStream(Envelope("x", 1, "m"), include_usage=True)
    translator = StreamTranslator(TurnReader(lambda: f"call_{next(numbers)}"), encoder)
    out = b""
    for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        if translator.error is None:
            out += translator.feed(stream[a:b])
    if translator.error is None:
        out += translator.close()
    return out if translator.error is None else out + translator.fail(translator.error)


@pytest.mark.parametrize("record", recorded(is_stream))
def test_a_recorded_stream_cut_anywhere_is_the_same(record: Record) -> None:
    stream = base64.b64decode(record["raw_b64"])
    expected = client_stream(stream, [])
    rolls = random.Random(len(stream))

    assert expected.startswith(b"data: ")
    for step in (1, 7, 64):
        if len(stream) // step < 100_000:
            assert client_stream(stream, list(range(step, len(stream), step))) == expected
    for _ in range(20):
        cuts = sorted(rolls.sample(range(len(stream)), min(12, len(stream) - 1)))
        assert client_stream(stream, cuts) == expected
