"""Cuts clients that do not read: aiohttp has no write timeout.

One timer looks at all connections, so that a write costs nothing more. It sees whole answers, streams and errors of
every surface alike, also on a connection that is closed but for what its client has not read.
"""

import asyncio
import fcntl
import struct
import termios
from collections.abc import Sequence
from typing import NamedTuple

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from gateway.policy.load.memory import MemoryAccount
from gateway.upstream.turns import in_turns

_TICK = 1.0
"""Seconds between two looks, at most."""


class _Progress(NamedTuple):
    """Progress of one client: the bytes that it has taken, and when that number changed last."""

    request: int
    """Identity of the request whose answer is written."""
    taken: int
    """Bytes of it that have left all buffers."""
    since: float


class WriteDeadline:
    """Looks at a server's connections, and cuts those whose clients have taken nothing for `timeout` seconds."""

    def __init__(self, server: web.Server, timeout: float, memory: MemoryAccount) -> None:
        self._server = server
        self._timeout = timeout
        self._memory = memory
        self._unsent = 0
        self._waiting: dict[RequestHandler, _Progress] = {}
        self._next_unsent = 0
        """The same two of the round in progress."""
        self._next_waiting: dict[RequestHandler, _Progress] = {}
        self._is_over = False
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(0, self._look)

    def stop(self) -> None:
        """Look no more."""
        self._is_over = True
        self._timer.cancel()
        self._count(0)

    def _look(self) -> None:
        self._next_unsent, self._next_waiting = 0, {}
        in_turns(self._loop, self._server.connections, self._look_at, self._ended)

    def _look_at(self, connections: Sequence[RequestHandler]) -> None:
        now = self._loop.time()
        for connection in connections:
            transport = connection.transport
            size = transport.get_write_buffer_size() if transport is not None else 0
            if transport is None or not size:
                continue
            self._next_unsent += size
            progress = _progress(connection, size + _in_kernel(transport), now)
            before = self._waiting.get(connection)
            if before is not None and before[:2] == progress[:2]:
                progress = before
            if now - progress.since >= self._timeout:
                transport.abort()
            else:
                self._next_waiting[connection] = progress

    def _ended(self) -> None:
        if self._is_over:
            return
        self._waiting, self._next_waiting = self._next_waiting, {}
        self._count(self._next_unsent)
        self._timer = self._loop.call_later(min(_TICK, self._timeout / 4), self._look)

    def _count(self, unsent: int) -> None:
        self._memory.unsent += unsent - self._unsent
        self._unsent = unsent


def _progress(connection: RequestHandler, unsent: int, now: float) -> _Progress:
    request = connection._current_request  # noqa: SLF001 - aiohttp does not tell how much was written
    if request is None:
        return _Progress(0, -unsent, now)
    return _Progress(id(request), request.writer.output_size - unsent, now)


def _in_kernel(transport: asyncio.Transport) -> int:
    """Return the bytes in the socket's own buffer, which is megabytes large (tcp(7), SIOCOUTQ)."""
    try:
        result = fcntl.ioctl(
            transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, struct.pack("i", 0)
        )
    except OSError:
        return 0
    return int(struct.unpack("i", result)[0])
