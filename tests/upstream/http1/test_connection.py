"""One connection: time limits, large bodies and pauses."""

import asyncio
import socket

import pytest

from gateway.config.sections import TimeoutsConfig
from gateway.errors import UpstreamTimeout
from gateway.upstream.http1.connection import Connection
from gateway.upstream.transport import READ_AT_ONCE, STREAMED_AT_ONCE
from tests.upstream.http1.test_pool import Wire

MB = 2**20
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n"


class Owner:
    """A pool that only takes notes."""

    def __init__(self, idle: float = 5, write: float = 5) -> None:
        times = TimeoutsConfig(idle=idle, write=write)
        self.idle, self.write, self.total = times.idle, times.write, times.total
        self.buffer = memoryview(bytearray(READ_AT_ONCE))
        self.kept: list[Connection] = []
        self.gone: list[Connection] = []

    def give_back(self, connection: Connection) -> None:
        self.kept.append(connection)

    def lost(self, connection: Connection) -> None:
        self.gone.append(connection)


def connect(owner: Owner) -> tuple[Connection, Wire]:
    loop = asyncio.get_running_loop()
    connection = Connection(owner, loop)
    return connection, Wire(connection, loop)


async def test_a_small_request_is_one_write() -> None:
    connection, wire = connect(Owner())
    connection.send(b"HEADbody", whole=True)
    assert wire.written == [b"HEADbody"]


async def test_a_large_body_waits_for_the_upstream_and_has_a_deadline() -> None:
    connection, wire = connect(Owner(write=0.05))
    connection.pause_writing()
    with pytest.raises(UpstreamTimeout):
        await connection.send_large(b"HEAD", b"x" * MB, whole=True)
    assert wire.ended
    assert sum(map(len, wire.written)) < MB


async def test_a_large_body_goes_on_when_the_upstream_has_taken_some() -> None:
    connection, wire = connect(Owner())
    connection.pause_writing()
    task = asyncio.ensure_future(connection.send_large(b"HEAD", b"x" * MB, whole=True))
    await asyncio.sleep(0)
    assert sum(map(len, wire.written)) < MB
    connection.resume_writing()
    response = await task
    assert b"".join(wire.written) == b"HEAD" + b"x" * MB
    response.close()


async def test_reading_pauses_at_the_mark_and_resumes_with_the_reader() -> None:
    connection, wire = connect(Owner())
    response = connection.send(b"HEAD", whole=False)
    wire.arrive(HEAD % MB)
    wire.arrive(b"x" * 30_000)
    assert wire.is_reading()
    wire.arrive(b"x" * 30_000)
    assert not wire.is_reading()
    assert len(await response.read()) == STREAMED_AT_ONCE
    assert wire.is_reading()
    assert len(await response.read()) == 60_000 - STREAMED_AT_ONCE
    response.close()


async def test_a_reader_that_makes_the_upstream_wait_is_not_the_upstreams_silence() -> None:
    connection, wire = connect(Owner(idle=0.05))
    response = connection.send(b"HEAD", whole=False)
    wire.arrive(HEAD % MB + b"x" * 100_000)
    later = asyncio.get_running_loop().time() + 10
    connection.check_time(later)
    assert not wire.ended
    assert sum([len(await response.read()) for _ in range(4)]) == 100_000
    connection.check_time(asyncio.get_running_loop().time())
    assert not wire.ended, "its time begins with the reading"
    connection.check_time(later)
    with pytest.raises(UpstreamTimeout):
        await response.read()


async def test_an_answer_that_never_ends_has_a_limit() -> None:
    owner = Owner()
    for arrived in (b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200", HEAD % 9, HEAD % 9 + b"x"):
        connection, wire = connect(owner)
        response = connection.send(b"HEAD", whole=True)
        wire.arrive(arrived)
        connection.since = asyncio.get_running_loop().time() + owner.total  # it drips
        connection.check_time(connection.since + 1)
        error = response.error
        assert isinstance(error, UpstreamTimeout)
        assert error.message == "The upstream did not complete its answer in time."
        assert wire.ended


async def test_a_finished_connection_reads_on() -> None:
    owner = Owner()
    connection, wire = connect(owner)
    response = connection.send(b"HEAD", whole=False)
    wire.arrive(HEAD % 50_000)
    for _ in range(4):
        wire.arrive(b"x" * 10_000)
    assert not wire.is_reading()
    wire.deliver(b"x" * 10_000)
    assert wire.is_reading(), "the next request's answer is to be read"
    assert owner.kept == [connection]
    assert sum([len(await response.read()) for _ in range(4)]) == 50_000
    assert await response.read() == b""


@pytest.mark.row("C05")
async def test_c05_a_reader_that_refuses_what_is_pushed_pauses_the_upstream_at_once() -> None:
    connection, wire = connect(Owner())
    response = connection.send(b"HEAD", whole=False)
    wire.arrive(HEAD % MB)
    taken: list[int] = []

    def take(data: bytes) -> bool:
        taken.append(len(data))
        return False

    pushing = response.push_to(take)
    assert pushing is not None
    wire.arrive(b"x" * (MB - 1))
    assert taken == [STREAMED_AT_ONCE]
    assert not wire.is_reading()
    await pushing
    assert len(await response.read()) == STREAMED_AT_ONCE
    response.close()


async def test_small_pieces_of_a_stream_are_not_acknowledged_one_by_one() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\n")
        writer.write(HEAD % 6 + b"a")
        for piece in (b"bc", b"def"):
            await asked.wait()
            asked.clear()
            writer.write(piece)
        writer.close()

    asked = asyncio.Event()
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    loop = asyncio.get_running_loop()
    transport, connection = await loop.create_connection(
        lambda: Connection(Owner(), loop), *server.sockets[0].getsockname()
    )
    own = transport.get_extra_info("socket")
    assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK)
    response = connection.send(b"HEAD\n", whole=False)
    assert await response.read() == b"a"
    pieces: list[bytes] = []

    def take(data: bytes) -> bool:
        pieces.append(data)
        asked.set()
        return True

    pushing = response.push_to(take)
    assert not own.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK)
    asked.set()
    assert pushing is not None
    await pushing
    assert pieces == [b"bc"]
    assert await response.read() == b"def"
    transport.abort()
    server.close()


async def test_an_end_without_an_answer_is_told_to_the_pool() -> None:
    owner = Owner()
    connection, wire = connect(owner)
    wire.abort()
    await asyncio.sleep(0)
    assert owner.gone == [connection]
    assert not connection.is_usable


async def test_trailers_are_bounded_and_are_no_headers() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
    owner = Owner()
    connection, wire = connect(owner)
    response = connection.send(b"HEAD", whole=False)
    response.forget_headers()
    wire.arrive(head + b"Content-Type: c/d\r\nX-Other: y\r\n\r\n")
    assert (response.arrived(10), response.content_type, owner.kept) == (b"x", "a/b", [connection])
    later = connection.send(b"HEAD", whole=False)
    assert list(later.headers) == []
    wire.arrive(head)
    for _ in range(70):
        wire.arrive(b"X-Other: " + b"y" * 1000 + b"\r\n")
    assert (wire.ended, later.done) == (True, False)


@pytest.mark.parametrize("informational", [0, 3])
async def test_a_head_is_bounded_however_it_is_cut(informational: int) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * informational
    for size, is_read in ((60_000, True), (70_000, False)):
        for piece in (10_000, 10**6):
            connection, wire = connect(Owner())
            response = connection.send(b"HEAD", whole=False)
            data = early + b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * size + b"\r\nContent-Length: 1\r\n\r\n"
            data += b"y" * 100_000 if piece > len(data) and not is_read else b"y"
            for start in range(0, len(data), piece):
                wire.arrive(data[start : start + piece])
            assert (response.status == 200) is is_read


async def test_the_whole_body_is_taken_at_once_if_it_is_there_and_small() -> None:
    connection, wire = connect(Owner())
    response = connection.send(b"HEAD", whole=True)
    wire.arrive(HEAD % 4 + b"ab")
    assert response.arrived(4) is None
    wire.arrive(b"cd")
    assert response.arrived(3) is None
    assert response.arrived(4) == b"abcd"
