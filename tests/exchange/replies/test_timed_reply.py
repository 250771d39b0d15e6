"""Silence on a stream: when it is filled, and that one timer looks at all streams."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from time import monotonic

import pytest

from gateway.config.sections import StreamConfig
from gateway.exchange.context import RequestContext
from gateway.exchange.replies.timed_reply import Ticker, TimedReply
from gateway.exchange.report import ExchangeReport
from gateway.upstream.turns import AT_ONCE

CONFIG = StreamConfig(first_byte_grace=8, keep_alive=3)


class Loop:
    """A clock, and the timers and tasks that were asked for."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, Callable[..., None], tuple[object, ...]]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[..., None], *arguments: object) -> object:
        self.timers.append((self.now + delay, callback, arguments))
        self.timers.sort(key=lambda timer: timer[0])
        return callback

    def create_task(self, work: object, name: str) -> "asyncio.Task[None]":
        return asyncio.get_running_loop().create_task(work, name=name)  # type: ignore[arg-type]

    async def until(self, end: float) -> None:
        """Let time pass, with all timers that are due."""
        while self.timers and self.timers[0][0] <= end:
            self.now, callback, arguments = self.timers.pop(0)
            callback(*arguments)
            await asyncio.sleep(0)
        self.now = end


class Reply(TimedReply):
    """A reply that notes when it sends."""

    def __init__(self, loop: Loop, ticker: Ticker) -> None:
        context = RequestContext("r", "POST", "/", monotonic(), ExchangeReport())
        super().__init__(loop, ticker, context, CONFIG, lambda *, begun: b"begun" if begun else b"begin")  # type: ignore[arg-type]
        self.clock = loop
        self.sent: list[tuple[float, bytes]] = []

    async def _send(self, data: bytes) -> None:
        self.begun = True
        self._last_write = self.clock.now
        self.sent.append((self.clock.now, data))


@pytest.fixture
def loop() -> Loop:
    return Loop()


async def test_silence_is_filled_after_the_grace_and_after_each_pause(loop: Loop) -> None:
    async with Reply(loop, Ticker(CONFIG)) as reply:
        await loop.until(107.9)
        assert reply.sent == []
        await loop.until(114.8)

    assert [data for _, data in reply.sent] == [b"begin", b"begun", b"begun"]
    assert [second - first for (first, _), (second, _) in zip(reply.sent, reply.sent[1:], strict=False)] == [
        3,
        3,
    ]


async def test_content_ends_the_silence(loop: Loop) -> None:
    async with Reply(loop, Ticker(CONFIG)) as reply:
        for at in (101.0, 103.5, 106.0):
            await loop.until(at)
            await reply.write(b"content")
        await loop.until(108.9)
        assert [data for _, data in reply.sent] == [b"content"] * 3
        await loop.until(110.0)

    assert reply.sent[3][1] == b"begun"


async def test_there_is_no_silence_while_the_client_does_not_read(loop: Loop) -> None:
    async with Reply(loop, Ticker(CONFIG)) as reply:
        reply._writing = True
        await loop.until(120)
        assert reply.sent == []


async def test_one_timer_looks_at_all_replies_until_the_last_is_over(loop: Loop) -> None:
    ticker = Ticker(CONFIG)
    async with Reply(loop, ticker) as first:
        async with Reply(loop, ticker) as second:
            assert len(loop.timers) == 1
            await loop.until(108.5)
        assert len(first.sent) == len(second.sent) == 1
        await loop.until(112)
        assert (len(first.sent), len(second.sent)) == (2, 1)
    await loop.until(114)
    assert loop.timers == []
    async with Reply(loop, ticker):
        assert len(loop.timers) == 1


async def test_many_replies_are_looked_at_in_turns_and_none_after_its_end(loop: Loop) -> None:
    ticker, looks = Ticker(CONFIG), [0]

    class Counted(Reply):
        def look(self, now: float) -> None:
            looks[-1] += 1
            super().look(now)

    async with AsyncExitStack() as stack:
        replies = [await stack.enter_async_context(Counted(loop, ticker)) for _ in range(AT_ONCE + 50)]
        await loop.until(100.75)
        assert looks == [AT_ONCE]
        for reply in replies:
            ticker.remove(reply)
        await loop.until(102)
    assert looks == [AT_ONCE]
    assert loop.timers == []
