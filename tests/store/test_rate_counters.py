"""Counters of one process."""

import pytest

from gateway.policy.rate_limits import Window
from gateway.store.rate_counters import MemoryCounters

NOW = 1_000_000_040.0
"""A third of a minute has passed, by the windows."""
MINUTE, DAY = Window("requests", 10, 60), Window("requests", 30, 86400)


async def test_the_last_place_is_refused_with_the_time_to_wait() -> None:
    counters = MemoryCounters()
    taken = [await counters.take("a", [(MINUTE, 1), (DAY, 1)], NOW) for _ in range(12)]

    assert [result.blocked for result in taken] == [None] * 10 + [MINUTE] * 2
    assert [state.remaining for state in taken[3].states] == [6, 26]
    later = NOW + taken[-1].retry_after
    assert (await counters.take("a", [(MINUTE, 1)], later + 0.01)).blocked is None
    assert (await counters.take("b", [(MINUTE, 10)], NOW)).blocked is None


async def test_a_refused_request_is_not_counted() -> None:
    counters = MemoryCounters()
    for _ in range(5):
        assert (await counters.take("a", [(DAY, 1), (MINUTE, 11)], NOW)).blocked == MINUTE
    assert (await counters.take("a", [(DAY, 30)], NOW)).blocked is None


async def test_corrections_never_fall_below_nothing() -> None:
    counters = MemoryCounters()
    await counters.take("a", [(MINUTE, 3)], NOW)
    await counters.correct("a", [(MINUTE, -50)], NOW)
    await counters.correct("a", [(MINUTE, 10)], NOW)
    assert (await counters.take("a", [(MINUTE, 1)], NOW)).blocked == MINUTE


@pytest.mark.parametrize("jump", [-3600.0, -86400.0, 3600.0, 86400.0])
async def test_a_clock_that_jumps_blocks_no_client_for_longer_than_two_windows(jump: float) -> None:
    counters = MemoryCounters()
    await counters.take("a", [(MINUTE, 10)], NOW)
    await counters.take("a", [(MINUTE, 10)], NOW + jump)
    taken = await counters.take("a", [(MINUTE, 1)], NOW + jump)

    assert taken.blocked is None or 0 < taken.retry_after <= 120
    assert (await counters.take("a", [(MINUTE, 1)], NOW + jump + 121)).blocked is None


async def test_a_share_of_every_limit() -> None:
    counters = MemoryCounters(0.25)
    assert (await counters.take("a", [(MINUTE, 2)], NOW)).blocked is None
    assert (await counters.take("a", [(MINUTE, 1)], NOW)).blocked is not None
    assert [await counters.enter("a", 8, token, NOW) for token in "xyz"] == [True, True, False]
    assert not await counters.enter("b", 0, "x", NOW)
    await counters.leave("a", "x")
    assert await counters.enter("a", 8, "q", NOW)


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.store.rate_counters._MAX_CLIENTS", 3)
    counters = MemoryCounters()
    for client in "abcd":
        await counters.take(client, [(MINUTE, 10)], NOW)
    assert (await counters.take("a", [(MINUTE, 10)], NOW)).blocked is None  # forgotten
    assert (await counters.take("d", [(MINUTE, 1)], NOW)).blocked is not None
