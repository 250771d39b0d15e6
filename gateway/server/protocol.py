"""HTTP errors below the application, answered in OpenAI's error format.

aiohttp's own answer to a request that its parser refuses repeats the offending line and logs it. The line may
contain a key.
"""

from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from gateway.errors import BadRequest, GatewayError
from gateway.exchange.delivery import error_response
from gateway.server.cors import allow_any_origin

_MESSAGES = {
    400: "The request is not valid HTTP.",
    413: "The request body is too large.",
    414: "The request URL is too long.",
    431: "The request's headers are too large.",
}


class Protocol(RequestHandler):
    """aiohttp's connection handler with error answers that repeat nothing."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the error response and close the connection. Raises ConnectionError if an answer has begun."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun: the connection can only be closed")
        if status >= 500:
            error = GatewayError("Internal gateway error.")
        else:
            error = BadRequest(_MESSAGES.get(status, _MESSAGES[400]), status=status, code="invalid_request")
        response = error_response(error)
        allow_any_origin(response)
        response.headers["Server"] = "gemini-gateway"
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log nothing: tracebacks of parser errors contain the client's bytes."""


class Server(web.Server):
    """Server that creates a Protocol for each connection, or passes new connections on to its successor."""

    successor: "Server | None" = None

    def __call__(self) -> Protocol:
        if self.successor is not None:
            return self.successor()
        return Protocol(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """aiohttp's runner with our server. A handler is cancelled when its client disconnects."""

    def __init__(self, app: web.Application) -> None:
        super().__init__(
            app,
            handler_cancellation=True,
            access_log=None,
            # Longer than in config/nginx.conf: nginx must not reuse a connection that is being closed.
            keepalive_timeout=75,
            shutdown_timeout=1,  # lifecycle.drain has waited for requests before
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
