"""What is remembered of one exchange while it lasts, for its line in the log: never a key, never content."""

from collections.abc import Callable
from time import monotonic, time_ns
from typing import NamedTuple, Self

from aiohttp import web
from msgspec import Struct, field

from gateway.errors import GatewayError
from gateway.gemini.usage import token_counts
from gateway.gemini.wire import UsageMetadata
from gateway.policy.ledger import Outcome
from gateway.policy.rate_limits import WindowState


class Call(NamedTuple):
    """One call of Gemini, for a trace; times are Unix nanoseconds."""

    model: str
    """Empty when it was about none."""
    project: str | None
    began: int
    ended: int
    outcome: Outcome
    status: int | None
    """Google's own."""
    error: str | None
    """Our code for what went wrong."""


class Trace(Struct):
    """What a request's spans need beside its record; there is one only while traces are wanted."""

    tell: Callable[["RequestLog", Self], None]
    """Takes both when the request is over."""
    route: str | None
    """As it is registered: a path would be the client's own text."""
    parent: str | None
    """The `traceparent` header."""
    began: int
    """Unix nanoseconds."""
    background: bool = False
    """Work that goes on after its request was answered."""
    calls: list[Call] = field(default_factory=list)

    def after(self) -> "Trace":
        """For what goes on in the background from now on."""
        return Trace(self.tell, self.route, self.parent, time_ns(), background=True)


class RequestLog(Struct, omit_defaults=True):
    """One exchange; times are in milliseconds. Field order is the order in the log line."""

    request_id: str
    method: str
    path: str
    status: int = 0
    model: str | None = None
    requested_model: str | None = None
    stream: bool = False
    client: str | None = None
    """The key's fingerprint."""
    key: str | None = None
    """The id of an issued key."""
    surface: str = ""
    """The plugin that answered."""
    project: str | None = None
    """The Google project that was asked last, of the pool."""
    upstream_status: int | None = None
    attempts: int = 0
    first_byte_ms: float | None = None
    chunk_gap_ms: float | None = None
    """The longest time between two reads of a stream."""
    duration_ms: float = 0.0
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    notes: list[str] | None = None
    """Fields that were not honoured, or only after a repair."""
    adjusted: list[str] = field(default_factory=list)
    """Fields that Gemini refused, and that were changed for another attempt."""
    fallbacks: list[str] | None = None
    """Models that were asked in vain, each with the code of its error."""
    hedge: str | None = None
    """A second project was asked beside the first, and answered sooner (`won`) or not (`lost`)."""
    cached: str | None = None
    """An answer that was kept served (`hit`), or none (`miss`, `off`), of who asked for it."""
    failures: list[str] = field(default_factory=list)
    """Why calls failed, also those that another attempt made good."""
    error: str | None = None
    """The code of an error, also of one told inside a stream."""

    started: float = 0.0
    """On the monotonic clock."""
    limits: tuple[WindowState, ...] = ()
    """What is left of the client's own limits; told in headers, not in the log."""
    trace: Trace | None = None
    cache: float = 0.0
    """Seconds for which the answer may be kept, and an older one serve."""

    def first_byte(self) -> None:
        """Content is about to go out."""
        self.first_byte_ms = _since(self.started)

    def chunk_gap(self, seconds: float) -> None:
        """Some time has passed between two reads of a stream."""
        if self.chunk_gap_ms is None or seconds * 1000 > self.chunk_gap_ms:
            self.chunk_gap_ms = round(seconds * 1000, 1)

    def ended(self, status: int) -> None:
        """The line can be written: only the differences to the start are news."""
        self.status = status
        self.duration_ms = _since(self.started)
        self.started = 0.0
        self.limits = ()
        self.cache = 0.0
        trace, self.trace = self.trace, None
        if trace is not None:
            trace.tell(self, trace)

    def failed(self, error: GatewayError) -> None:
        self.error = error.code
        self.upstream_status = error.upstream_status or self.upstream_status

    def count(self, usage: UsageMetadata) -> None:
        """Add the tokens of one call, as the ledger counts them."""
        counts = token_counts(usage)
        self.prompt_tokens = (self.prompt_tokens or 0) + counts.input
        self.completion_tokens = (self.completion_tokens or 0) + counts.output


REQUEST_LOG: web.RequestKey[RequestLog] = web.RequestKey("record", RequestLog)
"""Where a request's record is."""


def _since(start: float) -> float:
    return round((monotonic() - start) * 1000, 1)
