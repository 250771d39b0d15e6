"""What one upstream call has been through, over all the attempts that are made at it."""

from time import monotonic
from typing import Any

from gateway.errors import GatewayError
from gateway.exchange.attempt import CostEstimate
from gateway.exchange.race import Race
from gateway.gemini.sse import SSEDecoder
from gateway.gemini.turn_reader import TurnReader
from gateway.gemini.wire import GeminiCall
from gateway.observability.request_log import RequestLog
from gateway.policy.access import Client
from gateway.policy.session_affinity import affinity
from gateway.store.response_cache import LARGEST


class CallState:
    """What one upstream call has been through."""

    def __init__(self, call: GeminiCall, client: Client, record: RequestLog, size: CostEstimate) -> None:
        self.client = client
        self.record = record
        self.said = False
        """This call's content is out."""
        self.race: Race[Any] | None = None
        """Another attempt may be under way at the same time."""
        self.beside = False
        """This is that other attempt, and has not won: it is made once, and changes nothing of the request."""
        self.error: GatewayError | None = None
        """What the first model ended in that was given up."""
        self.other = False
        """It is another model than the first that is asked now."""
        self.key = b""
        """Under which a whole answer is kept; none when nobody asked for that."""
        self._read = 0.0
        self.ask(call, size)

    def ask(self, call: GeminiCall, size: CostEstimate) -> None:
        """From here on it is this call, about which nothing is known yet."""
        self.call = call
        self.size = size
        self.affinity = affinity(call, self.client) if self.client.id else b""
        self.tried: list[str] = []
        """Projects that were asked."""
        self.failures = 0
        self.remedies: list[str] = []
        self.settled = False
        """An answer without content was tried again once; the next is taken as it is."""

    def begin(self, reader: TurnReader) -> None:
        """Another attempt, whose answer will be read by a reader of its own."""
        self.began = monotonic()
        self._read = 0.0
        self.heard: list[bytes] = []
        """What came of a stream that is to be kept."""
        self._heard = 0
        if self.other:
            reader.model = self.call.model

    def messages(self) -> list[bytes]:
        """What was heard, message by message."""
        decoder = SSEDecoder()
        return decoder.feed(b"".join(self.heard)) + decoder.close()

    def arrived(self, data: bytes) -> None:
        """More of a stream came from upstream."""
        if self.key:
            self.heard.append(data)
            self._heard += len(data)
            if self._heard > LARGEST:  # it will not be kept
                self.key, self.heard = b"", []
        now = monotonic()
        if self._read:
            self.record.chunk_gap(now - self._read)
        self._read = now
