"""Frames of a background response, kept in order for clients that follow it later."""

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from gateway.errors import Overloaded
from gateway.policy.load.memory import MemoryHold

_UNCOUNTED = 64 * 1024
"""Bytes of frames that are accounted for at once. The frames of an error are fewer, and are never refused."""
_COPIES = 2
"""Copies of what the frames say: they, and the response that they build."""


class EventBuffer:
    """A reply (`stream_relay.Reply`) without a client. Frames are numbered from 0, as OpenAI's `sequence_number` is."""

    begun = True
    """Every failure is written into the stream."""
    push = None
    """Memory may be refused: writing is the long way."""

    def __init__(self) -> None:
        self.memory = MemoryHold.uncounted()
        """Accounts for the frames until `drop`. Before the end it also holds what the request holds."""
        self._uncounted = 0
        self.bytes = 0
        self.ended = False
        self._refused = False
        """The memory was refused, and what follows says so."""
        self._frames: list[bytes] = []
        self._news = asyncio.Event()

    @property
    def held(self) -> int:
        """Bytes of memory that the frames and the response take."""
        return self.bytes * _COPIES

    async def write(self, data: bytes) -> None:
        """Add some whole frames. Raises Overloaded, after it has added them, unless it has raised it before.

        The frames are there already, their numbers must have no gap, and the event of the failure is always added.
        """
        self._frames += [frame + b"\n\n" for frame in data.split(b"\n\n") if frame]
        self.bytes += len(data)
        self._wake()
        self._uncounted += len(data)
        if self._uncounted > _UNCOUNTED and not self._refused:
            size, self._uncounted = self._uncounted, 0
            try:
                self.memory.take(size * _COPIES)
            except Overloaded:
                self._refused = True
                raise

    async def finish(self, last: bytes = b"") -> web.StreamResponse:
        """Add the last frames. Return an empty response: there is no client to answer."""
        if last:
            await self.write(last)
        return web.StreamResponse()

    def end(self) -> None:
        """Say that no frame follows. Only the frames are accounted for from now on."""
        self.memory.shrink(self.held)
        self.memory.keep()
        self.ended = True
        self._wake()

    def drop(self) -> None:
        """Say that nobody will read the frames any more."""
        self.memory.release()

    async def follow(self, after: int) -> AsyncIterator[bytes]:
        """Yield the frames after number `after`, those ready at once joined, until the last one has come."""
        position = after + 1
        while True:
            news = self._news
            if position < len(self._frames):
                data = b"".join(self._frames[position:])
                position = len(self._frames)
                yield data
            elif self.ended:
                return
            else:
                await news.wait()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
