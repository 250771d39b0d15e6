"""Facts about one request that hold for all its calls."""

from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any

from aiohttp import web
from msgspec import Struct, field, structs

from gateway.conversation.notes import brief
from gateway.exchange.hooks import RequestHooks
from gateway.exchange.report import ExchangeReport
from gateway.observability.request_log import RequestLog, Trace
from gateway.policy.api_paths import Address
from gateway.policy.clients.access import Client
from gateway.policy.load.memory import MemoryHold

StreamHead = Callable[[web.Request, dict[str, str], "RequestContext"], dict[str, str] | None]
"""Takes a request, and the headers of its stream."""
NOBODY = Client("", "")
"""The client of a request whose key is not known yet."""


class RequestContext(Struct):
    """One request: who sent it, its identifiers, and the report that its calls are collected in.

    `client`, `surface` and `cache` are set when the request is admitted. Nothing else changes.
    """

    request_id: str
    method: str
    path: str
    started: float
    """On the monotonic clock."""
    report: ExchangeReport
    trace: Trace | None = None
    surface: str = ""
    """The plugin that answers."""
    client: Client = NOBODY
    cache: float = 0.0
    """Seconds for which the answer may be kept and an earlier one may be used; 0 for neither."""
    memory: MemoryHold = field(default_factory=MemoryHold.uncounted)
    """The memory that the request holds, given back at its end."""

    deployment: str = ""
    """The model that an Azure path names."""
    hooks: RequestHooks | None = None
    """Hooks of plugins; None where no plugin has any."""

    stream_head: "StreamHead | None" = None
    """Returns all headers of a usual stream, so that aiohttp need not make them; None for another."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the client's request, for hooks. They contain its key."""
        return self.hooks.headers if self.hooks is not None else {}

    @property
    def values(self) -> dict[str, Any]:
        """Values that a plugin's hooks keep for each other while the request lasts, by the plugin's name."""
        return self.hooks.values if self.hooks is not None else {}

    @property
    def response_headers(self) -> dict[str, str]:
        """Headers that hooks add to the response, before its first byte, in place of others of the same name."""
        return self.hooks.response_headers if self.hooks is not None else {}

    def first_byte(self) -> None:
        """Record that content is about to be sent."""
        self.report.first_byte_ms = _milliseconds_since(self.started)

    def in_background(self, path: str) -> "RequestContext":
        """Return the context of work that continues after this request was answered, with a report of its own.

        The request's memory is handed over to it.
        """
        report = self.report
        own = ExchangeReport(report.model, report.requested_model, notes=report.notes)
        trace = self.trace.after() if self.trace is not None else None
        memory = self.memory.handed_over()
        hooks = self.hooks.in_background() if self.hooks is not None else None
        return structs.replace(
            self, path=path, report=own, trace=trace, cache=0.0, memory=memory, hooks=hooks
        )

    def on_connection(self, number: int, memory: MemoryHold) -> "RequestContext":
        """Return the context of one request that arrives in this request's WebSocket, with a report of its own."""
        return structs.replace(
            self,
            request_id=f"{self.request_id}.{number}",
            path=f"{self.path} (websocket)",
            started=monotonic(),
            report=ExchangeReport(),
            trace=self.trace.after() if self.trace is not None else None,
            cache=0.0,
            memory=memory,
            hooks=self.hooks.anew() if self.hooks is not None else None,
        )

    def log(self, status: int) -> RequestLog:
        """Return the log record of a request that has ended with an HTTP status."""
        client, report, gap = self.client, self.report, self.report.chunk_gap
        return RequestLog(
            self.request_id,
            self.method,
            self.path,
            status,
            report.model,
            report.requested_model or self.deployment or None,
            report.stream,
            client.fingerprint or None,
            client.id or None,
            self.surface,
            report.project,
            report.api,
            report.upstream_status,
            report.attempts,
            report.first_byte_ms,
            round(gap * 1000, 1) if gap is not None else None,
            _milliseconds_since(self.started),
            report.prompt_tokens,
            report.completion_tokens,
            brief(report.notes) if report.notes else None,
            brief([*report.adjusted, *report.adjusted_own]) if report.adjusted or report.adjusted_own else [],
            report.fallbacks,
            report.hedge,
            report.cached,
            report.unknown_reason,
            report.cause,
            report.failures,
            report.error,
            report.refused_by,
            report.retry_after,
        )


def dry_context(client: Client) -> RequestContext:
    """Return a context for work that no request asked for and that calls nothing."""
    return RequestContext("", "", "", monotonic(), ExchangeReport(), client=client)


CONTEXT: web.RequestKey[RequestContext] = web.RequestKey("context", RequestContext)
"""The key of a request's context."""


ADDRESS: web.RequestKey[Address] = web.RequestKey("address", Address)
"""The key of a request's path as the client sent it; absent where it is served under this very path."""


def _milliseconds_since(start: float) -> float:
    """Return milliseconds with one decimal. `round` with a number of digits takes ten times as long."""
    return int((monotonic() - start) * 10_000 + 0.5) / 10
