"""Recorded real streams, cut anywhere: what the client gets does not depend on how the bytes came.

The recordings stay beside the checkout (../shared/replay); without them there is nothing to test.
"""

import base64
import gzip
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.gemini.stream_translator import StreamTranslator
from gateway.gemini.turn_reader import TurnReader
from gateway.plugins.chat.response import ChatStream, Envelope
from tests.support.paths import ROOT

CORPUS = ROOT.parent / "shared" / "replay" / "corpus.jsonl.gz"


def recorded() -> Iterator[Any]:
    """Every stream of the corpus."""
    if CORPUS.exists():
        with gzip.open(CORPUS, "rt") as lines:
            for line in lines:
                record = json.loads(line)
                if record["endpoint"] == "streamGenerateContent" and record["status"] == 200:
                    yield pytest.param(base64.b64decode(record["raw_b64"]), id=record["id"][-80:])


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


@pytest.mark.parametrize("stream", list(recorded()))
def test_a_recorded_stream_cut_anywhere_is_the_same(stream: bytes) -> None:  # I.100
    expected = client_stream(stream, [])
    rolls = random.Random(len(stream))

    assert expected.startswith(b"data: ")
    for step in (1, 7, 64):
        if len(stream) // step < 100_000:
            assert client_stream(stream, list(range(step, len(stream), step))) == expected
    for _ in range(20):
        cuts = sorted(rolls.sample(range(len(stream)), min(12, len(stream) - 1)))
        assert client_stream(stream, cuts) == expected


@pytest.mark.skipif(CORPUS.exists(), reason="the recordings are there")
def test_without_recordings_there_is_nothing_to_cut() -> None:
    assert list(recorded()) == []
