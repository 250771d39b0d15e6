"""Entries in memory: bounded in bytes and age, the least recently used go first."""

from collections.abc import Coroutine
from typing import Any

import pytest

from gateway.store.key_value import KeyValueStore, StoreLimits
from gateway.store.memory import MemoryStore, cost

SMALL = StoreLimits(megabytes=1, hours=1)
QUARTER = SMALL.bound // 4


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def filling(size: int) -> str:
    """A value that costs so many bytes with its key."""
    return "A" * (size - cost(key(0), ""))


async def test_an_entry_is_found_by_its_key_alone() -> None:
    store: KeyValueStore = MemoryStore(SMALL)
    await store.put({key(1): "one", key(2): "two"}, 0.0)

    assert await store.get([key(2), key(3), key(1)], 1.0) == {key(1): "one", key(2): "two"}
    await store.close()


async def test_the_newest_entry_of_a_key_counts_and_is_counted_once() -> None:
    store = MemoryStore(SMALL)
    await store.put({key(1): "old"}, 0.0)
    await store.put({key(1): "newer"}, 1.0)

    assert await store.get([key(1)], 1.0) == {key(1): "newer"}
    assert store.size == cost(key(1), "newer") == 16 + 5 + 320


async def test_bytes_are_bounded_and_the_least_recently_used_goes_first() -> None:
    store = MemoryStore(SMALL)
    for number in range(4):
        await store.put({key(number): filling(QUARTER)}, 0.0)
    await store.get([key(0)], 0.0)
    await store.put({key(4): "one too many"}, 0.0)

    assert [number for number in range(5) if key(number) in store] == [0, 2, 3, 4]
    assert store.size <= SMALL.bound


async def test_an_entry_bigger_than_a_quarter_is_not_kept_and_removes_no_other() -> None:
    store = MemoryStore(SMALL)
    await store.put({key(1): "small"}, 0.0)
    await store.put({key(2): filling(QUARTER), key(3): filling(QUARTER + 1)}, 0.0)

    assert set(await store.get([key(1), key(2), key(3)], 0.0)) == {key(1), key(2)}


async def test_the_largest_signatures_known_fit_as_shipped() -> None:
    assert MemoryStore(StoreLimits()).fits(key(1), "A" * 1_500_000)


@pytest.mark.parametrize(("seconds", "known"), [(0.0, True), (3600.0, True), (3600.1, False), (-60.0, True)])
async def test_age_counts_from_when_it_came(seconds: float, known: bool) -> None:
    store = MemoryStore(SMALL)
    await store.put({key(1): "s"}, 1000.0)
    await store.get([key(1)], 1500.0)

    assert bool(await store.get([key(1)], 1000.0 + seconds)) is known


async def test_an_old_one_costs_nothing_any_more() -> None:
    store = MemoryStore(SMALL)
    await store.put({key(1): "asked for"}, 0.0)
    await store.put({key(2): "never asked for"}, 0.0)
    await store.get([key(1)], 4000.0)
    await store.put({key(3): "s"}, 4000.0)

    assert store.size == cost(key(3), "s")


async def test_nothing_suspends() -> None:
    store = MemoryStore(SMALL)
    calls: list[Coroutine[Any, Any, object]] = [
        store.put({key(1): "s"}, 0.0),
        store.get([key(1)], 0.0),
        store.close(),
    ]
    for call in calls:
        with pytest.raises(StopIteration):
            call.send(None)
