"""The pool: which connection a request gets, and that no byte of one answer reaches another request."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.sections import TimeoutsConfig
from gateway.errors import BadRequest, UpstreamError
from gateway.upstream.http1.connection import Connection
from gateway.upstream.http1.pool import Http1Pool
from gateway.upstream.http1.response import Http1Response
from gateway.upstream.resolver import Resolver
from gateway.upstream.transport import IDLE_SECONDS, Response

TIMES = TimeoutsConfig(connect=5, idle=5, write=5)


class Wire(asyncio.Transport):
    """The transport of one connection, without a socket. `arrive` is what the upstream sends."""

    def __init__(self, protocol: Connection, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.protocol = protocol
        self._loop = loop
        self.written: list[bytes] = []
        self.ended = False
        self._reading = True
        self._coming = b""
        protocol.connection_made(self)

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def abort(self) -> None:
        if not self.ended:
            self.ended = True
            self._loop.call_soon(self.protocol.connection_lost, None)

    def is_closing(self) -> bool:
        return self.ended

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        self._loop.call_soon(self.arrive, b"")

    def is_reading(self) -> bool:
        return self._reading

    def arrive(self, data: bytes) -> None:
        self._coming += data
        while self._coming and self._reading and not self.ended:
            size = len(self.protocol.get_buffer(-1))
            data, self._coming = self._coming[:size], self._coming[size:]
            self.deliver(data)

    def deliver(self, data: bytes) -> None:
        """Bring one read, which a pause does not hold up."""
        self.protocol.get_buffer(-1)[: len(data)] = data
        self.protocol.buffer_updated(len(data))

    def end(self) -> None:
        """The upstream closes."""
        self.abort()


class WiredPool(Http1Pool):
    """The pool, with new connections by `Wire`."""

    def __init__(self, url: str = "http://gemini.example") -> None:
        super().__init__(url, {}, Resolver(lambda _: False), TIMES, None)
        self.wires: list[Wire] = []

    async def _new(self) -> Connection:
        connection = Connection(self, self._loop)
        self.wires.append(Wire(connection, self._loop))
        self._keep(connection)
        return connection

    def wire(self, mark: bytes) -> Wire | None:
        """Return the connection that carries the request with a mark."""
        return next((w for w in self.wires if w.written and mark in w.written[-1] and not w.ended), None)


def answer(mark: bytes, *, length: bool = True, keep: bool = True) -> bytes:
    body = mark * 3
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    if not keep:
        head += b"Connection: close\r\n"
    if length:
        return head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    return head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


async def settle() -> None:
    for _ in range(4):
        await asyncio.sleep(0)


# -- marks never cross --

FAULTS = st.sampled_from(["none", "none", "cut", "twice", "late", "early", "left", "garbage", "closed"])
TURN = st.tuples(
    FAULTS, st.booleans(), st.booleans(), st.booleans(), st.lists(st.integers(0, 200), max_size=3)
)
"""Fault, whether it has a length, whether it is kept, whether it is read as a whole, and where it is cut."""


async def read(response: Response, into: list[bytes]) -> None:
    while data := await response.read():
        into.append(data)
    response.close()


async def request(pool: WiredPool, mark: bytes, into: list[bytes], *, whole: bool, leaves: bool) -> None:
    """One client's request: all that it reads is kept in `into`. One that leaves reads a part at most."""
    try:
        response = await pool.request("POST", "/" + mark.decode(), {}, b"{}", whole=whole)
        if leaves:
            response.close()
            return
        await read(response, into)
    except UpstreamError:
        pass


async def play(turns: list[Any]) -> list[tuple[bytes, bytes, bool]]:
    """Let two clients ask in turns, and return mark, what was read, and whether it has to be whole."""
    pool = WiredPool()
    results = []
    running: list[tuple[asyncio.Task[None], bytes, list[bytes], bool]] = []
    for number, (fault, length, keep, whole, cuts) in enumerate(turns):
        mark = b"%c%04d" % (b"ab"[number % 2], number)
        into: list[bytes] = []
        leaves = fault == "left"
        task = asyncio.ensure_future(request(pool, mark, into, whole=whole, leaves=leaves))
        if fault == "early":
            for idle in pool.wires:
                if not idle.ended and idle.protocol in pool._free:
                    idle.arrive(answer(b"early"))
        await settle()
        running.append((task, mark, into, fault == "none"))
        if (wire := pool.wire(mark)) is not None:
            send(wire, answer(mark, length=length, keep=keep), fault, cuts)
        await settle()
        if number % 2:
            for open_wire in pool.wires:
                if open_wire.protocol not in pool._free and fault in ("cut", "left", "late"):
                    open_wire.end()
            await settle()
    for last in pool.wires:
        last.end()
    await settle()
    await pool.close()
    for task, mark, into, is_good in running:
        await task
        results.append((mark, b"".join(into), is_good))
    return results


def send(wire: Wire, data: bytes, fault: str, cuts: list[int]) -> None:
    """Send an answer in pieces, with one fault."""
    if fault == "garbage":
        data = b"\x16\x03" + data
    elif fault in ("cut", "late"):
        data = data[: len(data) - 4]
    elif fault == "twice":
        data += answer(b"ghost")
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for begin, end in pairwise(places):
        wire.arrive(data[begin:end])
    if fault == "closed":
        wire.end()


def check(turns: list[Any]) -> None:
    for mark, data, is_good in asyncio.run(play(turns)):
        assert data.replace(mark, b"").strip(mark) == b"", f"{mark!r} has read {data!r}"
        if is_good:
            assert data == mark * 3


@given(st.lists(TURN, min_size=2, max_size=8))
@settings(max_examples=300)
def test_no_mark_ever_crosses(turns: list[Any]) -> None:
    check(turns)


@pytest.mark.slow
@given(st.lists(TURN, min_size=2, max_size=12))
@settings(max_examples=10_000)
def test_no_mark_ever_crosses_in_10000_scripts(turns: list[Any]) -> None:
    check(turns)


# -- which connection --


async def test_the_connection_that_was_used_last_is_used_next() -> None:
    pool = WiredPool()
    tasks = [asyncio.ensure_future(pool.request("GET", f"/{i}", {}, None, whole=True)) for i in range(3)]
    await settle()
    for i in (2, 0, 1):
        pool.wires[i].arrive(answer(b"x"))
    await asyncio.gather(*tasks)
    again = asyncio.ensure_future(pool.request("GET", "/again", {}, None, whole=True))
    await settle()
    assert [len(wire.written) for wire in pool.wires] == [1, 2, 1]
    pool.wires[1].arrive(answer(b"x"))
    await again
    await pool.close()


async def test_a_connection_that_has_waited_too_long_is_cut() -> None:
    pool = WiredPool()
    task = asyncio.ensure_future(pool.request("GET", "/", {}, None, whole=True))
    await settle()
    pool.wires[0].arrive(answer(b"x"))
    await task
    (connection,) = pool._free
    connection.since -= IDLE_SECONDS + 1
    pool._watch()
    assert pool.wires[0].ended
    assert not pool._free
    await pool.close()


async def test_one_that_has_waited_too_long_is_not_taken_either() -> None:
    pool = WiredPool()
    task = asyncio.ensure_future(pool.request("GET", "/", {}, None, whole=True))
    await settle()
    pool.wires[0].arrive(answer(b"x"))
    await task
    (connection,) = pool._free
    connection.since -= IDLE_SECONDS + 1
    assert pool._take() is None
    await pool.close()


async def test_a_whole_answer_wakes_its_reader_once(monkeypatch: pytest.MonkeyPatch) -> None:
    wakings = []
    original = Http1Response._wake

    def counted(self: Http1Response) -> None:
        if self._waiter is not None:
            wakings.append(self)
        original(self)

    monkeypatch.setattr(Http1Response, "_wake", counted)
    pool = WiredPool()
    task = asyncio.ensure_future(pool.request("GET", "/", {}, None, whole=True))
    await settle()
    data = answer(b"x")
    pool.wires[0].arrive(data[:-1])
    await settle()
    assert not task.done()
    pool.wires[0].arrive(data[-1:])
    response = await task
    assert await response.read() == b"xxx"
    assert len(wakings) == 1
    await pool.close()


async def test_a_host_of_ipv6_has_brackets_and_a_port_that_is_not_the_schemes_own() -> None:
    for url, host in (
        ("http://[::1]:81", b"Host: [::1]:81\r\n"),
        ("https://gemini.example", b"Host: gemini.example\r\n"),
        ("https://gemini.example:444/a", b"Host: gemini.example:444\r\n"),
    ):
        assert host in WiredPool(url)._head("GET", "/", {}, None)


@pytest.mark.parametrize("path", ["/a b", "/a\tb", "/ä", "/a\x7f", "/a\r\n"])
async def test_a_path_is_printable_ascii(path: str) -> None:
    with pytest.raises(BadRequest):
        WiredPool()._head("GET", path, {}, None)


@pytest.mark.parametrize("value", ["a\rb", "a\nb", "a\0b", "\r\n"])
async def test_a_header_is_one_line(value: str) -> None:
    with pytest.raises(BadRequest):
        WiredPool()._head("GET", "/", {"x": value}, None)
