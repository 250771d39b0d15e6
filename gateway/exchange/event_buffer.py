"""Answers that are made while nobody waits: their frames are kept in order, for whoever comes to read them."""

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web


class EventBuffer:
    """A reply (`exchange.Reply`) without a client: frames by number, from 0; the number is `sequence_number`."""

    begun = True
    """Every failure is told inside the stream."""

    def __init__(self) -> None:
        self.bytes = 0
        self.ended = False
        self._frames: list[bytes] = []
        self._news = asyncio.Event()

    async def write(self, data: bytes) -> None:
        """Some whole frames."""
        self._frames += [frame + b"\n\n" for frame in data.split(b"\n\n") if frame]
        self.bytes += len(data)
        self._tell()

    async def finish(self) -> web.StreamResponse:
        """The stream is complete; there is no client to answer."""
        return web.StreamResponse()

    def end(self) -> None:
        """Nothing follows."""
        self.ended = True
        self._tell()

    async def follow(self, after: int) -> AsyncIterator[bytes]:
        """The frames with higher numbers, those that are still to come included."""
        at = after + 1
        while True:
            news = self._news
            if at < len(self._frames):
                found = b"".join(self._frames[at:])
                at = len(self._frames)
                yield found
            elif self.ended:
                return
            else:
                await news.wait()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
