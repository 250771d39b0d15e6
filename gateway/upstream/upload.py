"""Request bodies that are sent in pieces, each of which the upstream must take in time."""

import asyncio
from collections.abc import AsyncIterator

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

_PIECE = 64 * 1024
"""Bytes that are sent at once: one write of a whole body would block the event loop."""


class Upload(Payload):
    """A body for aiohttp's client. aiohttp's own time-outs begin once a body has been sent."""

    _value: bytes | AsyncIterator[bytes]
    _autoclose = True

    def __init__(self, body: bytes | AsyncIterator[bytes], timeout: float) -> None:
        super().__init__(body, content_type="application/octet-stream")
        self._timeout = timeout
        self._size = len(body) if isinstance(body, bytes) else None

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Raise TypeError: a body is sent, not shown."""
        raise TypeError("an upload cannot be decoded")

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send the whole body. Raises TimeoutError."""
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Send at most `content_length` bytes. Raises TimeoutError when the upstream takes none for too long.

        A body that is not sent to its end leaves a connection that is of no use, and bytes in its buffer that nobody
        reads, so the connection is cut rather than closed.
        """
        left = content_length
        try:
            async for piece in _pieces(self._value):
                data = piece if left is None else piece[:left]
                if left is not None:
                    left -= len(data)
                async with asyncio.timeout(self._timeout):
                    await writer.write(data)
                    await writer.drain()
        except BaseException:
            transport = getattr(writer, "transport", None)
            if transport is not None:
                transport.abort()
            raise


async def _pieces(body: bytes | AsyncIterator[bytes]) -> AsyncIterator[bytes | memoryview]:
    if isinstance(body, bytes):
        view = memoryview(body)
        for start in range(0, len(view), _PIECE):
            yield view[start : start + _PIECE]
        return
    async for piece in body:
        yield piece
