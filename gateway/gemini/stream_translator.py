"""A stream's translation as a sans-IO machine: upstream bytes in, client bytes out, the same for every cut.

Most events go the plain way: `plain_event` decodes their texts, the reader notes them, and the encoder writes them, a
run at a time. Any other event goes the long way, through `TurnReader.feed`.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

import msgspec

from gateway.errors import GatewayError, UpstreamError, forget_frames
from gateway.gemini.events import Event, TextDelta
from gateway.gemini.json_shape import LONG_NUMBER, has_long_number
from gateway.gemini.plain_event import NO_TEXTS, NOT_PLAIN, PlainTexts, read_event, read_texts
from gateway.gemini.sse import SSEDecoder
from gateway.gemini.thought_signatures import Signed
from gateway.gemini.turn_reader import TurnReader
from gateway.gemini.wire import GenerateContentResponse, decode_response

T = TypeVar("T")


class Encoder(Protocol):
    """A dialect's encoder: what it writes are bytes for the client."""

    def encode(self, events: list[Event]) -> bytes:
        """Return the frames of some events; b"" when the client sees none of them."""

    def texts(self, index: int, texts: list[str]) -> bytes:
        """Return what `encode` returns for one TextDelta of each text."""

    def fail(self, error: GatewayError) -> bytes:
        """Return the frame of an error in mid-stream."""


class StreamTranslator:
    """SSE decoder, JSON decoder, turn reader and encoder in one.

    No method raises. An error is kept in `error`, because the bytes before it must still reach the client, or because
    the caller may try again while nothing was sent.
    """

    __slots__ = (
        "_decoder", "_encoder", "error", "messages", "reader",
    )  # fmt: skip

    def __init__(self, reader: TurnReader, encoder: Encoder) -> None:
        self._decoder = SSEDecoder()
        self.reader = reader
        self._encoder = encoder
        self.error: GatewayError | None = None
        self.messages: list[bytes] | None = None
        """Gemini's messages as they came; a list makes the translator keep them."""

    def feed(self, data: bytes) -> bytes:
        """Return bytes for the client; b"" while there are none."""
        try:
            payloads = self._decoder.feed(data)
        except GatewayError as error:
            self.error = forget_frames(error)
            return b""
        if self.messages is not None:
            self.messages += payloads
        if not payloads:
            return b""
        reader, encoder = self.reader, self._encoder
        if not reader.takes_texts:
            return self._by_runs(payloads, NO_TEXTS)
        if reader.begun and len(payloads) > 1:
            return self._texts(payloads)
        try:
            event = read_event(payloads[0])
        except NOT_PLAIN:
            pass
        else:
            if reader.begun:
                index, text = reader.add_text(event)
                return encoder.texts(index, [text])
            start = reader.begin(event.model_version, event.response_id)
            out = encoder.encode([start, TextDelta(*reader.add_text(event))])
            return out + self._texts(payloads[1:]) if len(payloads) > 1 else out
        return self._by_runs(payloads, NO_TEXTS)

    def _texts(self, payloads: list[bytes]) -> bytes:
        """Return bytes for the client for payloads that are most likely plain events."""
        plain = read_texts(payloads)
        if len(plain.texts) == len(payloads):
            return self._encoder.texts(self.reader.add_texts(plain), plain.texts)
        return self._by_runs(payloads, plain)

    def _by_runs(self, payloads: list[bytes], plain: PlainTexts) -> bytes:
        """Return bytes for the client, each run of plain events and each of others written at once.

        `plain` are the first of the payloads.
        """
        reader, encoder = self.reader, self._encoder
        out: list[bytes] = []
        events: list[Event] = []
        start = 0
        while True:
            if plain.texts:
                if events:
                    out.append(encoder.encode(events))
                    events = []
                out.append(encoder.texts(reader.add_texts(plain), plain.texts))
                start += len(plain.texts)
            if start < len(payloads):
                events += self._events(payloads[start : start + 1])
                start += 1
            if start >= len(payloads) or self.error is not None:
                break
            plain = read_texts(payloads[start:]) if reader.takes_texts else NO_TEXTS
        if events:
            out.append(encoder.encode(events))
        return out[0] if len(out) == 1 else b"".join(out)

    def read(self, data: bytes) -> list[Event]:
        """Return the events in some bytes. Unlike `encode`, which choices share, it may run in a thread."""
        return self._events(self._payloads(data))

    def encode(self, events: list[Event]) -> bytes:
        """Return events as bytes for the client."""
        return self._encoder.encode(events) if events else b""

    def close(self) -> bytes:
        """Return the last bytes after the end of the upstream, or set `error`."""
        return self.encode(self.read_end())

    def read_end(self) -> list[Event]:
        """Return the last events after the end of the upstream, or set `error`. It may run in a thread."""
        payloads = self._decoder.close()
        if self.messages is not None:
            self.messages += payloads
        events = self._events(payloads)
        if self.error is not None or self.reader.continuation is not None:
            return events
        return events + self._last(accept_empty=False)

    def resume(self) -> None:
        """Expect the stream of the call that continues the answer."""
        self._decoder = SSEDecoder()
        self.reader.resume()

    def read_whole(self, data: bytes) -> list[Event]:
        """Return the events of a whole stream. It may run in a thread."""
        return self.read(data) + self.read_end()

    def accept_empty(self) -> bytes:
        """Return the last bytes of an answer that `close` called unusable, without another attempt."""
        return self.encode(self.read_empty())

    def read_empty(self) -> list[Event]:
        """Return the last events of an answer that `close` called unusable."""
        self.error = None
        return self._last(accept_empty=True)

    def fail(self, error: GatewayError) -> bytes:
        """Return the dialect's error frame, for an error after bytes were sent."""
        return self._encoder.fail(error)

    @property
    def waiting(self) -> int:
        """Bytes of an event that is not complete yet."""
        return self._decoder.waiting

    @property
    def signed(self) -> list[Signed]:
        """Signatures to store before the client can use them. The caller clears the list."""
        return self.reader.signed

    def _last(self, *, accept_empty: bool) -> list[Event]:
        try:
            return self.reader.close(accept_empty=accept_empty)
        except GatewayError as error:
            self.error = forget_frames(error)
            return []

    def _payloads(self, data: bytes) -> list[bytes]:
        """Return the payloads that some bytes complete, or set `error`."""
        try:
            payloads = self._decoder.feed(data)
        except GatewayError as error:
            self.error = forget_frames(error)
            return []
        if self.messages is not None:
            self.messages += payloads
        return payloads

    def _events(self, payloads: list[bytes]) -> list[Event]:
        """Return the events of some payloads up to an error, which is set."""
        events: list[Event] = []
        try:
            for payload in payloads:
                events += self.reader.feed(decode(payload))
        except GatewayError as error:
            self.error = forget_frames(error)
        return events


def decode(payload: bytes) -> GenerateContentResponse:
    """Return a decoded Gemini message. Raises UpstreamError, which never quotes the payload, for any other."""
    return readable(payload, decode_response)


def readable(payload: bytes, read: Callable[[bytes], T]) -> T:
    """Return the payload as `read` decodes it. Raises UpstreamError where it cannot.

    Numbers in a call's arguments reach the client as they are, and Python's json refuses one of more than 4,300 digits.
    """
    if has_long_number(payload):
        raise UpstreamError(
            f"The upstream sent a number of {LONG_NUMBER} or more digits.", code="upstream_bad_response"
        )
    try:
        return read(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamError(
            "The upstream sent something that is not a Gemini answer.", code="upstream_bad_response"
        ) from error
