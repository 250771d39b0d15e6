"""The gateway's other processes, asked over Redis while somebody looks: one channel of questions, one list per answer.

Nothing is sent while nobody asks, but a sign of life each ten seconds. The connection is the console's own, so that it
cannot slow the limits of clients. What does not answer within a second is named.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web
from msgspec import Struct

from gateway.console.instance import instance

if TYPE_CHECKING:
    from gateway.store.redis import Redis

_WAIT = 1.0
"""Seconds that an answer waits for the others."""
_ALIVE = 10.0
"""Seconds between two signs of life."""
_DEAD = 25.0
_LARGEST = 2**20
"""Bytes of an answer, and of a question."""
_MOST = 64
"""Processes that are asked."""
_RETRY = 2.0
Answer = Callable[[dict[str, Any]], Awaitable[Any]]
"""Returns what can be encoded as JSON. The question comes from a process that has Redis's password."""


class Question(Struct, frozen=True):
    """A question to all processes."""

    id: str
    sender: str
    what: str
    values: dict[str, Any] = {}


class Part(Struct, frozen=True):
    """The answer of one process."""

    process: str
    name: str
    """Of the instance."""
    data: Any


class Parts(Struct, frozen=True):
    """The answers of the other processes, by the name of the instance."""

    data: dict[str, Any] = {}
    silent: list[str] = []
    """Instances that have not answered within a second."""


_NOBODY = Parts()


class Fleet:
    """All processes with one Redis. `open` returns that of the console, or None: then there are no others."""

    def __init__(self, open_redis: "Callable[[], Redis | None]", name: str = "") -> None:
        self._open = open_redis
        self._redis: Redis | None = None
        self.name = name or instance()
        """Of this instance."""
        self._process = f"{self.name} {os.getpid()} {token_hex(4)}"
        self._answers: dict[str, Answer] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def has_others(self) -> bool:
        """Whether there may be other processes."""
        return self._redis is not None

    def on(self, what: str, answer: Answer) -> None:
        """Answer questions of a kind."""
        self._answers[what] = answer

    async def run(self, _: web.Application) -> AsyncIterator[None]:
        """Listen while the application runs (`cleanup_ctx`)."""
        self._redis = redis = self._open()
        if redis is None:
            yield
            return
        async with redis:
            await self._be_unique(redis)
            tasks = [
                asyncio.create_task(self._forever(step, redis), name="questions of other processes")
                for step in (self._listen, self._live)
            ]
            try:
                yield
            finally:
                for task in (*tasks, *self._tasks):
                    task.cancel()
                await asyncio.gather(*tasks, *self._tasks, return_exceptions=True)
                with suppress(*_failures()):
                    await redis.client.hdel(self._key("here"), self._process)

    async def _be_unique(self, redis: "Redis") -> None:
        """Add the process's number to the name where another one of this machine has it already."""
        with suppress(*_failures()):
            async with asyncio.timeout(_WAIT):
                if self.name in (await self._others(redis)).values():
                    self.name = f"{self.name}#{os.getpid()}"
                    self._process = f"{self.name} {os.getpid()} {token_hex(4)}"

    async def ask(self, what: str, **values: Any) -> Parts:
        """Return what the other processes answer. Never raises for a failing Redis: then nobody is known."""
        redis = self._redis
        if redis is None:
            return _NOBODY
        question = Question(token_hex(12), self._process, what, values)
        try:
            async with asyncio.timeout(_WAIT * 2):
                return await self._asked(redis, question)
        except _failures():
            return Parts({}, ["other instances (Redis cannot be used)"])

    async def tell(self, what: str, **values: Any) -> None:
        """Send what needs no answer."""
        if self._redis is not None:
            question = Question("", self._process, what, values)
            with suppress(*_failures()):
                async with asyncio.timeout(_WAIT):
                    await self._redis.client.publish(self._key("ask"), msgspec.json.encode(question))

    async def remember(self, name: str, field: str, until: float) -> None:
        """Keep a name for processes that start later, until a time."""
        if self._redis is not None:
            with suppress(*_failures()):
                async with asyncio.timeout(_WAIT):
                    await self._redis.client.hset(self._key(name), field, repr(until))

    async def remembered(self, name: str) -> dict[str, float]:
        """Return the kept names, and delete those whose time is over."""
        if self._redis is None:
            return {}
        with suppress(*_failures()):
            async with asyncio.timeout(_WAIT):
                values: Any = await self._redis.client.hgetall(self._key(name))
                entries = {field.decode(): float(until) for field, until in values.items()}
                if over := [field for field, until in entries.items() if until < time.time()]:
                    await self._redis.client.hdel(self._key(name), *over)
                return entries
        return {}

    async def _asked(self, redis: "Redis", question: Question) -> Parts:
        others = await self._others(redis)
        if not others:
            return _NOBODY
        answers = self._key(f"answer:{question.id}")
        await redis.client.publish(self._key("ask"), msgspec.json.encode(question))
        parts: dict[str, Part] = {}
        end = time.monotonic() + _WAIT
        while len(parts) < len(others) and (left := end - time.monotonic()) > 0:
            item: Any = await redis.client.blpop([answers], timeout=max(0.01, left))
            if item is None:
                break
            with suppress(msgspec.MsgspecError):
                part = msgspec.json.decode(item[1], type=Part)
                parts[part.process] = part
        silent = sorted(name for process, name in others.items() if process not in parts)
        named: dict[str, Any] = {}
        for part in parts.values():
            named[part.process if part.name in named or part.name == self.name else part.name] = part.data
        return Parts(named, silent)

    async def _others(self, redis: "Redis") -> dict[str, str]:
        """Return the names of the other living processes."""
        values: Any = await redis.client.hgetall(self._key("here"))
        now, others = time.time(), dict[str, str]()
        for process, at in values.items():
            text = process.decode("utf-8", "replace")
            if text != self._process and now - float(at) < _DEAD and len(others) < _MOST:
                others[text] = text.partition(" ")[0]
        return others

    async def _forever(self, step: "Callable[[Redis], Awaitable[None]]", redis: "Redis") -> None:
        while True:
            with suppress(*_failures()):
                await step(redis)
            await asyncio.sleep(_RETRY)

    async def _live(self, redis: "Redis") -> None:
        """Give signs of life, and forget the dead."""
        while True:
            await redis.client.hset(self._key("here"), self._process, repr(time.time()))
            values: Any = await redis.client.hgetall(self._key("here"))
            dead = [process for process, at in values.items() if time.time() - float(at) > 10 * _DEAD]
            if dead:
                await redis.client.hdel(self._key("here"), *dead)
            await asyncio.sleep(_ALIVE)

    async def _listen(self, redis: "Redis") -> None:
        async with redis.client.pubsub(ignore_subscribe_messages=True) as channel:
            await channel.subscribe(self._key("ask"))
            async for message in channel.listen():
                if len(message["data"]) <= _LARGEST and len(self._tasks) < _MOST:
                    task = asyncio.create_task(self._answer(redis, message["data"]), name="answer")
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)

    async def _answer(self, redis: "Redis", text: bytes) -> None:
        with suppress(msgspec.MsgspecError, *_failures()):
            question = msgspec.json.decode(text, type=Question)
            answer = self._answers.get(question.what)
            if question.sender == self._process or answer is None:
                return
            data = await answer(question.values)
            if not question.id:
                return
            encoded = msgspec.json.encode(Part(self._process, self.name, data))
            if len(encoded) <= _LARGEST:
                key = self._key(f"answer:{question.id}")
                pipe = redis.client.pipeline(transaction=False)
                pipe.rpush(key, encoded)
                pipe.expire(key, 5)
                await pipe.execute()

    def _key(self, name: str) -> str:
        prefix = self._redis.prefix if self._redis is not None else ""
        return f"{prefix}console:{name}"


def _failures() -> tuple[type[Exception], ...]:
    from gateway.store.redis import FAILURES

    return FAILURES
