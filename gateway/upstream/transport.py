"""The seam between the calls of Gemini and HTTP: one request, its response, and the errors of both.

`http1` is the gateway's own transport. `aiohttp_transport` is aiohttp's client, for proxies and uploads, and for all
calls with `upstream.transport: aiohttp`.
"""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import cache
from typing import Protocol

from gateway.errors import (
    BadRequest,
    GatewayError,
    OutOfDescriptors,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnreachable,
)

WRITTEN_AT_ONCE = 64 * 1024
"""Bytes that fit into the buffer of a connection. A larger body is sent in pieces, each with a deadline."""
HIGH_WATER = 32 * 1024
"""Bytes of a response that wait for their reader before the upstream has to wait.

A client that does not read makes the gateway stop reading, and what has been read by then takes memory.
"""
READ_AT_ONCE = 64 * 1024
"""Bytes of a response that are read and parsed at once."""
STREAMED_AT_ONCE = 32 * 1024
"""The same for a stream, where they are translated at once, too.

What they become, up to four times as many bytes, waits in the connection of a client that does not read.
"""
IDLE_SECONDS = 50.0
"""Seconds for which an unused connection is kept."""

UNKNOWN_TYPE = "application/octet-stream"
"""The media type of a body whose headers name none (RFC 9110, section 8.3)."""

Body = bytes | AsyncIterator[bytes] | None


class Response(Protocol):
    """Status and headers that have arrived, and a body that may still be on its way."""

    @property
    def status(self) -> int: ...
    @property
    def content_type(self) -> str:
        """The media type in lower case, without parameters; UNKNOWN_TYPE if the headers name none."""

    @property
    def headers(self) -> Mapping[str, str]:
        """All headers, by names in any case."""

    def forget_headers(self) -> None:
        """Free the headers, which a stream would keep for as long as it lives."""

    async def read(self) -> bytes:
        """Return what has arrived, waiting for at least one byte; b"" at the end. Raises UpstreamError."""

    def arrived(self, most: int) -> bytes | None:
        """Return the body if all of it has arrived, none was read, and it has at most so many bytes; else None."""

    @property
    def is_over(self) -> bool:
        """Whether all has arrived and was read. A transport that does not know it says False until the end is read."""

    def push_to(self, take: Callable[[bytes], bool]) -> Awaitable[None] | None:
        """Give what arrives to `take`, in the call that brings it, until it returns False.

        Return None if there is something to read already, or if the transport cannot push. Otherwise return what to
        await: it ends when there is something to read, or the end, because the last data are always read. It raises
        what `take` raises. Who is cancelled in it closes the response.
        """

    def close(self) -> None:
        """End the response. A connection whose response was not read to its end is cut."""


class Transport(Protocol):
    """A way to the origin of `upstream.base_url`."""

    async def request(
        self, method: str, path: str, headers: Mapping[str, str], body: Body, *, whole: bool = False
    ) -> Response:
        """Send a request and return its response, whatever the status. Nothing is repeated, no redirect followed.

        `path` begins with a slash and is percent-encoded. With `whole` the response may be returned when its body is
        there, which saves a waking. Raises UpstreamDropped if a connection that had carried requests before was closed
        instead of answering, and other UpstreamErrors; `sent` is False if the upstream cannot have got the request.
        """

    async def close(self) -> None:
        """Close all connections."""


def silent() -> UpstreamTimeout:
    """Return the error for an upstream that sends nothing, or takes nothing, in time."""
    return UpstreamTimeout("The upstream did not answer in time.")


def too_slow() -> UpstreamTimeout:
    """Return the error for an answer that does not end in time."""
    return UpstreamTimeout("The upstream did not complete its answer in time.")


def unreadable() -> UpstreamError:
    """Return the error for an answer that is not HTTP, or in a coding that was not asked for."""
    return UpstreamError("The upstream's answer cannot be read.", code="upstream_bad_response")


def lost() -> UpstreamError:
    """Return the error for a connection that ended before the head of its response."""
    return UpstreamError(_UNREACHABLE, code="upstream_unreachable")


def unsent(*, timeout: bool = False, short: bool = False, final: bool = False) -> GatewayError:
    """Return the error for a connection that could not be made: Google has not got the call.

    `timeout` tells that it took too long, `short` that no descriptor is free, and `final` that another attempt would
    meet the same name or certificate.
    """
    if short:
        return OutOfDescriptors()
    error: UpstreamError = silent() if timeout else UpstreamUnreachable(_UNREACHABLE)
    if final:
        error.most_attempts = 1
    error.sent = False
    return error


def check_path(path: str) -> None:
    """Raise BadRequest for a path that could end the request line."""
    if not (path.isascii() and path.isprintable()) or " " in path:
        raise BadRequest("The path of the request has a character that must be percent-encoded.")


_UNREACHABLE = "The upstream cannot be reached."


@cache
def tls_context() -> ssl.SSLContext:
    """Return the context of all connections: the system's authorities, and HTTP/1.1."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
