"""State that machines share: on a real Redis if one is installed, and on a server that answers nonsense."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Iterator
from configparser import ConfigParser
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gateway.policy.clients.rate_limits import Window
from gateway.store.key_value import StoreKind, StoreLimits
from gateway.store.redis import Redis, RedisCounters, RedisPoolUpdates, RedisStore
from gateway.store.state_stores import RESPONSES, SIGNATURES
from tests.support.paths import ROOT
from tests.support.redis_server import RedisServer, needs_redis
from tests.support.waiting import eventually

NOW = 1_000_000_000.0
MINUTE = Window("requests", 10, 60)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    result = RedisServer(tmp_path)
    yield result
    result.stop()


async def opened(url: str) -> tuple[Redis, list[str]]:
    messages: list[str] = []
    shared = Redis(url, None, messages.append)
    await shared.__aenter__()
    return shared, messages


@pytest.fixture
async def shared(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Redis]:
    """A connection whose calls may take seconds: the machine that runs the tests may be busy."""
    monkeypatch.setattr("gateway.store.redis._BUDGET", 5.0)
    result, _ = await opened(server.url)
    await eventually(lambda: not result.degraded)
    yield result
    await result.__aexit__()


@needs_redis
async def test_two_machines_share_a_limit(server: RedisServer, shared: Redis) -> None:
    other, _ = await opened(server.url)
    counters = [RedisCounters(shared, 2), RedisCounters(other, 2)]
    window = Window("requests", 100, 60)
    results: list[Any] = []
    for _ in range(15):
        results += await asyncio.gather(*(counters[i % 2].take("c", [window], 1, NOW) for i in range(20)))
    await other.__aexit__()

    assert sum(result.blocked is None for result in results) == 100
    assert all(0 < result.retry_after <= 120 for result in results if result.blocked)


@needs_redis
async def test_all_windows_or_none_and_corrections(shared: Redis) -> None:
    counters = RedisCounters(shared, 2)
    tokens = Window("tokens", 5, 60)
    assert (await counters.take("c", [MINUTE, tokens], 6, NOW)).blocked == tokens
    both = [await counters.take("c", [MINUTE], 10, NOW), await counters.take("c", [tokens], 5, NOW)]
    assert [state.remaining for taken in both for state in taken.states] == [0, 0]
    await counters.correct("c", [tokens], -99, NOW)
    await counters.correct("c", [MINUTE], -4, NOW)
    last = await counters.take("c", [MINUTE, tokens], 4, NOW)
    assert [state.remaining for state in last.states] == [0, 1]
    assert (await counters.take("c", [MINUTE], 1, NOW)).blocked == MINUTE
    assert (await counters.take("c", [MINUTE], 1, NOW + 66)).blocked is None  # a tenth has faded


@needs_redis
async def test_places_are_shared_and_come_back(shared: Redis) -> None:
    counters = RedisCounters(shared, 2)
    assert [await counters.enter("c", 2, token, NOW) for token in "abc"] == [True, True, False]
    await counters.leave("c", "a")
    assert await counters.enter("c", 2, "d", NOW)
    assert await counters.enter("c", 2, "e", NOW + 4000)  # whoever held them has died


@needs_redis
@pytest.mark.parametrize("kind", [SIGNATURES, RESPONSES])
async def test_entries_are_read_by_other_machines(
    server: RedisServer, shared: Redis, kind: StoreKind
) -> None:
    other, _ = await opened(server.url)
    mine, theirs = (RedisStore(machine, StoreLimits(), kind) for machine in (shared, other))
    await mine.put({b"k" * 16: "é", b"l" * 16: "x" * 1000}, NOW)

    assert await theirs.get([b"k" * 16, b"m" * 16], NOW) == {b"k" * 16: "é"}
    assert await mine.get([b"l" * 16], NOW) == {b"l" * 16: "x" * 1000}
    await other.__aexit__()


@needs_redis
async def test_pools_exchange_updates(shared: Redis) -> None:
    pool = RedisPoolUpdates(shared)
    await pool.publish({"a": b"1", "b": b"2"})
    await pool.forget(["a"])
    assert await pool.all() == [b"2"]


@pytest.mark.row("P24", "P25", "P29")
@needs_redis
@pytest.mark.parametrize("how", ["kill", "stop"])
async def test_a_redis_that_is_gone_keeps_no_call_waiting_and_is_used_again(
    server: RedisServer, how: str
) -> None:
    shared, messages = await opened(server.url)
    await eventually(lambda: not shared.degraded)
    messages.clear()
    counters = RedisCounters(shared, 2)
    window = Window("requests", 20, 60)
    if how == "kill":
        server.stop()
    else:
        server.process.send_signal(signal.SIGSTOP)
    loop = asyncio.get_running_loop()
    begin = loop.time()
    results = [await counters.take("c", [window], 1, NOW) for _ in range(200)]
    took = loop.time() - begin

    assert sum(result.blocked is None for result in results) == 10  # this machine's half
    assert took < 5  # 200 calls, of which one waited 50 ms
    assert shared.degraded
    assert len(messages) == 1
    if how == "kill":
        server.start()
    else:
        server.process.send_signal(signal.SIGCONT)
    await eventually(lambda: not shared.degraded)
    assert (await counters.take("d", [window], 20, NOW)).blocked is None
    assert messages[1] == "Redis is used again."
    await shared.__aexit__()


@pytest.mark.row("P28")
@needs_redis
async def test_a_flushed_redis_starts_from_zero(shared: Redis) -> None:
    counters = RedisCounters(shared, 2)
    await counters.take("c", [MINUTE], 10, NOW)
    await shared.client.flushall()
    await shared.client.script_flush()

    assert (await counters.take("c", [MINUTE], 10, NOW)).blocked is None
    assert not shared.degraded


@pytest.mark.row("S70")
@pytest.mark.row("P30")
@needs_redis
async def test_cancelled_calls_never_get_the_answer_of_another(shared: Redis) -> None:
    for i in range(50):
        await shared.client.set(f"k{i}", str(i))
    rolls, wrong, cut = random.Random(3), 0, 0

    async def read(i: int) -> None:
        nonlocal wrong
        value = await shared.client.get(f"k{i}")
        wrong += value != str(i).encode()

    for _ in range(60):
        tasks = [asyncio.create_task(read(rolls.randrange(50))) for _ in range(50)]
        for _ in range(rolls.randrange(4)):
            await asyncio.sleep(0)
        for task in rolls.sample(tasks, 20):
            cut += task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    assert cut > 500
    assert wrong == 0


ANSWERS = [
    b"-LOADING Redis is loading the dataset in memory\r\n", b"-READONLY You can't write against a read only replica.\r\n",
    b"-OOM command not allowed when used memory > 'maxmemory'.\r\n", b"-NOAUTH Authentication required.\r\n",
    b"-MOVED 3999 127.0.0.1:6381\r\n", b"-BUSY Redis is busy running a script.\r\n",
    b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n", b"\x00\xffgarbage\r\n", b"$5\r\nhello\r\n",
    b"*2\r\n$1\r\nx\r\n", b"", b":7\r\n", b"*0\r\n", b"*3\r\n:1\r\n$-1\r\n$-1\r\n",
    b"*3\r\n:1\r\n$1\r\nx\r\n$1\r\ny\r\n", b"*1\r\n" * 5000,
]  # fmt: skip


@pytest.mark.row("P27")
@pytest.mark.parametrize("answer", ANSWERS)
async def test_nonsense_answers_fail_no_call(answer: bytes) -> None:
    async def answer_nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            if not answer:
                break
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(answer_nonsense, "127.0.0.1", 0)
    shared, _ = await opened(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0")
    counters = RedisCounters(shared, 2)
    store = RedisStore(shared, StoreLimits(), SIGNATURES)
    await store.put({b"k" * 16: "s"}, NOW)

    assert await store.get([b"k" * 16], NOW) == {b"k" * 16: "s"}
    assert (await counters.take("c", [MINUTE], 1, NOW)).blocked is None
    assert await counters.enter("c", 4, "t", NOW)
    await counters.leave("c", "t")
    assert {type(value) for value in await RedisPoolUpdates(shared).all()} <= {bytes}
    await shared.__aexit__()
    server.close()


async def test_a_failure_is_counted_once_for_the_store_it_concerns() -> None:
    async def answer_pings(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(b"+PONG\r\n" if b"PING" in data else b"-ERR no\r\n" * data.count(b"CLIENT"))
            if b"MGET" in data:
                writer.write(b"-LOADING no\r\n")
        writer.close()

    server = await asyncio.start_server(answer_pings, "127.0.0.1", 0)
    shared, messages = await opened(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0")
    signatures, responses = (RedisStore(shared, StoreLimits(), kind) for kind in (SIGNATURES, RESPONSES))
    await responses.get([b"k" * 16], NOW)
    await signatures.get([b"k" * 16], NOW)  # not asked any more

    assert (signatures.errors, responses.errors, RedisCounters(shared, 2).errors) == (0, 1, 1)
    assert messages == [
        (
            "Redis (state.redis) is not used: no. Until it is back, each process has its share of the limits,"
            " and cooldowns are not shared."
        ),
    ]
    await shared.__aexit__()
    server.close()


def test_the_scripts_are_package_data() -> None:
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    patterns = config["options.package_data"]["gateway"].replace(",", " ").split()
    packaged = {path for pattern in patterns for path in (ROOT / "gateway").glob(pattern)}

    assert {path.stem for path in packaged if path.suffix == ".lua"} == {"take", "correct", "enter"}


@pytest.mark.row("P26")
@needs_redis
async def test_a_slow_redis_is_not_used_until_it_is_quick(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready, _ = await opened(server.url)
    await eventually(lambda: not ready.degraded)  # the server is up
    await ready.__aexit__()
    monkeypatch.setattr("gateway.store.redis._PROBE", 0.01)
    delay, probes = 0.055, 0
    ends: set[asyncio.StreamWriter] = set()

    async def through(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal probes
        ends.add(writer)
        theirs, ours = await asyncio.open_connection("127.0.0.1", server.port)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while data := await reader.read(65536):
                probes += 1
                await asyncio.sleep(delay)
                ours.write(data)
                writer.write(await theirs.read(65536))
        ours.close()
        writer.close()
        ends.discard(writer)

    proxy = await asyncio.start_server(through, "127.0.0.1", 0)
    slow, messages = await opened(f"redis://127.0.0.1:{proxy.sockets[0].getsockname()[1]}/0")
    await eventually(lambda: probes >= 6)

    assert slow.degraded
    assert len(messages) == 1
    delay = 0
    await eventually(lambda: not slow.degraded)
    assert messages[1:] == ["Redis is used again."]
    await slow.__aexit__()
    proxy.close()
    await eventually(lambda: not ends)


@pytest.mark.row("P23")
async def test_without_a_redis_the_process_starts_alone() -> None:
    shared, messages = await opened("redis://127.0.0.1:1/0")

    assert shared.degraded
    assert "not used" in messages[0]
    await shared.__aexit__()


@needs_redis
async def test_a_client_that_disconnects_keeps_no_place(shared: Redis) -> None:
    counters, cut = RedisCounters(shared, 2), 0
    for i in range(200):
        task = asyncio.create_task(counters.enter("c", 1, f"t{i}", NOW))
        for _ in range(i % 7):
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            if await task:
                await counters.leave("c", f"t{i}")
            continue
        cut += 1

    assert cut > 20
    assert await counters.enter("c", 1, "mine", NOW)


@needs_redis
async def test_places_left_while_redis_was_gone_are_given_back(server: RedisServer) -> None:
    shared, _ = await opened(server.url)
    await eventually(lambda: not shared.degraded)
    counters = RedisCounters(shared, 2)
    assert await counters.enter("c", 1, "a", NOW)
    server.process.send_signal(signal.SIGSTOP)
    await counters.leave("c", "a")
    assert shared.degraded
    server.process.send_signal(signal.SIGCONT)
    await eventually(lambda: not shared.degraded)

    assert await counters.enter("c", 1, "b", NOW)
    await shared.__aexit__()


@pytest.mark.parametrize("url", ["redis://:hush@127.0.0.1/0", "redis://127.0.0.1:hush/0"])
def test_an_invalid_address_is_reported_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match="expected redis://") as caught:
        Redis(url, None, print)
    assert "hush" not in str(caught.value)
