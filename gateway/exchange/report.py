"""Report of one request, collected while it runs.

The exchange fills it in. A plugin that calls Gemini without a conversation calls `describe`.
"""

from collections.abc import Sequence

from msgspec import Struct, field

from gateway.errors import GatewayError
from gateway.gemini.call import Origins
from gateway.gemini.usage import TokenCounts
from gateway.observability.request_log import UpstreamCall
from gateway.policy.clients.rate_limits import WindowState


class ExchangeReport(Struct):
    """The mutable part of a request. `RequestContext.log` turns it into the log line at the end."""

    model: str | None = None
    """The model that is asked, later the one that answered."""
    requested_model: str | None = None
    """The client's own name of the model."""
    stream: bool = False
    notes: list[str] | None = None
    """Fields of the client's request that are not honoured."""
    project: str | None = None
    """The project of the key pool that was asked last."""
    api: str | None = None
    """`vertex` if that project is on Vertex AI."""
    upstream_status: int | None = None
    attempts: int = 0
    answer_bytes: int = 0
    """Bytes of Gemini's whole answers."""
    first_byte_ms: float | None = None
    """Milliseconds from the request's start to the first content."""
    chunk_gap: float | None = None
    """The longest time between two reads of a stream, in seconds."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    micros: int = 0
    """Cost in millionths of a dollar. Counted only for requests with hooks."""
    adjusted: list[str] = field(default_factory=list)
    """The client's fields that Gemini refused and that were changed for another attempt."""
    adjusted_own: list[str] = field(default_factory=list)
    """Gemini's fields of the same kind that the client did not send, such as a configured safety threshold."""
    fallbacks: list[str] | None = None
    """Models that were replaced, each as `model code`. The code is `cooling_down` for one that was skipped."""
    hedge: str | None = None
    """Result of a second attempt on another project: `won` or `lost`."""
    cached: str | None = None
    """Result of the response cache: `hit`, `miss` or `off`."""
    failures: list[str] = field(default_factory=list)
    """Causes of failed calls, also of those that a later attempt repaired."""
    cause: str | None = None
    """Host and cause of the last call that did not reach Google."""
    error: str | None = None
    """Code of an error that was written into a stream."""
    refused_by: str | None = None
    """The limit that refused the request, or the state of its key."""
    retry_after: float | None = None
    """Seconds after which the client may try again."""
    unknown_reason: str | None = None
    """Google's finish reason, if this version does not know it."""
    unsent: int | None = None
    """Choices of a stream whose last byte is still to be written; None for other answers."""
    limits: tuple[WindowState, ...] = ()
    """State of the client's own limits, for the `x-ratelimit-*` headers."""
    calls: list[UpstreamCall] = field(default_factory=list)
    """The calls of Gemini, for a trace. Empty when the request is not traced."""

    def describe(
        self,
        model: str | None,
        requested: str | None,
        *,
        stream: bool = False,
        notes: list[str] | None = None,
    ) -> None:
        """Record what the client asked for."""
        self.model, self.requested_model, self.stream, self.notes = model, requested, stream, notes or None

    def adjust(self, fields: Sequence[str], origins: Origins, detail: str = "") -> None:
        """Record Gemini's fields that were changed for another attempt, by the client's paths where it sent them."""
        paths = [f"{path}.{detail}" if detail else path for path in origins.of(fields)]
        self.adjusted += [path for path in paths if path not in self.adjusted]
        if fields and not paths:
            self.adjusted_own.append(fields[0])

    def add_tokens(self, counts: TokenCounts) -> None:
        """Add the tokens of one call, the same as the ledger's."""
        self.prompt_tokens = (self.prompt_tokens or 0) + counts.input
        self.completion_tokens = (self.completion_tokens or 0) + counts.output

    def add_chunk_gap(self, seconds: float) -> None:
        """Keep the longest time between two reads of a stream."""
        if self.chunk_gap is None or seconds > self.chunk_gap:
            self.chunk_gap = seconds

    def sent(self) -> None:
        """Record that the last byte of one choice was written."""
        self.unsent = (self.unsent or 1) - 1

    def fail(self, error: GatewayError) -> None:
        """Record the error that ends the request."""
        self.error = error.code
        self.refused_by, self.retry_after = error.refused_by or None, error.retry_after
        self.upstream_status = error.upstream_status or self.upstream_status
