"""A response whose body is compressed (RFC 9110, section 8.4.1). The gateway asks for none; a proxy may send it."""

import asyncio
import zlib
from collections.abc import Callable, Mapping

from gateway.upstream.http1.response import Http1Response
from gateway.upstream.transport import STREAMED_AT_ONCE, unreadable

_MOST_INFLATED = 4 * 1024 * 1024
"""Bytes that one read may become."""
_GZIP_OR_ZLIB = 47
"""zlib's window bits for both formats, told apart by their headers."""


class InflatedResponse:
    """A response that is inflated as it is read: what waits for a slow reader waits compressed."""

    __slots__ = ("_inflate", "_inflated", "_response", "_rest", "content_type", "status")

    def __init__(self, response: Http1Response) -> None:
        self._response = response
        self._inflate = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._rest: bytes | None = None
        """Compressed bytes that were read and not inflated yet; b"" while zlib may hold output; None if no more."""
        self._inflated = 0
        """Bytes that the last read has become."""
        self.status = response.status
        self.content_type = response.content_type

    @property
    def headers(self) -> Mapping[str, str]:
        """All headers, by names in any case."""
        return self._response.headers

    def forget_headers(self) -> None:
        """Free the headers."""
        self._response.forget_headers()

    async def read(self) -> bytes:
        """Return the next piece; b"" at the end. Raises UpstreamError, also for a body that cannot be inflated."""
        while True:
            if self._rest is None:
                data, self._inflated = await self._response.read(), 0
                if not data:
                    if not self._inflate.eof:
                        raise unreadable()
                    return b""
            else:
                data = self._rest
                await asyncio.sleep(0)  # a bomb holds up nobody else
            if result := self._next(data):
                return result

    def _next(self, data: bytes) -> bytes:
        """Inflate at most STREAMED_AT_ONCE bytes. Raises UpstreamError."""
        inflate = self._inflate
        if inflate.eof and data:
            raise unreadable()
        try:
            result = inflate.decompress(data, STREAMED_AT_ONCE)
        except zlib.error:
            raise unreadable() from None
        self._inflated += len(result)
        if inflate.unused_data or self._inflated > _MOST_INFLATED:
            raise unreadable()
        is_full = len(result) == STREAMED_AT_ONCE and not inflate.eof
        self._rest = inflate.unconsumed_tail if inflate.unconsumed_tail or is_full else None
        return result

    def arrived(self, most: int) -> bytes | None:
        """Return None: nothing is inflated before it is read."""
        return None

    @property
    def is_over(self) -> bool:
        """False: only `read` knows the end."""
        return False

    def push_to(self, take: Callable[[bytes], bool]) -> None:
        """Return None: the reader asks for each piece."""

    def close(self) -> None:
        """End the response; see `Http1Response.close`."""
        self._response.close()
