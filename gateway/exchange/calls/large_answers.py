"""Reads large answers without keeping the event loop: one message in a thread, many events in pieces.

An encoder is shared by the choices of a request, so it runs on the event loop only.
"""

import asyncio
from collections.abc import Sequence

from gateway.exchange.offload import HEAVY_ANSWER, offload
from gateway.gemini.events import Event
from gateway.gemini.plain_answer import read_answer
from gateway.gemini.sse import SSEDecoder
from gateway.gemini.stream_translator import StreamTranslator, decode
from gateway.gemini.turn_reader import TurnReader

_PIECE = 16 * 1024
"""Bytes of a stream that are translated at once."""
_EVENTS = 256
"""Events that are encoded at once."""


async def read_whole(
    reader: TurnReader, messages: Sequence[bytes], accept_empty: bool = False
) -> list[Event]:
    """Return what `read` returns, of an answer of any size."""
    heavy = sum(map(len, messages)) > HEAVY_ANSWER
    return await offload(heavy, read, reader, messages, accept_empty)


def read(reader: TurnReader, messages: Sequence[bytes], accept_empty: bool = False) -> list[Event]:
    """Return the events of a whole answer, or of its beginning, which `reader.continuation` continues.

    Raises GatewayError for one that cannot be used.
    """
    if reader.takes_answer and len(messages) == 1 and (answer := read_answer(messages[0])) is not None:
        return reader.read_answer(answer)
    events = [event for message in messages for event in reader.feed(decode(message))]
    if reader.continuation is not None:
        return events
    return events + reader.close(whole=True, accept_empty=accept_empty)


def is_large(translator: StreamTranslator, data: bytes) -> bool:
    """Return whether a read, or the event that it may complete, takes long to translate."""
    return len(data) + translator.waiting > HEAVY_ANSWER


async def translate(translator: StreamTranslator, data: bytes) -> bytes:
    """Return what `translator.feed` returns for a large read."""
    if b"\n" not in data:  # in the middle of a large event
        return translator.feed(data)
    out: list[bytes] = []
    for i in range(0, len(data), _PIECE):
        events = await offload(translator.waiting > _PIECE, translator.read, data[i : i + _PIECE])
        await _encode(translator, events, out)
        if translator.error is not None:
            break
    return b"".join(out)


async def close(translator: StreamTranslator) -> bytes:
    """Return what `translator.close` returns."""
    if max(translator.waiting, translator.reader.grounding_bytes) <= _PIECE:
        return translator.close()
    out: list[bytes] = []
    await _encode(translator, await offload(True, translator.read_end), out)
    return b"".join(out)


async def _encode(translator: StreamTranslator, events: list[Event], out: list[bytes]) -> None:
    """Encode some events at a time; other requests run between them."""
    for i in range(0, len(events), _EVENTS):
        out.append(translator.encode(events[i : i + _EVENTS]))
        await asyncio.sleep(0)


def messages_of(stream: bytes) -> list[bytes]:
    """Return the messages of a whole stream. Raises UpstreamError for one that is no stream."""
    decoder = SSEDecoder()
    return decoder.feed(stream) + decoder.close()
