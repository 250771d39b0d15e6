"""Google's quotas: windows, days, learnt limits, and every recorded 429 as the key pool reads it."""

import json
from datetime import UTC, datetime

import pytest

from gateway.errors import (
    GatewayError,
    PoolExhausted,
    Quota,
    RateLimited,
    UpstreamError,
    UpstreamTimeout,
    UpstreamTruncated,
)
from gateway.gemini import errors
from gateway.policy.pool.call_outcome import outcome
from gateway.policy.pool.google_quota import DAY, LearnedQuotas, cause, midnight, period
from gateway.policy.pool.keypool import KeyPool
from gateway.policy.pool.projects import PoolConfig, Project
from tests.support.corpus import Record, recorded

NOW = 1_780_000_000.0


def limited(*quotas: Quota, code: str | None = None) -> RateLimited:
    error = RateLimited("no", code=code, upstream_status=429)
    error.quotas = quotas
    return error


MINUTELY, DAILY = Quota("GenerateRequestsPerMinutePerProject"), Quota("GenerateRequestsPerDayPerProject")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (UpstreamError("no", code="upstream_unreachable"), "upstream_unreachable"),
        (UpstreamTimeout("no"), "upstream_timeout"),
        (UpstreamTruncated("no"), "upstream_incomplete"),
        (limited(), "rate_limit_exceeded"),
        (limited(MINUTELY), "quota_per_minute"),
        (limited(MINUTELY, DAILY, code="insufficient_quota"), "quota_per_day"),
        (
            limited(Quota(MINUTELY.id, value=0), code="insufficient_quota"),
            "insufficient_quota",
        ),  # no free tier
        (limited(code="insufficient_quota"), "insufficient_quota"),  # no credit
    ],
)
def test_a_failed_call_has_a_cause(error: GatewayError, expected: str) -> None:
    assert cause(error) == expected


@pytest.mark.parametrize(
    ("quota_id", "seconds"),
    [
        ("GenerateRequestsPerDayPerProjectPerModel-FreeTier", 86400),
        ("GenerateContentInputTokensPerModelPerMinute-FreeTier", 60),
        ("RequestsPerSecond", 60),
        ("Concurrent", None),
    ],
)
def test_the_window_of_a_quota(quota_id: str, seconds: float | None) -> None:
    assert period(Quota(quota_id)) == seconds


@pytest.mark.parametrize(
    ("day", "hours"), [((2026, 3, 8), 23), ((2026, 11, 1), 25), ((2026, 7, 1), 24), ((2026, 12, 31), 24)]
)
def test_a_day_at_google_ends_at_midnight_in_california(day: tuple[int, int, int], hours: int) -> None:
    begin = midnight(datetime(*day, 1, tzinfo=UTC).timestamp())  # in the evening of the day before, there

    assert midnight(begin + 1) - begin == hours * 3600
    assert midnight(begin - 1) == begin


def test_a_limit_that_a_429_named_blocks_until_the_window_ends() -> None:
    quotas = LearnedQuotas()
    quotas.learn(Quota(MINUTELY.id, value=3), NOW)
    for seconds in (0, 4, 5):
        assert quotas.wait(NOW + seconds, 0) == 0
        quotas.begin(NOW + seconds)

    assert quotas.wait(NOW + 10, 0) == 50
    assert quotas.wait(NOW + 60, 0) == 0


def test_tokens_count_those_that_are_wanted_too() -> None:
    quotas = LearnedQuotas()
    quotas.learn(Quota("InputTokensPerMinute", value=100), NOW)
    assert quotas.wait(NOW, 100) == 0
    quotas.begin(NOW)
    quotas.spend(NOW, 60)
    quotas.spend(NOW, -5)
    quotas.spend(NOW, 0)

    assert [quotas.wait(NOW, tokens) for tokens in (40, 41)] == [0, 60]


def test_a_prompt_that_is_larger_than_a_limit_waits_for_an_hour() -> None:
    quotas = LearnedQuotas()
    quotas.learn(Quota("InputTokensPerMinute", value=100), NOW)

    assert (quotas.too_large(NOW, 100), quotas.too_large(NOW, 101)) == (0, 100)
    assert [quotas.wait(NOW + 60 * i, 101) for i in (0, 1, 59)] == [3600, 3540, 60]
    assert (quotas.too_large(NOW + 3600, 101), quotas.wait(NOW + 3600, 101)) == (0, 0)


@pytest.mark.parametrize(
    "quota",
    [
        Quota(MINUTELY.id),
        Quota(MINUTELY.id, value=0),
        Quota("Concurrent", value=1),
        Quota("RequestsPerSecond", value=1),
    ],
)
def test_a_quota_without_a_window_or_a_limit_teaches_nothing(quota: Quota) -> None:
    quotas = LearnedQuotas()
    quotas.learn(quota, NOW)
    for _ in range(5):
        quotas.begin(NOW)

    assert quotas.wait(NOW, 0) == 0


def test_a_limit_is_forgotten_after_a_day() -> None:
    quotas = LearnedQuotas()
    quotas.learn(Quota(MINUTELY.id, value=1), NOW)
    for now in (NOW + DAY - 1, NOW + DAY):
        quotas.begin(now)

    assert quotas.wait(NOW + DAY - 1, 0) > 0
    assert quotas.wait(NOW + DAY, 0) == 0


@pytest.mark.parametrize("record", recorded(lambda record: record["status"] == 429))
def test_a_recorded_429_cools_the_project_down_as_long_as_it_says(record: Record) -> None:
    body = record["response"]
    error = errors.from_response(429, body.encode() if isinstance(body, str) else json.dumps(body).encode())
    assert isinstance(error, RateLimited)
    pool = KeyPool([Project("a", ("k",))], PoolConfig())
    pool.settle(pool.acquire("m", NOW), outcome(error), NOW, 0.0)
    with pytest.raises(PoolExhausted) as caught:
        pool.acquire("m", NOW)
    seconds = caught.value.retry_after
    assert seconds is not None

    by_day = (
        any("PerDay" in quota.id or quota.value == 0 for quota in error.quotas)
        or error.code == "insufficient_quota"
    )
    if by_day:
        assert seconds == pytest.approx(midnight(NOW) - NOW)
        assert seconds <= DAY + 3600
    elif error.retry_after is not None:
        assert seconds == pytest.approx(min(3600, max(1, error.retry_after)))
    else:
        assert 1 <= seconds <= 60


def test_each_window_counts_from_its_own_beginning() -> None:
    """A minute ends within the day, and the day goes on with what the minute had."""
    quotas = LearnedQuotas()
    for at in (NOW, NOW + 30, NOW + 59, NOW + 60, NOW + 119):
        quotas.begin(at)
        quotas.spend(at, 100)
    for name in ("GenerateRequestsPerMinutePerProject", "InputTokensPerModelPerMinute"):
        quotas.learn(Quota(name, value=1000), NOW + 119)
    for name in ("GenerateRequestsPerDayPerProject", "InputTokensPerModelPerDay"):
        quotas.learn(Quota(name, value=1000), NOW + 119)

    used = {(limit.seconds, limit.counts_tokens): limit.used for limit in quotas.learned(NOW + 119)}
    assert used == {(60, False): 2, (60, True): 200, (DAY, False): 5, (DAY, True): 500}
    later = {(limit.seconds, limit.counts_tokens): limit.used for limit in quotas.learned(NOW + 120)}
    assert later == {(60, False): 0, (60, True): 0, (DAY, False): 5, (DAY, True): 500}


def test_a_clock_that_is_set_back_begins_the_windows_anew() -> None:
    quotas = LearnedQuotas()
    quotas.begin(NOW)
    quotas.begin(NOW - 10)
    quotas.learn(Quota("GenerateRequestsPerMinutePerProject", value=1000), NOW - 10)

    assert [limit.used for limit in quotas.learned(NOW - 10)] == [1]
