"""Counters of one process."""

import pytest

from gateway.policy.clients.rate_limits import Window
from gateway.store.rate_counters import MemoryCounters

NOW = 1_000_000_040.0
"""A third of a minute has passed, by the windows."""
MINUTE, DAY = Window("requests", 10, 60), Window("requests", 30, 86400)


async def test_the_last_place_is_refused_with_the_time_to_wait() -> None:
    counters = MemoryCounters()
    taken = [await counters.take("a", [MINUTE, DAY], 1, NOW) for _ in range(12)]

    assert [result.blocked for result in taken] == [None] * 10 + [MINUTE] * 2
    assert [state.remaining for state in taken[3].states] == [6, 26]
    later = NOW + taken[-1].retry_after
    assert (await counters.take("a", [MINUTE], 1, later + 0.01)).blocked is None
    assert (await counters.take("b", [MINUTE], 10, NOW)).blocked is None


async def test_a_refused_request_is_not_counted() -> None:
    counters = MemoryCounters()
    for _ in range(5):
        assert (await counters.take("a", [DAY, MINUTE], 11, NOW)).blocked == MINUTE
    assert (await counters.take("a", [DAY], 30, NOW)).blocked is None


async def test_corrections_never_fall_below_nothing() -> None:
    counters = MemoryCounters()
    await counters.take("a", [MINUTE], 3, NOW)
    await counters.correct("a", [MINUTE], -50, NOW)
    await counters.correct("a", [MINUTE], 10, NOW)
    assert (await counters.take("a", [MINUTE], 1, NOW)).blocked == MINUTE


@pytest.mark.parametrize("jump", [-3600.0, -86400.0, 3600.0, 86400.0])
async def test_a_clock_that_jumps_blocks_no_client_for_longer_than_two_windows(jump: float) -> None:
    counters = MemoryCounters()
    await counters.take("a", [MINUTE], 10, NOW)
    await counters.take("a", [MINUTE], 10, NOW + jump)
    taken = await counters.take("a", [MINUTE], 1, NOW + jump)

    assert taken.blocked is None or 0 < taken.retry_after <= 120
    assert (await counters.take("a", [MINUTE], 1, NOW + jump + 121)).blocked is None


@pytest.mark.parametrize(
    ("windows", "remaining"),
    [(0.5, 7), (1, 7), (1.5, 8), (1.75, 9), (2, 10), (2.5, 10), (9, 10), (-0.25, 7), (-1, 7), (-1.25, 10)],
)
async def test_what_was_used_counts_in_its_window_and_fades_during_the_next(
    windows: float, remaining: int
) -> None:
    """A clock that is set back by less than a window forgets nothing."""
    start = 60.0 * 1_000_000
    counters = MemoryCounters()
    await counters.take("a", [MINUTE], 3, start)
    taken = await counters.take("a", [MINUTE], 0, start + 60 * windows)

    assert [state.remaining for state in taken.states] == [remaining]


@pytest.mark.parametrize(("back", "remaining"), [(0, 7), (1, 7), (60, 7), (61, 9)])
async def test_use_after_the_clock_was_set_back_joins_that_of_the_newest_window(
    back: float, remaining: int
) -> None:
    start = 60.0 * 1_000_000
    counters = MemoryCounters()
    await counters.take("a", [MINUTE], 4, start)
    await counters.take("a", [MINUTE], 1, start - back)
    taken = await counters.take("a", [MINUTE], 0, start + (90 if back <= 60 else -back))

    assert [state.remaining for state in taken.states] == [remaining]


@pytest.mark.parametrize(
    ("share", "limit", "places"), [(1.0, 0, 0), (1.0, 1, 1), (0.25, 0, 0), (0.25, 1, 1), (0.25, 3, 1), (0.25, 8, 2)]
)  # fmt: skip
async def test_a_process_has_its_share_of_a_limit_and_one_at_least(
    share: float, limit: int, places: int
) -> None:
    counters, window = MemoryCounters(share), Window("requests", limit, 60)
    taken = [await counters.take("a", [window], 1, NOW) for _ in range(3)]

    assert [result.blocked for result in taken] == [None] * places + [Window("requests", places, 60)] * (
        3 - places
    )
    assert [await counters.enter("a", limit, token, NOW) for token in "xyz"] == [i < places for i in range(3)]


async def test_a_place_that_is_given_back_is_one_place_of_that_client() -> None:
    counters = MemoryCounters()
    assert [await counters.enter("a", 2, token, NOW) for token in "xyz"] == [True, True, False]
    await counters.leave("b", "x")
    await counters.leave("a", "unknown")
    assert not await counters.enter("a", 2, "z", NOW)
    await counters.leave("a", "x")
    assert [await counters.enter("a", 2, token, NOW) for token in "zq"] == [True, False]
    await counters.leave("a", "y")
    await counters.leave("a", "z")
    assert [await counters.enter("a", 1, token, NOW) for token in "rs"] == [True, False]


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.store.rate_counters._MAX_CLIENTS", 3)
    counters = MemoryCounters()
    for client in "abcd":
        await counters.take(client, [MINUTE], 10, NOW)
    assert (await counters.take("a", [MINUTE], 10, NOW)).blocked is None  # forgotten
    assert (await counters.take("d", [MINUTE], 1, NOW)).blocked is not None
