"""Around every request: its id and record, its errors in the client's dialect, its line in the log."""

import asyncio
import re
import sys
import traceback
from time import monotonic
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.errors import BadRequest, Draining, GatewayError, MethodNotAllowed, NotFound, TooLarge, scrub
from gateway.exchange.delivery import ERROR_REPLY, ErrorReply, error_reply
from gateway.exchange.ids import unique
from gateway.observability.json_log import JsonLog
from gateway.observability.request_log import REQUEST_LOG, RequestLog
from gateway.plugin import Services
from gateway.policy.rate_limits import limit_headers
from gateway.server.cors import Cors

if TYPE_CHECKING:
    from gateway.observability.tracing import Tracing

_REQUEST_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)
_CLIENT_GONE = 499
_MOST_FRAMES = 30


class RequestMiddleware:
    """aiohttp's middleware as an object: what it needs is handed in once."""

    def __init__(self, log: JsonLog, services: Services, cors: Cors) -> None:
        self._log = log
        self._finished = services.finished
        self._running = services.running
        self._cors = cors
        self.tracing: Tracing | None = None
        """Set at the start, where traces are wanted."""

    __middleware_version__ = 1
    """aiohttp's mark of a middleware that takes (request, handler)."""

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        record = request[REQUEST_LOG] = RequestLog(
            _request_id(request), request.method, request.path, started=monotonic()
        )
        if self.tracing is not None:
            record.trace = self.tracing.begin(_route(request), request.headers.get("traceparent"))
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a handler always runs in one
        self._running.add(task)
        status = _CLIENT_GONE
        try:
            answered: object = await self._guarded(request, handler, record)
            if isinstance(answered, web.StreamResponse):
                response = answered
            else:  # a plugin's handler without a `return`
                name = getattr(handler, "__qualname__", "a handler")
                told = f"the handler of {request.method} {request.path} returned {type(answered).__name__}"
                self._log.event("crash", request_id=record.request_id, trace=told, handler=name)
                response = self._failed(request, record)
            status = response.status
            if record.limits and not response.prepared:
                response.headers.update(limit_headers(record.limits))
            return response
        finally:
            self._running.discard(task)
            self._finished(record, status)

    async def _guarded(
        self, request: web.Request, handler: Handler, record: RequestLog
    ) -> web.StreamResponse:
        """The handler's answer, or the error it ended in."""
        try:
            return await handler(request)
        except GatewayError as error:
            failed = error
        except web.HTTPException as error:
            if error.status < 400:
                raise
            preflight = await self._cors.preflight_instead_of_error(request)
            if preflight is not None:
                return preflight
            failed = _of_http(error)
        except asyncio.CancelledError as cancelled:
            if cancelled.args != (Draining.CANCELLED,):
                raise
            failed = Draining()
        except Exception:  # noqa: BLE001 - the last line of defence; the trace goes to the log
            self._log.event("crash", request_id=record.request_id, trace=_trace())
            return self._failed(request, record)
        record.failed(failed)
        told: ErrorReply = request.get(ERROR_REPLY, error_reply)
        return told(failed)

    @staticmethod
    def _failed(request: web.Request, record: RequestLog) -> web.Response:
        """Our own mistake, or a plugin's."""
        failed = GatewayError("The gateway made a mistake; its log knows more under this request's id.")
        record.failed(failed)
        told: ErrorReply = request.get(ERROR_REPLY, error_reply)
        return told(failed)


def _request_id(request: web.Request) -> str:
    """The caller's own id when it is fit for logs and headers, else a new one (robustness.md C41)."""
    given = request.headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else unique("req_")


def _route(request: web.Request) -> str | None:
    """The path as it is registered, without a client's own text; None where nothing is."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else None


def _of_http(error: web.HTTPException) -> GatewayError:
    """aiohttp's own refusals in our words."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        return MethodNotAllowed(frozenset(error.allowed_methods))
    if isinstance(error, web.HTTPNotFound):
        return NotFound("Unknown request URL.")
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return TooLarge("the request body is larger than this gateway takes (limits.body)")
    return BadRequest(error.reason, status=error.status, code="invalid_request")


def _trace() -> str:
    """Where it happened, innermost first: not the exception's text, which may quote a client."""
    kind, _, trace = sys.exc_info()
    frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(trace)]
    return scrub("\n".join([kind.__name__ if kind is not None else "", *reversed(frames[-_MOST_FRAMES:])]))
