"""Cooldowns of the pool outlive a restart and reach other machines."""

import asyncio
from collections.abc import Mapping, Sequence
from time import time
from typing import TYPE_CHECKING, cast

import msgspec
import pytest

from gateway.policy.pool.call_outcome import Rejected
from gateway.policy.pool.keypool import KeyPool
from gateway.policy.pool.projects import PoolConfig, PoolUpdate, Project
from gateway.server.pool_state import _KEY, PoolState
from gateway.store.key_value import StoreLimits
from gateway.store.memory import MemoryStore
from tests.support.servers import Serve
from tests.support.team import Google, Team, spent
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from gateway.store.redis import RedisPoolUpdates

LATER = time() + 3600
PROJECT = PoolUpdate("a", "", "", "reported", LATER)
REPORTED: list[str] = []
"""Messages of all states, the latest last."""
MODEL = PoolUpdate("a", "", "gemini-x", "RequestsPerDay", LATER)


class SharedUpdates:
    """The hash in Redis that all machines read."""

    def __init__(self) -> None:
        self.entries: dict[str, bytes] = {}

    async def publish(self, updates: Mapping[str, bytes]) -> None:
        self.entries |= updates

    async def all(self) -> list[bytes]:
        return list(self.entries.values())

    async def forget(self, names: Sequence[str]) -> None:
        for name in names:
            del self.entries[name]


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> SharedUpdates:
    monkeypatch.setattr("gateway.server.pool_state._POLL", 0.0)
    return SharedUpdates()


@pytest.mark.row("A1")
async def test_a01_what_was_put_back_stays_so_after_a_restart_and_elsewhere(shared: SharedUpdates) -> None:
    here, elsewhere, kept = pool(), pool(), store()
    reported: list[PoolUpdate] = []
    async with (
        PoolState(
            here, kept, cast("RedisPoolUpdates", shared), REPORTED.append, reported.append
        ) as publishing,
        state(elsewhere, store(), shared),
    ):
        lease = here.acquire("m", time(), only="a")
        publishing.changed(here.settle(lease, Rejected("leaked"), time(), 0.0))
        await eventually(lambda: bool(resting(elsewhere)))
        publishing.changed(here.put_back("a", lease.key_id, time()))
        await eventually(lambda: not resting(elsewhere))
    restarted = pool()
    async with state(restarted, kept):
        assert resting(restarted) == resting(here) == set()
    assert [update.reason for update in reported] == ["leaked", "put_back"]


def pool() -> KeyPool:
    return KeyPool([Project("a", ("k",)), Project("b", ("k",))], PoolConfig())


def state(keys: KeyPool, store: MemoryStore, shared: SharedUpdates | None = None) -> PoolState:
    return PoolState(keys, store, cast("RedisPoolUpdates | None", shared), REPORTED.append)


def resting(keys: KeyPool) -> set[tuple[str, str]]:
    """Return the projects that are cooling down, each with its model or with "" for all models."""
    return {(update.project, update.model) for update in keys.changes(time())}


def store() -> MemoryStore:
    return MemoryStore(StoreLimits(3600, 10**6))


async def test_a_cooldown_survives_a_restart(team: Team, google: Google, serve: Serve) -> None:
    key = team.issue()
    await team.start("a")
    google.answers["AIza-a"] = lambda: spent("RequestsPerDay")
    assert (await team.ask(key))[2]["error"]["code"] == "rate_limit_exceeded"
    await serve.stop()
    await team.start("a")
    google.answers.clear()

    assert (await team.ask(key))[0] == 429
    assert google.calls == {"AIza-a": 1}


async def test_cooldowns_are_restored_from_the_store() -> None:
    kept = store()
    before, after = pool(), pool()
    async with state(before, kept):
        before.apply(PROJECT, time())
        before.apply(MODEL, time())
    async with state(after, kept):
        assert resting(after) == resting(before) == {("a", ""), ("a", "gemini-x")}


async def test_a_change_is_saved_at_once() -> None:
    kept = store()
    keys, other = pool(), pool()
    async with state(keys, kept) as saving:
        keys.apply(PROJECT, time())
        saving.changed([PROJECT])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        async with state(other, kept):
            assert resting(other) == {("a", "")}


async def test_an_update_reaches_other_machines(shared: SharedUpdates) -> None:
    here, there = pool(), pool()
    async with state(here, store(), shared) as publishing, state(there, store(), shared):
        publishing.changed([MODEL])
        await eventually(lambda: resting(there) == {("a", "gemini-x")})

    assert list(shared.entries) == ["a//gemini-x"]


async def test_updates_that_have_expired_are_deleted_and_broken_ones_ignored(shared: SharedUpdates) -> None:
    expired = PoolUpdate("b", "", "", "reported", time() - 1)
    shared.entries = {
        "broken": b"{",
        "b//": msgspec.json.encode(expired),
        "a//": msgspec.json.encode(PROJECT),
    }
    keys = pool()
    async with state(keys, store(), shared):
        await eventually(lambda: resting(keys) == {("a", "")} and "b//" not in shared.entries)

    assert list(shared.entries) == ["broken", "a//"]


async def test_nothing_goes_on_after_the_end(shared: SharedUpdates) -> None:
    async with state(pool(), store(), shared) as ended:
        ended.changed([MODEL])

    assert [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


@pytest.mark.row("A10")
@pytest.mark.parametrize(
    "saved",
    [
        "",
        "no JSON",
        "{}",
        "[5]",
        '[{"project": "a"}]',
        '["\ud83d"]',
        "[" * 100_000,
        '[["a","","","bad","soon"]]',
    ],
)
async def test_a10_a_state_that_cannot_be_read_is_learnt_again(saved: str) -> None:
    keys, store = pool(), MemoryStore(StoreLimits())
    await store.put({_KEY: saved}, time())
    REPORTED.clear()
    async with state(keys, store):
        assert resting(keys) == set()

    assert bool(REPORTED) is bool(saved)
    assert all("cooldowns of the key pool cannot be read" in message for message in REPORTED)
    stored = (await store.get([_KEY], time()))[_KEY]
    assert msgspec.json.decode(stored) == []  # saved anew at the end
