"""Clients at a fixed rate, and clients that hold streams, in front of the bench's upstream."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from bench import clients
from bench.bodies import gemini, paced
from bench.clients import Streams, _arrived, at_rate, once, percentile
from bench.servers import Server
from bench.upstream import Upstream


@pytest.fixture(autouse=True)
def no_settling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "_SETTLE", 0)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    listener = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0)
    async with listener:
        process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        yield Server("upstream", listener.sockets[0].getsockname()[1], process, is_gemini=True)
        process.communicate()


@pytest.mark.parametrize(
    ("head", "body", "events"),
    [
        (b"content-length: 5\r\n", b"12345", 0),
        (b"content-length: 5\r\n", b"1234", None),
        (b"transfer-encoding: chunked\r\n", b"5\r\n12345\r\n0\r\n\r\n", 0),
        (b"transfer-encoding: chunked\r\n", b"5\r\n12345\r\n", None),
        (b"content-type: text/event-stream\r\n", b"", None),
        (b"content-type: text/event-stream\r\n", b"5\r\n: hi\n", None),
        (b"content-type: text/event-stream\r\n", b"9\r\ndata: {}\n\n\r\n9\r\ndata: {}\n\n", 2),
    ],
)
def test_when_an_answer_has_arrived(head: bytes, body: bytes, events: int | None) -> None:
    assert _arrived(head, body) == events


async def test_calls_count_the_events_of_an_answer(server: Server) -> None:
    assert (await once(server, gemini())).events == 0
    assert (await once(server, gemini(streamed=True))).events == 100
    assert (await once(server, paced(1, 7, is_gemini=True))).events == 7


async def test_requests_are_sent_at_a_rate(server: Server) -> None:
    times = await at_rate(server, gemini(), 500, 0.1)
    fresh = await at_rate(server, paced(1, 2, is_gemini=True), 500, 0.04, fresh=True)

    assert len(times) == 50
    assert len(fresh) == 20
    assert all(value > 0 for value in times + fresh)


async def test_streams_are_held_and_their_events_counted(server: Server) -> None:
    streams = Streams(server, 5)

    await streams.open(3)
    result = await streams.watch(0.1)
    await streams.close()

    assert 3 * 5 <= result.events <= 3 * 25


async def test_a_stream_that_ends_is_no_figure(server: Server) -> None:
    streams = Streams(server, 5)
    streams._request = paced(5, 3, is_gemini=True).wire("k")

    await streams.open(1)
    with pytest.raises(RuntimeError, match="a stream ended"):
        await streams.watch(0.05)
    await streams.close()


def test_percentiles() -> None:
    assert percentile([3.0], 99) == 3.0
    assert percentile([float(i) for i in range(101)], 50) == 50
    assert percentile([float(i) for i in range(101)], 99) == 99
