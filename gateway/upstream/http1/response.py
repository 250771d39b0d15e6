"""The response to one request, filled by its connection and read by one reader."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from multidict import CIMultiDict, CIMultiDictProxy

from gateway.errors import UpstreamError, forget_frames
from gateway.upstream.transport import HIGH_WATER, STREAMED_AT_ONCE, lost, unreadable

_NO_HEADERS: list[tuple[bytes, bytes]] = []
"""The headers of a response that has forgotten them. Nothing is added to it."""


class Sender(Protocol):
    """The connection, as its response sees it."""

    loop: asyncio.AbstractEventLoop
    """The loop that it runs in. `get_running_loop` would ask the system for the process's id, before Python 3.12."""

    def leave(self) -> None:
        """Cut the connection: the reader does not want the rest."""

    def read_on(self) -> None:
        """Resume reading, because the reader has caught up."""

    def acknowledge_later(self) -> None:
        """Expect small pieces, one after another."""


class Http1Response:
    """Status, headers and body.

    `wake_at` is the number of bytes of a 200's body for which the reader is woken: 1 for a stream, more for a body that
    is read as a whole.
    """

    __slots__ = (
        "_is_closed", "_pieces", "_sender", "_size", "_take", "_waiter", "_wake_at", "content_type", "done", "error",
        "is_compressed", "raw_headers", "status",
    )  # fmt: skip

    def __init__(self, sender: Sender, wake_at: int) -> None:
        self._sender = sender
        self._is_closed = False
        self._wake_at = wake_at
        self._waiter: asyncio.Future[None] | None = None
        self._take: Callable[[bytes], bool] | None = None
        """Gets what arrives. Set only while the reader waits in `push_to`."""
        self.is_compressed = False
        """Whether the body is in gzip or deflate; see `InflatedResponse`."""
        self._pieces: list[bytes] = []
        self._size = 0
        self.status = 0
        """0 until the head is there."""
        self.content_type = ""
        self.raw_headers: list[tuple[bytes, bytes]] = []
        self.done = False
        self.error: UpstreamError | None = None

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        """All headers, by names in any case."""
        return CIMultiDictProxy(
            CIMultiDict(
                (n.decode("latin-1"), v.decode("utf-8", "surrogateescape")) for n, v in self.raw_headers
            )
        )

    def forget_headers(self) -> None:
        """Free the headers."""
        self.raw_headers = _NO_HEADERS

    def head(self) -> "asyncio.Future[None]":
        """Return what ends when status and headers are there, or an error is."""
        waiter = self._sender.loop.create_future()
        if self.status or self.error is not None:
            waiter.set_result(None)
        else:
            self._waiter = waiter
        return waiter

    def raise_early(self) -> None:
        """Raise the connection's UpstreamError if no part of the body came before it."""
        if self.error is not None and not self._pieces:
            raise self._taken_error()

    async def read(self) -> bytes:
        """Return what has arrived, at least one byte; b"" at the end. Raises UpstreamError after the last byte."""
        while self._size < self._wake_at and not self.done and self.error is None:
            await self._wait()
        pieces = self._pieces
        if not pieces:
            if self.error is not None:
                raise self._taken_error()
            return b""
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        if self._wake_at == 1 and len(data) > STREAMED_AT_ONCE:
            pieces.append(data[STREAMED_AT_ONCE:])
            data = data[:STREAMED_AT_ONCE]
        self._size = len(pieces[0]) if pieces else 0
        if self._size < HIGH_WATER and not self.done:  # the connection of one that is done may carry another
            self._sender.read_on()
        return data

    def arrived(self, most: int) -> bytes | None:
        """Return the body if all of it has arrived, none was read, and it has at most so many bytes."""
        if not self.done or self._size > most:
            return None
        pieces, self._pieces = self._pieces, []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    @property
    def is_over(self) -> bool:
        """Whether all has arrived and was read."""
        return self.done and not self._pieces

    def push_to(self, take: Callable[[bytes], bool]) -> "asyncio.Future[None] | None":
        """Give what arrives to `take`; see `Response.push_to`."""
        if self._pieces or self.done or self.error is not None:
            return None
        self._take = take
        self._sender.acknowledge_later()
        self._waiter = self._sender.loop.create_future()
        return self._waiter

    async def _wait(self) -> None:
        """Wait for the connection. Whoever is cancelled here does not want the rest."""
        self._sender.read_on()
        self._waiter = self._sender.loop.create_future()
        try:
            await self._waiter
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the response. Its connection is cut unless all of it has arrived."""
        if not self._is_closed:
            self._is_closed = True
            if not self.done and self.error is None:
                self._sender.leave()

    def _taken_error(self) -> UpstreamError:
        """Return the error, and keep another: one that is raised refers to the frames that refer to this response."""
        error, self.error = self.error, lost()
        assert error is not None  # noqa: S101 - the callers have looked
        return error

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        self._take = None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # called by the connection

    def begin(self, status: int, content_type: str, coding: bytes) -> None:
        """Take status and headers. Raises UpstreamError for a coding of the body that cannot be read."""
        self.status = status
        self.content_type = content_type
        if coding:
            name = coding.strip().lower()
            if name in (b"gzip", b"x-gzip", b"deflate"):
                self.is_compressed = True
            elif name != b"identity":
                raise unreadable()
        if self._wake_at == 1 or status != 200:
            self._wake()

    def feed(self, pieces: list[bytes], *, last: bool = False) -> bool:
        """Add to the body. Return False if the upstream has to wait for the reader."""
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if self._take is not None and not last:
            try:
                if not self._take(data):
                    self._wake()
                    return False
            except Exception as error:  # noqa: BLE001 - it is raised where the reader waits, not in the event loop
                waiter, self._waiter, self._take = self._waiter, None, None
                if waiter is not None and not waiter.done():
                    waiter.set_exception(error)
            return True
        self._pieces.append(data)
        self._size += len(data)
        if self._size >= self._wake_at:
            self._wake()
        return self._size < HIGH_WATER

    def end(self) -> None:
        """Note that all of it has arrived."""
        self.done = True
        self._wake()

    def fail(self, error: UpstreamError) -> None:
        """Note that no more will arrive. The reader gets what came before, and then the error."""
        self.error = forget_frames(error)
        self._wake()
