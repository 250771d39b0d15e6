"""Clients at a fixed rate, which do not wait for answers, and clients that hold endless streams."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Self, cast

from bench.bodies import Request, paced
from bench.servers import Server

_LAST_CHUNK = b"0\r\n\r\n"
_EVENT = b"data: "
_SETTLE = 0.5
"""Seconds between the last stream's first event and the measurement."""
_OPENED_AT_ONCE = 20
_ANSWERED_WITHIN = 30.0


class Call(asyncio.Protocol):
    """A connection with one request at a time, which measures when the answer begins and ends."""

    def __init__(self) -> None:
        self._data = b""
        self._is_streamed = False
        self.begun = self.first = 0.0
        """When the request was written, and when the body's first event, or the whole body, had arrived."""
        self.events = 0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.answering: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def send(self, request: bytes) -> Self:
        """Send a request; the former one has been answered."""
        if self.ended.done():
            self.ended, self.answering = (
                self.ended.get_loop().create_future(),
                self.ended.get_loop().create_future(),
            )
        self._data, self._is_streamed = b"", False
        self.begun = time.perf_counter()
        self.transport.write(request)
        return self

    def data_received(self, data: bytes) -> None:
        if self._is_streamed:
            self.events += data.count(_EVENT)
            if data.endswith(_LAST_CHUNK):
                self._end()
            return
        self._data += data
        end = self._data.find(b"\r\n\r\n")
        arrived = _arrived(self._data[:end].lower(), self._data[end + 4 :]) if end >= 0 else None
        if arrived is None:
            return
        self.first = time.perf_counter()
        self.events = arrived
        self._is_streamed = arrived > 0
        if not self._data.startswith(b"HTTP/1.1 200"):
            self._fail(RuntimeError(f"answered {self._data[:300]!r}"))
        elif not arrived or self._data.endswith(_LAST_CHUNK):
            self._end()
        elif not self.answering.done():
            self.answering.set_result(None)

    def _end(self) -> None:
        for future in (self.answering, self.ended):
            if not future.done():
                future.set_result(None)

    def _fail(self, exc: Exception) -> None:
        for future in (self.answering, self.ended):
            if not future.done():
                future.set_exception(exc)
                future.exception()  # it is told to whoever waits, and to nobody else

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(ConnectionError("the connection was lost in an answer"))


def _arrived(head: bytes, body: bytes) -> int | None:
    """Return the events of a stream, 0 for a whole body, None if the answer has not begun to arrive."""
    start = head.find(b"content-length:")
    if start >= 0:
        return 0 if len(body) >= int(head[start + 15 :].split(b"\r\n", 1)[0]) else None
    if b"text/event-stream" in head:
        return body.count(_EVENT) or None
    return 0 if body.endswith(_LAST_CHUNK) else None


async def connect(port: int) -> Call:
    """Return a new connection."""
    return (await asyncio.get_running_loop().create_connection(Call, "127.0.0.1", port))[1]


async def once(server: Server, request: Request) -> Call:
    """Return an answered call. Raises RuntimeError for an answer that is no 200, ConnectionError and TimeoutError."""
    call = (await connect(server.port)).send(request.wire(server.key))
    try:
        async with asyncio.timeout(_ANSWERED_WITHIN):
            await call.ended
    finally:
        call.transport.abort()
    return call


async def at_rate(
    server: Server, request: Request, rate: float, seconds: float, *, fresh: bool = False
) -> list[float]:
    """Return the milliseconds until the answers of `rate` requests per second, or their first event.

    A request is sent when it is due, whatever has been answered. Connections are kept, unless each is to be fresh.
    """
    idle: list[Call] = []
    data = request.wire(server.key)

    async def ask() -> float:
        call = idle.pop() if idle else await connect(server.port)
        call.send(data)
        async with asyncio.timeout(_ANSWERED_WITHIN):
            await call.ended
        if fresh:
            call.transport.abort()
        else:
            idle.append(call)
        return (call.first - call.begun) * 1000

    result = await _at_rate(ask, rate, seconds)
    for call in idle:
        call.transport.abort()
    return result


async def _at_rate(ask: Callable[[], Awaitable[float]], rate: float, seconds: float) -> list[float]:
    begin = time.perf_counter()
    tasks = []
    for i in range(round(rate * seconds)):
        await asyncio.sleep(begin + i / rate - time.perf_counter())
        tasks.append(asyncio.ensure_future(ask()))
    return list(await asyncio.gather(*tasks))


@dataclass(frozen=True)
class Held:
    """What streams have cost while they lived."""

    events: int
    cpu: float
    """Seconds of processor time."""

    @property
    def micros(self) -> float:
        """Microseconds of processor time for an event."""
        return self.cpu / self.events * 1e6


class Streams:
    """Endless streams of one server."""

    def __init__(self, server: Server, pace: int) -> None:
        self._server = server
        self._request = paced(pace, 0, is_gemini=server.is_gemini).wire(server.key)
        self._calls: list[Call] = []

    async def open(self, count: int) -> None:
        """Open streams, and wait for the first event of each."""
        while len(self._calls) < count:
            more = min(_OPENED_AT_ONCE, count - len(self._calls))
            calls = await asyncio.gather(*(connect(self._server.port) for _ in range(more)))
            async with asyncio.timeout(_ANSWERED_WITHIN):
                await asyncio.gather(*(call.send(self._request).answering for call in calls))
            self._calls += calls
        await asyncio.sleep(_SETTLE)

    async def watch(self, seconds: float) -> Held:
        """Return what they cost for some seconds. Raises RuntimeError if one ended."""
        events, cpu = self._events(), self._server.cpu()
        await asyncio.sleep(seconds)
        result = Held(self._events() - events, self._server.cpu() - cpu)
        if any(call.ended.done() for call in self._calls):
            raise RuntimeError(f"{self._server.name}: a stream ended")
        return result

    async def close(self) -> None:
        """Leave."""
        for call in self._calls:
            call.transport.abort()
        await asyncio.sleep(_SETTLE)

    def _events(self) -> int:
        return sum(call.events for call in self._calls)


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile; the value itself for a single one."""
    return (
        statistics.quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else values[0]
    )
