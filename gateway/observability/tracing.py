"""Traces by OpenTelemetry: spans are made from finished records, so that nothing is done while a request runs.

Needs the extra `otel`; `server.traces` imports this only where the environment asks for it.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from functools import cache
from time import time_ns

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gateway import __version__
from gateway.observability.request_log import Call, RequestLog, Trace

_NAME = "gemini-gateway"
_LAST_PATIENCE = 2.0
"""Seconds for the last spans to reach the collector."""
_LONGEST_PARENT = 512
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "TRACE", "CONNECT"}
"""Another one is the client's own text."""
_OPERATIONS = {
    "/chat/completions": "chat",
    "/responses": "chat",
    "/messages": "chat",
    "/completions": "text_completion",
    "/embeddings": "embeddings",
}
"""By a route's end: the names that the semantic conventions have for it."""
_UNPROVEN = {400, 401, 403, 404}
"""Answers of Google's after which a model's name may be any text of the client's."""

Attributes = dict[str, str | int | float | bool]


class Tracing:
    """Turns records into spans: one for the request, below it one for each call of Gemini."""

    def __init__(self, provider: TracerProvider, patience: float = _LAST_PATIENCE) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("gateway", __version__)
        self._propagator = TraceContextTextMapPropagator()
        self._patience = patience

    def begin(self, route: str | None, parent: str | None) -> Trace:
        """For a request's record; `parent` is the `traceparent` header as it came, good or not."""
        known = parent if parent is not None and len(parent) <= _LONGEST_PARENT else None
        return Trace(self._end, route, known, time_ns())

    async def close(self) -> None:
        """Export what is left; a collector that does not answer is not waited for."""
        # a daemon: nobody waits for it at exit, as the loop would for a thread of its executor
        flush = threading.Thread(target=self._provider.shutdown, name="traces-flush", daemon=True)
        flush.start()
        loop = asyncio.get_running_loop()
        end = loop.time() + self._patience
        while flush.is_alive() and loop.time() < end:  # noqa: ASYNC110 - a thread's end has no event
            await asyncio.sleep(0.005)

    def _end(self, record: RequestLog, trace: Trace) -> None:
        """The request is over: make its spans, and queue them for the exporter's thread."""
        method = record.method if record.method in _METHODS else "_OTHER"
        operation = _operation(method, trace.route)
        name = "HTTP" if method == "_OTHER" else method
        span = self._tracer.start_span(
            f"{name} {trace.route}" if trace.route else name,
            self._parent(trace.parent),
            SpanKind.INTERNAL if trace.background else SpanKind.SERVER,
            _told(record, trace, method, operation),
            start_time=trace.began,
        )
        if span.is_recording():
            inside = set_span_in_context(span, Context())
            for call in trace.calls:
                self._call(call, operation, inside)
            if record.status >= 500 or (record.error is not None and record.status < 400):
                span.set_status(StatusCode.ERROR)  # a refused client is no error of the server's
        span.end(time_ns())

    def _call(self, call: Call, operation: str | None, inside: Context) -> None:
        name = f"{operation or 'call'} {_proven(call)}".rstrip()
        told = _called(call, operation)
        span = self._tracer.start_span(name, inside, SpanKind.CLIENT, told, start_time=call.began)
        if call.outcome == "error":
            span.set_status(StatusCode.ERROR)
        span.end(call.ended)

    def _parent(self, header: str | None) -> Context:
        """Without `tracestate`, which is whatever a client likes to write."""
        if header is None:
            return Context()
        return self._propagator.extract({"traceparent": header}, Context())


@cache
def _operation(method: str, route: str | None) -> str | None:
    """Routes are few: those of this gateway."""
    if method != "POST" or route is None:
        return None
    return next((name for end, name in _OPERATIONS.items() if route.endswith(end)), None)


def _told(record: RequestLog, trace: Trace, method: str, operation: str | None) -> Attributes:
    """A request's attributes: what its line in the log tells, but for the client's own words."""
    error = record.error or (str(record.status) if record.status >= 400 else None)
    found: dict[str, str | float | None] = {
        "http.request.method": method,
        "http.route": trace.route,
        "http.response.status_code": record.status,
        "error.type": error,
        "gen_ai.usage.input_tokens": record.prompt_tokens,
        "gen_ai.usage.output_tokens": record.completion_tokens,
        "gateway.request_id": record.request_id,
        "gateway.project": record.project,
        "gateway.attempts": record.attempts,
        "gateway.stream": record.stream,
        "gateway.first_byte_ms": record.first_byte_ms,
    }
    if trace.calls:
        last = trace.calls[-1]
        found |= _model(operation, last)
        found["gen_ai.response.model"] = record.model if last.outcome == "ok" else None
    return _present(found)


def _called(call: Call, operation: str | None) -> Attributes:
    return _present(
        _model(operation, call)
        | {
            "http.response.status_code": call.status,
            "error.type": call.error,
            "gateway.project": call.project,
            "gateway.outcome": call.outcome,
        }
    )


def _model(operation: str | None, call: Call) -> dict[str, str | float | None]:
    return {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": "gcp.gemini",
        "gen_ai.system": "gcp.gemini",  # its name until 2025, which tools still look for
        "gen_ai.request.model": _proven(call) or None,
    }


def _proven(call: Call) -> str:
    return "" if call.status in _UNPROVEN else call.model


def _present(found: dict[str, str | float | None]) -> Attributes:
    return {name: value for name, value in found.items() if value is not None}


def exporting(tell: Callable[[str], None]) -> Tracing:
    """Traces that go where the standard variables say. `tell` gets the SDK's complaints. Raises ValueError for some."""
    logging.getLogger("opentelemetry").handlers = [_Telling(tell)]
    resource = Resource.create({SERVICE_VERSION: __version__})
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):  # the SDK's default
        resource = resource.merge(Resource({SERVICE_NAME: _NAME}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider)


class _Telling(logging.Handler):
    """The SDK's log lines as lines of ours; without their arguments when these are headers, which hold keys."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(str(record.msg) if record.name.endswith(".re") else record.getMessage())
