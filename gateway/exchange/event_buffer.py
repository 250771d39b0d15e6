"""Frames of an answer that is made in the background, in order, for whoever reads them later."""

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web


class EventBuffer:
    """A reply (`exchange.Reply`) without a client. Frames are numbered from 0, as OpenAI's `sequence_number` is."""

    begun = True
    """Every failure is written into the stream."""

    def __init__(self) -> None:
        self.bytes = 0
        self.ended = False
        self._frames: list[bytes] = []
        self._news = asyncio.Event()

    async def write(self, data: bytes) -> None:
        """Add some whole frames."""
        self._frames += [frame + b"\n\n" for frame in data.split(b"\n\n") if frame]
        self.bytes += len(data)
        self._wake()

    async def finish(self) -> web.StreamResponse:
        """Return an empty response: there is no client to answer."""
        return web.StreamResponse()

    def end(self) -> None:
        """Say that no frame follows."""
        self.ended = True
        self._wake()

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
