"""Errors below the application: what aiohttp's parser refuses, answered in OpenAI's shape (design.md 1.1, 11).

Stock aiohttp would send a text page that echoes the offending line, and log it; a key may stand in either.
"""

from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from gateway.errors import BadRequest, GatewayError
from gateway.exchange.delivery import error_reply

_MESSAGES = {
    400: "The request is not valid HTTP.",
    413: "The request body is too large.",
    414: "The request URL is too long.",
    431: "The request's headers are too large.",
}


class Protocol(RequestHandler):
    """aiohttp's connection handler with our own words."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer without repeating what was received, and close."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun: the connection can only be closed")
        if status >= 500:
            error = GatewayError("The gateway could not answer this request.")
        else:
            error = BadRequest(_MESSAGES.get(status, _MESSAGES[400]), status=status, code="invalid_request")
        response = error_reply(error)
        response.headers["Access-Control-Allow-Origin"] = "*"
        response.headers["Server"] = "gemini-gateway"
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Say nothing: tracebacks of parser errors quote the client's bytes."""


class Server(web.Server):
    """Makes our protocol for each connection; new ones are a successor's, once there is one."""

    successor: "Server | None" = None

    def __call__(self) -> Protocol:
        if self.successor is not None:
            return self.successor()
        return Protocol(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """aiohttp's runner with our server; cancels a handler when its client leaves (robustness.md 0.1)."""

    def __init__(self, app: web.Application) -> None:
        super().__init__(
            app,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=75,  # longer than nginx's own, so that nginx never meets a closing door
            shutdown_timeout=1,  # what had to end has ended: see lifecycle.drain
        )

    async def _make_server(self) -> Server:
        stock = await super()._make_server()
        return Server(
            stock.request_handler,
            request_factory=stock.request_factory,
            handler_cancellation=stock.handler_cancellation,
            loop=stock._loop,  # noqa: SLF001 - aiohttp has no other way to another protocol
            **stock._kwargs,  # noqa: SLF001
        )
