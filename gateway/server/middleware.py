"""Gives every request its id and context, turns errors into responses, and ends it with its log line."""

import asyncio
import re
from functools import lru_cache
from time import monotonic
from urllib.parse import unquote

from aiohttp import hdrs, web
from aiohttp.http import HttpVersion11
from aiohttp.typedefs import Handler
from multidict import istr

from gateway.errors import (
    BadRequest,
    GatewayError,
    LoopDetected,
    TooLarge,
    forget_frames,
)
from gateway.exchange.cancellation import of_cancellation
from gateway.exchange.context import ADDRESS, CONTEXT, RequestContext
from gateway.exchange.ids import unique
from gateway.exchange.incoming.request_body import TOO_LARGE
from gateway.exchange.replies.delivery import fail
from gateway.exchange.replies.json_response import JsonResponse
from gateway.exchange.replies.unserved import unserved
from gateway.exchange.report import ExchangeReport
from gateway.observability.json_log import JsonLog, trace_of
from gateway.observability.redaction import redacted
from gateway.plugin import Plugin, Services
from gateway.policy.load.memory import MemoryHold
from gateway.server.connection.response_headers import ResponseHeaders
from gateway.server.cors import Cors
from gateway.upstream.client import HOP

_FIT_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)
_REQUEST_ID, _HOP = istr("x-request-id"), istr(HOP)
"""Names of headers for look-ups: another text is made lower-case each time."""
_HEX = re.compile(r"[0-9a-f-]+")
"""An id such as nginx makes."""
_OK = 200
_CLIENT_GONE = 499
"""nginx's status for a client that closed the connection."""
_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
"""A host and a port (RFC 9110, 7.2). No decision depends on it; upload URLs of `native` contain it."""
_INTERNAL_ERROR = "Internal gateway error; see the gateway's log for this request id."


class RequestMiddleware:
    """aiohttp middleware around every request."""

    def __init__(self, log: JsonLog, services: Services, cors: Cors, headers: ResponseHeaders) -> None:
        self._log = log
        self._services = services
        self._cors = cors
        self._headers = headers
        self._loop: asyncio.AbstractEventLoop | None = None

    __middleware_version__ = 1
    """aiohttp's mark of a middleware that takes (request, handler)."""

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        services = self._services
        memory = services.memory.open()
        request[CONTEXT] = context = self._context(request, memory)
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        # Without the loop, Python 3.11 would ask the system for the process's id each time.
        task = asyncio.current_task(self._loop)
        assert task is not None  # noqa: S101 - a handler always runs in one
        services.running[task] = request
        status = _CLIENT_GONE
        try:
            try:
                _check(request)
                answer: object = await handler(request)
                response: web.StreamResponse
                if type(answer) is JsonResponse:
                    self._headers.write(request, answer, context)  # unless it is more than a plain whole one
                    response = answer
                elif isinstance(answer, web.StreamResponse):
                    response = answer
                else:
                    response = self._unanswered(request, handler, answer)
            except BaseException as error:  # noqa: BLE001 - `_failed` raises what has no answer
                forget_frames(error)
                response = await self._failed(request, error)
            if memory.owned or request.protocol.writing_paused:
                await _send(request, response)  # it is accounted for until the client has taken it
            if response.prepared or not _disconnected(request):
                status = response.status
            return response
        except web.HTTPException as error:
            status = error.status
            raise
        except asyncio.CancelledError:
            if context.report.unsent == 0:  # many clients close the connection at the last byte
                status = _OK
            raise
        finally:
            memory.release()
            services.running.pop(task, None)
            services.finished(context, status)

    def _context(self, request: web.Request, memory: MemoryHold) -> RequestContext:
        services, address = self._services, request.get(ADDRESS)
        tracing = services.tracing
        trace = None
        if tracing is not None:
            trace = tracing.begin(_route(request), request.headers.get("traceparent"))
        return RequestContext(
            _request_id(request),
            request.method,
            request.path if address is None else unquote(address.original),
            monotonic(),
            ExchangeReport(),
            trace,
            memory=memory,
            deployment="" if address is None else address.deployment,
            hooks=None if services.hooks is None else services.hooks.begin(request.headers),
            stream_head=self._headers.of_stream,
        )

    def _unanswered(self, request: web.Request, handler: Handler, result: object) -> web.Response:
        """Return the response for a handler whose result is none."""
        message = f"the handler of {request.method} {request.path} returned {type(result).__name__}"
        return self._crashed(request, message, handler=getattr(handler, "__qualname__", "a handler"))

    async def _failed(self, request: web.Request, error: BaseException) -> web.StreamResponse:
        """Return the response for an error. Raises it if there is none: for a redirect, and a client that has left."""
        if isinstance(error, GatewayError):
            return fail(request, error)
        if isinstance(error, web.HTTPException):
            if error.status < 400:
                raise error
            preflight = await self._cors.preflight_instead_of_error(request)
            return preflight if preflight is not None else fail(request, _of_http(request, error))
        if isinstance(error, asyncio.CancelledError):
            reason = of_cancellation(error)
            if reason is None:
                raise error
            return fail(request, reason)
        if not isinstance(error, Exception) or (
            isinstance(error, ConnectionError) and _disconnected(request)
        ):
            raise error  # a write failed before the handler was cancelled; aiohttp ends the connection
        return self._crashed(request, trace_of(error))  # the last line of defence; the trace goes to the log

    def _crashed(self, request: web.Request, trace: str, **fields: str) -> web.Response:
        """Log a fault of the gateway or of a plugin, and return the response for it."""
        plugin = getattr(request.match_info.handler, "__self__", None)
        if isinstance(plugin, Plugin):
            fields["plugin"] = plugin.name
        self._log.event("crash", request_id=request[CONTEXT].request_id, trace=trace, **fields)
        return fail(request, GatewayError(_INTERNAL_ERROR))


def _check(request: web.Request) -> None:
    """Raise BadRequest for a Host that is none, and LoopDetected for a request that this gateway sent."""
    headers = request.headers
    if not _is_host(headers.get(hdrs.HOST)) and (request.version >= HttpVersion11 or hdrs.HOST in headers):
        raise BadRequest(
            "The header Host is missing or invalid: expected a host and a port.", code="invalid_host"
        )
    if _HOP in headers:
        raise LoopDetected


@lru_cache(256)
def _is_host(text: str | None) -> bool:
    return text is not None and _HOST.fullmatch(text) is not None


def _disconnected(request: web.Request) -> bool:
    """Return whether the client has closed its connection."""
    transport = request.transport
    return transport is None or transport.is_closing()


async def _send(request: web.Request, response: web.StreamResponse) -> None:
    """Send a whole response, which aiohttp would do after the request's end, and wait for the client.

    Raises ConnectionError.
    """
    await response.prepare(request)
    await response.write_eof()
    await request.writer.drain()


def _request_id(request: web.Request) -> str:
    """Return the client's `x-request-id` if it is fit for logs and headers and no key, else a new id."""
    sent = request.headers.get(_REQUEST_ID)
    if sent is None:
        return unique("req_")
    fit = _FIT_ID.fullmatch(sent) and (_HEX.fullmatch(sent) or redacted(sent) == sent)
    return sent if fit else unique("req_")


def _route(request: web.Request) -> str | None:
    """Return the path as it is registered, without the client's own text; None for an unknown path."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else None


def _of_http(request: web.Request, error: web.HTTPException) -> GatewayError:
    """Return the gateway's error for one of aiohttp's."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        return unserved(request, error.allowed_methods)
    if isinstance(error, web.HTTPNotFound):
        return unserved(request)
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return TooLarge(TOO_LARGE)
    return BadRequest(error.reason, status=error.status, code="invalid_request")
