"""P23–P29: a Redis that is absent, dies, is silent, answers nonsense, or comes back empty.

Times and single commands are tested at the store (tests/store/test_redis.py).
"""

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.policy.clients.client_rules import Rules
from gateway.store.redis import RedisCounters
from tests.support.redis_server import RedisServer, needs_redis
from tests.support.site import Site
from tests.support.surfaces import (
    CHAT,
    CHAT_STREAM,
    MESSAGES,
    NATIVE,
    RESPONSES,
    assert_refused,
    assert_whole,
)
from tests.support.waiting import eventually

SURFACES = (CHAT, CHAT_STREAM, RESPONSES, MESSAGES, NATIVE)
NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    folder = tmp_path / "redis"
    folder.mkdir()
    server = RedisServer(folder)
    yield server
    server.stop()


async def start(site: Site, url: str, **rules: Any) -> None:
    """Serve with a Redis that two machines share."""
    await site.start(state=f"redis: '{url}', machines: 2", rules=Rules(**rules))


def degraded(site: Site) -> bool:
    counters = site.services.counters
    assert isinstance(counters, RedisCounters)
    return counters.degraded


@pytest.mark.row("P23")
async def test_p23_down_at_the_start(site: Site) -> None:
    await start(site, NOWHERE, requests_per_day=4 * len(SURFACES))

    for surface in SURFACES:
        assert_whole(await site.ask(surface))
    assert degraded(site)


@pytest.mark.row("P23", "P45")
async def test_p23_alone_each_machine_enforces_its_half_of_a_limit(site: Site) -> None:
    await start(site, NOWHERE, requests_per_day=12)
    replies = [await site.ask() for _ in range(8)]

    assert [reply.status for reply in replies].count(200) == 6
    assert_refused(replies[-1], 429, "rate_limit_exceeded")
    await site.issue()


@needs_redis
@pytest.mark.row("P24", "P25", "P29")
@pytest.mark.parametrize("how", ["kill", "stop"])
async def test_p24_p25_a_redis_that_goes_under_load_and_comes_back(
    site: Site, redis: RedisServer, how: str
) -> None:
    await start(site, redis.url, requests_per_day=1000, tokens_per_day=10**9, streams=500)
    await eventually(lambda: not degraded(site))
    load = [asyncio.create_task(site.ask(SURFACES[i % len(SURFACES)])) for i in range(60)]
    await asyncio.wait(load, return_when=asyncio.FIRST_COMPLETED)
    redis.stop() if how == "kill" else redis.process.send_signal(signal.SIGSTOP)
    load += [asyncio.create_task(site.ask(surface)) for surface in SURFACES]

    for reply in await asyncio.gather(*load):
        assert_whole(reply)
    assert degraded(site)
    redis.start() if how == "kill" else redis.process.send_signal(signal.SIGCONT)
    await eventually(lambda: not degraded(site))
    for surface in SURFACES:
        assert_whole(await site.ask(surface))
    await close_pool(site)


@pytest.mark.row("P27")
@pytest.mark.parametrize(
    "answer",
    [b"-LOADING wait\r\n", b"-NOAUTH no\r\n", b"\x00\xffgarbage\r\n", b":7\r\n", b"*1\r\n" * 5000, b""],
)
async def test_p27_nonsense(site: Site, answer: bytes) -> None:
    async with nonsense(answer) as url:
        await start(site, url, requests_per_day=1000, streams=500)
        for surface in SURFACES:
            assert_whole(await site.ask(surface))


async def close_pool(site: Site) -> None:
    """Close the connections that the load opened: they are kept for the next load."""
    counters = site.services.counters
    assert isinstance(counters, RedisCounters)
    await counters._redis.client.connection_pool.disconnect()


def flush(redis: RedisServer) -> None:
    command = ["redis-cli", "-p", str(redis.port), "FLUSHALL"]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"OK\n"


@asynccontextmanager
async def nonsense(answer: bytes) -> AsyncIterator[str]:
    """A server that answers each command with the same bytes, or closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536) and answer:
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    server.close()


@needs_redis
@pytest.mark.row("P28")
async def test_p28_a_flushed_redis_revives_no_key(site: Site, redis: RedisServer) -> None:
    await start(site, redis.url, requests_per_day=1000)
    assert_whole(await site.ask())
    await site.revoke()
    flush(redis)

    for surface in (CHAT, MESSAGES):
        assert_refused(await site.ask(surface), 401)
    await site.issue()
