"""OpenTelemetry traces. Spans are made from log records when a request has ended, so that requests are not delayed.

Needs the extra `otel`. `open_tracing` imports this module only when the environment configures an exporter.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
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
from gateway.observability.request_log import RequestLog, Trace, UpstreamCall

_NAME = "gemini-gateway"
_CLOSE_TIMEOUT = 2.0
"""Seconds that `close` waits for the collector."""
_LONGEST_PARENT = 512
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "TRACE", "CONNECT"}
"""Any other method is the client's own text and is called `_OTHER` (OpenTelemetry HTTP conventions)."""
_OPERATIONS = {
    "/chat/completions": "chat",
    "/responses": "chat",
    "/messages": "chat",
    "/completions": "text_completion",
    "/embeddings": "embeddings",
    "/images/generations": "generate_content",
    "/images/edits": "generate_content",
    "/images/variations": "generate_content",
}
"""By the end of a route: `gen_ai.operation.name` in OpenTelemetry's conventions for generative AI."""
_UNPROVEN = {400, 401, 403, 404}
"""Google's statuses after which a model's name may be any text of the client's."""

Attributes = dict[str, str | int | float | bool]


class Tracing:
    """Makes spans: one for the request, and below it one for each call of Gemini."""

    def __init__(self, provider: TracerProvider, timeout: float = _CLOSE_TIMEOUT) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("gateway", __version__)
        self._propagator = TraceContextTextMapPropagator()
        self._timeout = timeout

    def begin(self, route: str | None, parent: str | None) -> Trace:
        """Return the trace of a request that begins now. `parent` is the `traceparent` header, valid or not."""
        short = parent if parent is not None and len(parent) <= _LONGEST_PARENT else None
        return Trace(route, short, time_ns())

    async def close(self) -> None:
        """Export the last spans, but do not wait for a collector that does not answer."""
        # a daemon thread: the loop would wait at exit for a thread of its executor
        flush = threading.Thread(target=self._provider.shutdown, name="traces-flush", daemon=True)
        flush.start()
        loop = asyncio.get_running_loop()
        end = loop.time() + self._timeout
        while flush.is_alive() and loop.time() < end:  # noqa: ASYNC110 - a thread's end has no event
            await asyncio.sleep(0.005)

    def end(self, record: RequestLog, trace: Trace, calls: Sequence[UpstreamCall]) -> None:
        """Make the spans of a request that has ended, and queue them for the exporter's thread."""
        method = record.method if record.method in _METHODS else "_OTHER"
        operation = _operation(method, trace.route)
        name = "HTTP" if method == "_OTHER" else method
        span = self._tracer.start_span(
            f"{name} {trace.route}" if trace.route else name,
            self._parent(trace.parent),
            SpanKind.INTERNAL if trace.background else SpanKind.SERVER,
            _request_attributes(record, trace, calls, method, operation),
            start_time=trace.began,
        )
        if span.is_recording():
            inside = set_span_in_context(span, Context())
            for call in calls:
                self._call(call, operation, inside)
            if record.status >= 500 or (record.error is not None and record.status < 400):
                span.set_status(StatusCode.ERROR)  # a 4xx is no error of the server
        span.end(time_ns())

    def _call(self, call: UpstreamCall, operation: str | None, inside: Context) -> None:
        name = f"{operation or 'call'} {_proven(call)}".rstrip()
        attributes = _call_attributes(call, operation)
        span = self._tracer.start_span(name, inside, SpanKind.CLIENT, attributes, start_time=call.began)
        if call.outcome == "error":
            span.set_status(StatusCode.ERROR)
        span.end(call.ended)

    def _parent(self, header: str | None) -> Context:
        """Return the parent's context, without `tracestate`, which may be any text of the client's."""
        if header is None:
            return Context()
        return self._propagator.extract({"traceparent": header}, Context())


@cache
def _operation(method: str, route: str | None) -> str | None:
    """Return the operation of a route. Routes are few, so that the cache stays small."""
    if method != "POST" or route is None:
        return None
    return next((name for end, name in _OPERATIONS.items() if route.endswith(end)), None)


def _request_attributes(
    record: RequestLog, trace: Trace, calls: Sequence[UpstreamCall], method: str, operation: str | None
) -> Attributes:
    """Return a request's attributes: those of its log line that are not the client's own text."""
    error = record.error or (str(record.status) if record.status >= 400 else None)
    attributes: dict[str, str | float | None] = {
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
    if calls:
        last = calls[-1]
        attributes |= _model(operation, last)
        attributes["gen_ai.response.model"] = record.model if last.outcome == "ok" else None
    return _present(attributes)


def _call_attributes(call: UpstreamCall, operation: str | None) -> Attributes:
    return _present(
        _model(operation, call)
        | {
            "http.response.status_code": call.status,
            "error.type": call.error,
            "gateway.project": call.project,
            "gateway.outcome": call.outcome,
        }
    )


def _model(operation: str | None, call: UpstreamCall) -> dict[str, str | float | None]:
    return {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": "gcp.gemini",
        "gen_ai.system": "gcp.gemini",  # the attribute's name until 2025, which tools still read
        "gen_ai.request.model": _proven(call) or None,
    }


def _proven(call: UpstreamCall) -> str:
    return "" if call.status in _UNPROVEN else call.model


def _present(attributes: dict[str, str | float | None]) -> Attributes:
    return {name: value for name, value in attributes.items() if value is not None}


def exporting(report: Callable[[str], None]) -> Tracing:
    """Return traces that OpenTelemetry's variables configure. `report` takes the SDK's warnings.

    Raises what the SDK raises for variables that it cannot use.
    """
    logging.getLogger("opentelemetry").handlers = [_ReportHandler(report)]
    resource = Resource.create({SERVICE_VERSION: __version__})
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):  # the SDK's default
        resource = resource.merge(Resource({SERVICE_NAME: _NAME}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider)


class _ReportHandler(logging.Handler):
    """Passes the SDK's log lines on. Arguments of the parser of header variables are left out: they may hold keys."""

    def __init__(self, report: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._report = report

    def emit(self, record: logging.LogRecord) -> None:
        self._report(str(record.msg) if record.name.endswith(".re") else record.getMessage())
