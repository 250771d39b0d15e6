"""Sliding windows: what they let through, how long they block, and the headers that describe them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.clients.client_rules import Rules
from gateway.policy.clients.rate_limits import Window, WindowState, limit_headers, limit_lines, weigh, windows

NOW = 1_000_000_040.0
"""A third of the minute has passed."""
MINUTE, DAY = Window("requests", 10, 60), Window("requests", 30, 86400)


@pytest.mark.parametrize(
    ("before", "current", "wanted", "remaining", "wait"),
    [
        (0, 0, 1, 9, 0), (0, 9, 1, 0, 0), (0, 10, 1, 0, 46), (15, 0, 1, 0, 4), (15, 0, 0, 0, 0), (12, 2, 1, 0, 5),
        (0, 20, 1, 0, 73), (0, 0, 11, 0, 100), (9, 1, 1, 2, 0),
    ],
)  # fmt: skip
def test_the_previous_minute_counts_as_far_as_it_overlaps(
    before: int, current: int, wanted: int, remaining: int, wait: float
) -> None:
    """A third of the minute has passed, so two thirds of the previous minute's use count."""
    taken = weigh([(MINUTE, before, current, wanted)], NOW)

    assert taken.states[0].remaining == remaining
    assert taken.retry_after == pytest.approx(wait)
    assert taken.blocked == (MINUTE if wait else None)


def test_the_window_that_blocks_longest_is_named() -> None:
    taken = weigh([(MINUTE, 0, 10, 1), (DAY, 0, 30, 1)], NOW)

    assert taken.blocked == DAY
    assert taken.retry_after > 3600


def test_the_last_state_of_a_window_and_the_tighter_window_make_the_headers() -> None:
    states = [WindowState(MINUTE, 5, 20.0), WindowState(DAY, 3, 900.5), WindowState(MINUTE, 4, 19.0)]
    assert limit_headers(states) == {
        "x-ratelimit-limit-requests": "30",
        "x-ratelimit-remaining-requests": "3",
        "x-ratelimit-reset-requests": "900.500s",
    }
    assert limit_headers(states[:1] + states[2:])["x-ratelimit-remaining-requests"] == "4"


@given(st.lists(st.floats(0, 20), min_size=1, max_size=200), st.integers(1, 20))
def test_no_minute_of_any_beginning_holds_much_more_than_the_limit(pauses: list[float], limit: int) -> None:
    """A burst after a full window gets what has faded of the previous one, so twice the limit is the worst case."""
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


@given(*[st.integers(-(2**70), 2**70)] * 2, st.integers(0, 2**53), st.floats(-1e12, 1e12))
def test_any_counts_give_a_sensible_answer(before: int, current: int, wanted: int, now: float) -> None:
    taken = weigh([(MINUTE, before, current, wanted)], now)
    state = taken.states[0]

    assert 0 <= taken.retry_after <= 120
    assert 0 <= state.reset <= 120
    assert state.remaining in range(MINUTE.limit + 1)
    assert (taken.blocked is None) is (taken.retry_after == 0)


def test_rules_become_windows_and_headers() -> None:
    rules = Rules(requests_per_minute=5, requests_per_day=50, tokens_per_day=9)
    limits = rules.request_limits + rules.token_limits
    headers = limit_headers(weigh([(window, 0, 0, 1) for window in limits], NOW).states)

    assert headers["x-ratelimit-limit-requests"] == "5"
    assert headers["x-ratelimit-remaining-tokens"] == "8"
    assert headers["x-ratelimit-reset-requests"] == "40.000s"
    assert Rules().token_limits == ()


@given(st.lists(st.sampled_from([Rules(requests_per_minute=5), Rules(tokens_per_day=9, requests_per_day=2)])))
def test_the_lines_of_a_head_are_the_headers(rules: list[Rules]) -> None:
    limits = [window for rule in rules for window in rule.request_limits + rule.token_limits]
    states = weigh([(window, 0, 0, 1) for window in limits], NOW + 0.1236).states

    lines = "".join(f"{name}: {value}\r\n" for name, value in limit_headers(states).items())
    assert limit_lines(states) == lines


def test_each_rule_has_its_window() -> None:
    assert windows("requests", 5, 50) == (Window("requests", 5, 60), Window("requests", 50, 86400))
    assert windows("tokens", 7, 70) == (Window("tokens", 7, 60), Window("tokens", 70, 86400))


def test_of_two_windows_that_have_as_much_left_the_minute_is_described() -> None:
    states = [WindowState(MINUTE, 3, 20.0), WindowState(DAY, 3, 900.0)]

    assert limit_headers(states)["x-ratelimit-limit-requests"] == "10"


def test_of_two_windows_that_block_as_long_the_last_is_named() -> None:
    other = Window("tokens", 10, 60)

    assert weigh([(MINUTE, 0, 10, 1), (other, 0, 10, 1)], NOW).blocked == other


@pytest.mark.parametrize(
    ("before", "current", "wanted", "wait"),
    [
        (30, 9, 1, 40.0),  # the use of this window fits exactly when the previous one has faded
        (0, 4, 9, 40 + 45),  # then a quarter of the 4 may remain
        (0, 4, 10, 40 + 60),  # then nothing may remain
    ],
)
def test_the_wait_at_the_end_of_a_window(before: int, current: int, wanted: int, wait: float) -> None:
    assert weigh([(MINUTE, before, current, wanted)], NOW).retry_after == pytest.approx(wait)
