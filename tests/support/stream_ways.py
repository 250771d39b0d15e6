"""The two ways of a stream through its translation: the plain way where it may be taken, and the long way only."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from gateway.gemini.call_names import NO_CALLS, CallRules
from gateway.gemini.stream_translator import Encoder, StreamTranslator
from gateway.gemini.thought_signatures import SignatureKeys
from gateway.gemini.turn_reader import TurnReader
from gateway.plugins.messages.response import MessagesStream
from gateway.plugins.responses.response import ResponseOptions, ResponseStream
from tests.adversary.work import encoders

SURFACES = ("chat", "completions", "messages", "messages grounded", "responses", "responses grounded")


def _encoder(surface: str) -> Encoder:
    name, _, grounded = surface.partition(" ")
    encoder = dict(encoders())[name]
    if isinstance(encoder, ResponseStream):
        return ResponseStream(
            encoder.response, ResponseOptions(NO_CALLS, grounded=bool(grounded)), _new_id, lambda: 1
        )
    if isinstance(encoder, MessagesStream):
        return MessagesStream(encoder.message, grounded=bool(grounded))
    return encoder


def _new_id(prefix: str) -> str:
    return prefix


def pieces(stream: bytes, cuts: Iterable[int]) -> list[bytes]:
    """Return a stream in pieces that end at the cuts."""
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


def outcome(
    surface: str,
    arriving: Sequence[bytes],
    *,
    long: bool,
    stops: Sequence[str] = (),
    base: int = 0,
    most: int = 1,
) -> tuple[bytes, Any]:
    """Return a client's stream, and what else is known of the answer at its end."""
    numbers = iter(range(1_000_000))
    rules = CallRules(stops=tuple(stops))
    reader = TurnReader(lambda: f"call_{next(numbers)}", rules, SignatureKeys("k"), base, most)
    reader.runs = "texts"
    translator = StreamTranslator(reader, _encoder(surface))
    translator.messages = []
    out, steps = b"", []
    for data in arriving:
        out += translator.encode(translator.read(data)) if long else translator.feed(data)
        steps.append((len(out), reader.counts, reader.is_counted, reader.begun))
        if translator.error is not None:
            break
    else:
        out += translator.close()
    error = translator.error
    if error is not None:
        out += translator.fail(error)
    known = (
        steps, translator.messages, reader.signed, reader.counts, reader.tier, reader.is_counted, reader.continuation,
        reader.version, reader.is_complete, reader.failure, reader.grounding_bytes, repr(error),
    )  # fmt: skip
    return out, known
