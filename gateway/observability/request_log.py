"""Per-request log record and trace. Neither holds a key or content."""

from time import time_ns
from typing import NamedTuple

from msgspec import Struct

from gateway.policy.ledger import Outcome


class UpstreamCall(NamedTuple):
    """One call of Gemini, for a trace. Times are Unix nanoseconds."""

    model: str
    """Empty when the call names no model."""
    project: str | None
    began: int
    ended: int
    outcome: Outcome
    status: int | None
    """Google's HTTP status."""
    error: str | None
    """The gateway's code for the error."""


class Trace(Struct, frozen=True):
    """Facts that a request's spans need beside its log record. Present only while traces are exported."""

    route: str | None
    """The path as it is registered; the path that was requested is the client's own text."""
    parent: str | None
    """The `traceparent` header (W3C Trace Context)."""
    began: int
    """Unix nanoseconds."""
    background: bool = False
    """Work that continues after its request was answered."""

    def after(self) -> "Trace":
        """Return the trace of work that starts now, in the background."""
        return Trace(self.route, self.parent, time_ns(), background=True)


class RequestLog(Struct, frozen=True, omit_defaults=True):
    """Log record of one request. The order of the fields is their order in the log line; times are milliseconds."""

    request_id: str
    """The client's `x-request-id`, or a new id."""
    method: str
    """HTTP method."""
    path: str
    """Path of the URL, without its query, shortened."""
    status: int = 0
    """HTTP status of the answer; 499 if the client disconnected before it."""
    model: str | None = None
    """The model that answered, or that was asked."""
    requested_model: str | None = None
    """The client's own name of the model."""
    stream: bool = False
    """Whether the client asked for a stream."""
    client: str | None = None
    """Fingerprint of the client's key: the first 8 hex digits of its SHA-256."""
    key: str | None = None
    """Id of a key that the gateway issued."""
    surface: str = ""
    """The plugin that answered."""
    project: str | None = None
    """The project of the key pool that was asked last."""
    api: str | None = None
    """`vertex` if the project that was asked last is on Vertex AI; absent for the Gemini API."""
    upstream_status: int | None = None
    """Gemini's last HTTP status."""
    attempts: int = 0
    """Calls of Gemini."""
    first_byte_ms: float | None = None
    """Time until the first content of a stream was sent."""
    chunk_gap_ms: float | None = None
    """The longest time between two reads of a stream."""
    duration_ms: float = 0.0
    """Time until the answer was complete."""
    prompt_tokens: int | None = None
    """Input tokens, as billed."""
    completion_tokens: int | None = None
    """Output tokens, as billed, including thoughts."""
    notes: list[str] | None = None
    """Fields of the client's request that were not honoured."""
    adjusted: list[str] = []
    """Fields that Gemini refused and that were changed for another attempt."""
    fallbacks: list[str] | None = None
    """Models that failed and were replaced, each with the code of its error, or `cooling_down`."""
    hedge: str | None = None
    """Result of a second attempt on another project: `won` or `lost`."""
    cached: str | None = None
    """Result of the response cache: `hit`, `miss` or `off`. Absent when the client did not ask for it."""
    unknown_reason: str | None = None
    """Google's finish reason, if this version of the gateway does not know it; the client gets `stop`."""
    cause: str | None = None
    """Host and cause of the last call that did not reach Google: its name, a refused connection, a time-out, the proxy,
    or which error of TLS."""
    failures: list[str] = []
    """Causes of failed calls, also of those that a later attempt repaired."""
    error: str | None = None
    """Code of the error that the client was sent, also inside a stream."""
    refused_by: str | None = None
    """The reason of a refusal: a limit of the key's rules with its use, and what the request needs of tokens and
    dollars (`requests_per_minute 3/3`, `streams 4/4`, `dollars.day 0.04/0.05 +0.02`), one of the configuration
    (`limits.streams 200/200`), `pool` if no project is free, a quota of Google's (`google QUOTA 250`), or the state of
    the key (`key.suspended`). Clients do not see it."""
    retry_after: float | None = None
    """Seconds after which the client was told to try again."""
