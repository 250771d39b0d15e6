"""Replies that are not silent for long, and the one timer that looks at all of them."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Self

from gateway.config.sections import StreamConfig
from gateway.exchange.context import RequestContext
from gateway.upstream.turns import in_turns

_SHARE = 4
"""Looks at a reply in the time after which it is silent for too long."""
_LONGEST = 1.0
"""Seconds between two looks, at most."""


class Ticker:
    """Looks at the replies that are not over. A timer for each of them would take 600 bytes."""

    def __init__(self, config: StreamConfig) -> None:
        self._pause = min(_LONGEST, config.first_byte_grace / _SHARE, config.keep_alive / _SHARE)
        self._replies: set[TimedReply] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, reply: "TimedReply", loop: asyncio.AbstractEventLoop) -> None:
        """Look at a reply until it is removed."""
        self._replies.add(reply)
        if self._timer is None:
            self._timer = loop.call_later(self._pause, self._look, loop)

    def remove(self, reply: "TimedReply") -> None:
        """Look at a reply no more."""
        self._replies.discard(reply)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(self._pause, self._look, loop) if self._replies else None
        in_turns(loop, self._replies, partial(self._look_at, loop))

    def _look_at(self, loop: asyncio.AbstractEventLoop, replies: Sequence["TimedReply"]) -> None:
        now = loop.time()
        for reply in replies:
            if reply in self._replies:
                reply.look(now)


class TimedReply:
    """The client's side of a stream that is not silent for long. An async context manager."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        ticker: Ticker,
        context: RequestContext,
        config: StreamConfig,
        keep_alive: Callable[..., bytes],
    ) -> None:
        self._context = context
        self._config = config
        self._loop = loop
        self._ticker = ticker
        self._last_write = loop.time()
        self._writing = False
        self._frames = keep_alive
        self._keep_alive: asyncio.Task[None] | None = None
        self.begun = False
        self._has_content = False

    async def __aenter__(self) -> Self:
        self._ticker.add(self, self._loop)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ticker.remove(self)
        if self._keep_alive is not None:
            self._keep_alive.cancel()

    async def write(self, data: bytes) -> None:
        """Send content. Waits for a slow reader."""
        if not self._has_content:
            self._has_content = True
            self._context.first_byte()
        await self._send(data)

    async def _send(self, data: bytes) -> None:
        """Send frames. Sets `begun`, `_last_write`, and `_writing` while the client does not take them."""
        raise NotImplementedError

    async def _fill(self) -> None:
        """Send what keeps the stream alive. It is made when it is sent: no content gets between the two."""
        with suppress(ConnectionError):  # the client has left, and the request is about to be cancelled
            await self._send(self._frames(begun=self.begun))

    def look(self, now: float) -> None:
        """Keep a silent stream alive. While the client does not take what was written, there is no silence."""
        limit = self._config.keep_alive if self.begun else self._config.first_byte_grace
        if now - self._last_write >= limit and not self._writing:
            self._keep_alive = self._loop.create_task(self._fill(), name="keep-alive")
