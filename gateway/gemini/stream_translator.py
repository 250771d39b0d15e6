"""A stream's translation as a sans-IO machine: upstream bytes in, client bytes out, the same for every cut."""

from collections.abc import Callable
from typing import Protocol, TypeVar

import msgspec

from gateway.errors import GatewayError, UpstreamError
from gateway.gemini.events import Event
from gateway.gemini.sse import SSEDecoder
from gateway.gemini.thought_signatures import Signed
from gateway.gemini.turn_reader import TurnReader
from gateway.gemini.wire import GenerateContentResponse, UsageMetadata, decode_response

T = TypeVar("T")


class Encoder(Protocol):
    """What a dialect brings: how its clients are told of events, and of a failure."""

    def encode(self, events: list[Event]) -> bytes: ...
    def fail(self, error: GatewayError) -> bytes: ...


class StreamTranslator:
    """SSEDecoder, decode, TurnReader, encoder.

    Nothing raises: a failure is kept in `error`, because what came before it must still reach the client (or,
    when nothing was sent yet, because the caller may try again).
    """

    def __init__(self, reader: TurnReader, encoder: Encoder) -> None:
        self._decoder = SSEDecoder()
        self.reader = reader
        self._encoder = encoder
        self.error: GatewayError | None = None

    def feed(self, data: bytes) -> bytes:
        """Bytes for the client; b"" until there is something to say."""
        try:
            payloads = self._decoder.feed(data)
        except GatewayError as error:
            self.error = error
            return b""
        return self._translate(payloads)

    def close(self) -> bytes:
        """The upstream ended: last event, usage, [DONE]; or `error` is set."""
        out = self._translate(self._decoder.close())
        return out if self.error is not None else out + self._end(settle=False)

    def settle(self) -> bytes:
        """After UnusableAnswer: take the answer as it is."""
        self.error = None
        return self._end(settle=True)

    def fail(self, error: GatewayError) -> bytes:
        """The frame that tells of a failure once bytes went out."""
        return self._encoder.fail(error)

    @property
    def signed(self) -> list[Signed]:
        """Signatures to be stored before the client can use them; whoever does clears the list."""
        return self.reader.signed

    @property
    def usage(self) -> UsageMetadata:
        """The counts so far."""
        return self.reader.usage

    def _end(self, *, settle: bool) -> bytes:
        try:
            return self._encoder.encode(self.reader.close(settle=settle))
        except GatewayError as error:
            self.error = error
            return b""

    def _translate(self, payloads: list[bytes]) -> bytes:
        events: list[Event] = []
        try:
            for payload in payloads:
                events += self.reader.feed(decode(payload))
        except GatewayError as error:
            self.error = error
        return self._encoder.encode(events) if events else b""


def decode(payload: bytes) -> GenerateContentResponse:
    """One Gemini message. Raises UpstreamError for what is not one; it is never echoed."""
    return readable(payload, decode_response)


def readable(payload: bytes, read: Callable[[bytes], T]) -> T:
    """Any of Gemini's messages, by its decoder. Raises UpstreamError for what is not one."""
    try:
        return read(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamError(
            "the upstream sent something that is not a Gemini answer", code="upstream_bad_response"
        ) from error
