"""Limits by sliding windows, in one process."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.access import Rules
from gateway.policy.rate_limits import Window, limit_headers, weigh, windows
from gateway.store.rate_counters import MemoryCounters

NOW = 1_000_000_040.0
"""A third of a minute has passed, by the windows."""
MINUTE, DAY = Window("requests", 10, 60), Window("requests", 30, 86400)


async def test_the_last_place_is_refused_with_the_time_to_wait() -> None:
    counters = MemoryCounters()
    taken = [await counters.take("a", [(MINUTE, 1), (DAY, 1)], NOW) for _ in range(12)]

    assert [one.blocked for one in taken] == [None] * 10 + [MINUTE] * 2
    assert [state.remaining for state in taken[3].states] == [6, 26]
    later = NOW + taken[-1].retry_after
    assert (await counters.take("a", [(MINUTE, 1)], later + 0.01)).blocked is None
    assert (await counters.take("b", [(MINUTE, 10)], NOW)).blocked is None


async def test_what_is_refused_is_not_counted() -> None:
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
async def test_p19_a_clock_that_jumps_keeps_nobody_out_longer_than_a_window(jump: float) -> None:
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
    monkeypatch.setattr("gateway.store.rate_counters._MOST_CLIENTS", 3)
    counters = MemoryCounters()
    for client in "abcd":
        await counters.take(client, [(MINUTE, 10)], NOW)
    assert (await counters.take("a", [(MINUTE, 10)], NOW)).blocked is None  # forgotten
    assert (await counters.take("d", [(MINUTE, 1)], NOW)).blocked is not None


@given(st.lists(st.floats(0, 20), min_size=1, max_size=200), st.integers(1, 20))
def test_no_minute_of_any_beginning_holds_much_more_than_the_limit(pauses: list[float], limit: int) -> None:
    """In the worst case, a burst before a full one, a sliding window lets through what has faded of the one before."""
    window, now = Window("requests", limit, 60), NOW
    used: dict[int, int] = {}
    admitted: list[float] = []
    for pause in pauses:
        now += pause
        index = window.index(now)
        before, current = used.get(index - 1, 0), used.get(index, 0)
        if weigh([(window, before, current, 1)], now).blocked is None:
            used[index] = current + 1
            admitted.append(now)
    for index in used:
        assert used[index] <= limit
    for start in admitted:
        assert sum(start <= at < start + 60 for at in admitted) <= 2 * limit - (limit > 1)


@given(*[st.integers(-(2**70), 2**70)] * 3, st.floats(-1e12, 1e12))
def test_whatever_was_counted_the_answer_makes_sense(
    before: int, current: int, wanted: int, now: float
) -> None:
    taken = weigh([(MINUTE, before, current, wanted)], now)

    assert 0 <= taken.retry_after <= 120
    assert taken.states[0].remaining >= 0


def test_rules_become_windows_and_headers() -> None:
    rules = Rules(requests_per_minute=5, requests_per_day=50, tokens_per_day=9)
    found: Any = weigh([(w, 0, 0, 1) for w in [*windows(rules, "requests"), *windows(rules, "tokens")]], NOW)

    headers = limit_headers(found.states)
    assert headers["x-ratelimit-limit-requests"] == "5"
    assert headers["x-ratelimit-remaining-tokens"] == "8"
    assert headers["x-ratelimit-reset-requests"] == "40.000s"
    assert windows(Rules(), "tokens") == ()
