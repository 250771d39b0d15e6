"""Headers of every response, and the short way of a whole answer to the client's connection."""

from functools import lru_cache
from typing import Final

from aiohttp import ClientConnectionResetError, hdrs, web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import HttpVersion11
from aiohttp.http_writer import _serialize_headers as serialized
from multidict import CIMultiDict

from gateway.exchange.context import CONTEXT, RequestContext
from gateway.exchange.replies.delivery import add_gateway_headers
from gateway.exchange.replies.json_response import JSON_TYPE, JsonResponse
from gateway.policy.clients.rate_limits import limit_lines
from gateway.policy.load.overload import Overload
from gateway.server.cors import ALLOW_ORIGIN, Cors
from gateway.server.process.lifecycle import Drain

SERVER: Final = "gemini-gateway"
_OWN = frozenset(
    {"Content-Type", "Cache-Control", "X-Accel-Buffering", "request-id", "x-gateway-model", "x-gateway-notes"}
)
"""Headers of answers that have no meaning for the connection."""


class ResponseHeaders:
    """Headers of one application's responses."""

    def __init__(self, drain: Drain, overload: Overload, cors: Cors) -> None:
        self._drain = drain
        self._overload = overload
        self._cors = cors
        self._is_alone = False
        """Whether no other function changes responses before they are sent, and all origins get the same headers."""

    def add_to(self, app: web.Application) -> None:
        """Add the headers to all responses of an application."""
        app.on_response_prepare.append(self.finish)
        app.on_startup.append(self._started)

    async def _started(self, app: web.Application) -> None:
        self._is_alone = self._cors.allows_any and list(app.on_response_prepare) == [self.finish]

    async def finish(self, request: web.Request, response: web.StreamResponse) -> None:
        """Add what every response has: aiohttp's signal `on_response_prepare`.

        One function for all headers, because aiohttp awaits each of them for each response.
        """
        headers = response.headers
        headers["Server"] = SERVER
        context = request.get(CONTEXT)
        if context is not None:
            add_gateway_headers(headers, context)
        if self._closes():
            response.force_close()
            headers["Connection"] = "close"  # aiohttp has set its own value before this signal
        if "Origin" in request.headers:
            self._cors.expose(response)  # lists the headers that are set by now
        self._cors.allow(request, response)

    def write(self, request: web.Request, response: JsonResponse, context: RequestContext) -> bool:
        """Write a whole answer in one go, with the very bytes that aiohttp would write after `finish`.

        Return False, having written nothing, where aiohttp has more to decide. Raises ConnectionError if the client
        has left, and ValueError for a header that would end the head.
        """
        body, content = response.usual_body, request.content
        if body is None:
            return False
        beginning = _beginning(*response.made_with.items())
        if (
            not beginning
            or not self._is_usual(request, context)
            or not content.is_eof()
            or content.exception() is not None
        ):
            return False
        data = f"{beginning}{len(body)}\r\n{_end(context)}".encode() + body
        protocol = request.protocol
        transport = protocol.transport
        if transport is None or transport.is_closing():
            raise ClientConnectionResetError("Cannot write to closing transport")
        request.writer.output_size += len(data)
        transport.write(data)
        response.sent()
        return True

    def of_stream(
        self, request: web.Request, headers: dict[str, str], context: RequestContext
    ) -> dict[str, str] | None:
        """Return all headers of a stream of status 200, in aiohttp's order; None where it has more to decide."""
        if not (headers.keys() <= _OWN and self._is_usual(request, context)):
            return None
        return _added({**headers, "Transfer-Encoding": "chunked"}, context)

    def _is_usual(self, request: web.Request, context: RequestContext) -> bool:
        """Return whether the head has no line that depends on the request, and the connection stays open."""
        message = request._message  # noqa: SLF001 - each of aiohttp's properties costs a call
        return (
            self._is_alone
            and message.version == HttpVersion11
            and not message.should_close
            and message.method != "HEAD"
            and hdrs.ORIGIN not in message.headers
            and (context.hooks is None or not context.hooks.response_headers)
            and not self._closes()
        )

    def _closes(self) -> bool:
        return self._drain.draining or self._overload.closes_connections


@lru_cache(256)
def _beginning(*headers: tuple[str, str]) -> str:
    """Return the head of a 200 up to its length, for a JSON response made with some headers.

    It is "" if one of them has a meaning for the connection.

    Raises ValueError for a header that would end its line.
    """
    lines = {**JSON_TYPE, **dict(headers)}
    if not lines.keys() <= _OWN:
        return ""
    _check("".join(lines.values()))
    return "\r\n".join(["HTTP/1.1 200 OK", *map(": ".join, lines.items()), "Content-Length: "])


def _end(context: RequestContext) -> str:
    """Return the rest of a usual head: what `_added` adds, in its order. Raises ValueError as `_beginning` does."""
    report, lines = context.report, ""
    if report.cached is not None or report.fallbacks or context.hooks is not None:
        headers = _added({}, context)
        _check("".join(headers.values()))
        return "\r\n".join([*map(": ".join, headers.items()), "", ""])
    if report.limits:
        lines = limit_lines(report.limits)
    _check(context.request_id)
    return (
        f"Date: {rfc822_formatted_time()}\r\nServer: {SERVER}\r\nx-request-id: {context.request_id}\r\n"
        f"{lines}{ALLOW_ORIGIN}: *\r\n\r\n"
    )


def _check(text: str) -> None:
    """Raise aiohttp's ValueError for a value of a header that would end its line."""
    if "\r" in text or "\n" in text or "\0" in text:
        serialized("HTTP/1.1 200 OK", CIMultiDict(x=text))
        raise ValueError("a header has a character that HTTP does not allow there")


def _has_more(context: RequestContext) -> bool:
    """Return whether `add_gateway_headers` adds more than the request's id."""
    report = context.report
    return bool(report.limits or report.cached is not None or report.fallbacks or context.hooks is not None)


def _added(headers: dict[str, str], context: RequestContext) -> dict[str, str]:
    """Add what aiohttp and `ResponseHeaders.finish` would add to the headers of a usual response, in their order."""
    headers["Date"] = rfc822_formatted_time()
    headers["Server"] = SERVER
    if _has_more(context):
        add_gateway_headers(headers, context)
    else:
        headers["x-request-id"] = context.request_id
    headers[ALLOW_ORIGIN] = "*"
    return headers
