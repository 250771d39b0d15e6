"""When a failed call is repeated."""

import pytest

from gateway.errors import (
    BadRequest,
    Draining,
    GatewayError,
    NoUsableKey,
    RateLimited,
    UpstreamError,
    UpstreamTimeout,
    UpstreamTruncated,
    UpstreamUnreachable,
)
from gateway.policy.retry import Fail, Retry, RetryBudget, RetryConfig, judge

CONFIG = RetryConfig(attempts=3, backoff=2)


@pytest.mark.parametrize(
    ("error", "attempt", "after"),
    [
        (UpstreamError("reset"), 1, 1.0),
        (UpstreamError("reset"), 2, 2.0),
        (UpstreamError("reset"), 3, None),
        (UpstreamError("busy", retry_after=2.0), 1, 2.0),
        (UpstreamError("busy", retry_after=4.0), 1, 4.0),
        (UpstreamError("busy", retry_after=4.1), 1, None),
        (UpstreamTimeout("504 of theirs", upstream_status=504), 1, 1.0),
        (UpstreamTimeout("our patience"), 1, None),
        (RateLimited("minute", retry_after=3.0), 1, 3.0),
        (RateLimited("minute", retry_after=34.0), 1, None),
        (RateLimited("unknown"), 1, None),
        (RateLimited("day", retry_after=1.0, should_retry=False), 1, None),
        (BadRequest("no"), 1, None),
        (Draining(), 1, None),
        (NoUsableKey("m"), 1, None),
    ],
)
def test_only_failures_that_may_pass_are_tried_again(
    error: GatewayError, attempt: int, after: float | None
) -> None:
    expected = Fail(error) if after is None else Retry(after)

    assert judge(error, attempt, RetryBudget(), CONFIG, 0.5) == expected


def test_another_connection_is_tried_once_and_soon() -> None:
    error, slow = UpstreamUnreachable("refused"), RetryConfig(attempts=4, backoff=8)

    assert judge(error, 1, RetryBudget(), slow, 0.5) == Retry(0.05)
    assert judge(error, 2, RetryBudget(), slow, 0.5, same=2) == Fail(error)


def test_only_failures_of_its_own_kind_count_for_an_errors_limit() -> None:
    error, config = UpstreamTruncated("cut"), RetryConfig(attempts=4, backoff=0)
    error.most_attempts = 2

    assert judge(error, 2, RetryBudget(), config, 0.5) == Retry(0.0)
    assert judge(error, 2, RetryBudget(), config, 0.5, same=2) == Fail(error)
    assert judge(error, 4, RetryBudget(), config, 0.5) == Fail(error)


def test_retries_must_be_earned() -> None:
    budget = RetryBudget()
    spent = [budget.spend() for _ in range(22)]
    budget.earn()
    budget.earn()

    assert spent == [True] * 20 + [False] * 2
    assert [budget.spend(), budget.spend()] == [True, False]


def test_a_storm_is_amplified_by_a_fifth_at_most() -> None:
    budget, attempts = RetryBudget(), 0
    for _ in range(100):
        attempt = 1
        while isinstance(judge(UpstreamError("503"), attempt, budget, CONFIG, 0.5), Retry):
            attempt += 1
        attempts += attempt

    assert attempts <= 120


def test_elsewhere_an_attempt_is_immediate_and_free() -> None:
    budget, error = RetryBudget(), RateLimited("spent", retry_after=60.0)
    for _ in range(30):
        assert judge(error, 1, budget, CONFIG, 0.5, elsewhere=True) == Retry(0.0)
    assert judge(error, 3, budget, CONFIG, 0.5, elsewhere=True) == Fail(error)

    assert [budget.spend() for _ in range(21)].count(True) == 20


def test_defaults() -> None:
    assert RetryConfig() == RetryConfig(attempts=5, backoff=0.25)


@pytest.mark.parametrize(
    ("error", "attempt", "elsewhere", "after"),
    [
        (RateLimited("minute", retry_after=3.0), 1, False, 3.0),
        (RateLimited("minute", retry_after=3.0), 2, False, None),
        (RateLimited("another project is free"), 2, True, 0.0),
        (UpstreamError("overloaded", upstream_status=503), 1, False, 1.0),
        (UpstreamError("overloaded", upstream_status=503), 2, False, None),
        (UpstreamUnreachable("refused"), 1, False, 0.05),
        (UpstreamError("internal", upstream_status=500), 1, False, None),
        (UpstreamTruncated("cut"), 1, False, None),
        (UpstreamTimeout("504 of theirs", upstream_status=504), 1, False, None),
    ],
)
def test_what_is_billed_is_tried_again_once_and_only_unbilled(
    error: GatewayError, attempt: int, elsewhere: bool, after: float | None
) -> None:
    if isinstance(error, UpstreamUnreachable):
        error.sent = False
    expected = Fail(error) if after is None else Retry(after)

    assert judge(error, attempt, RetryBudget(), CONFIG, 0.5, elsewhere=elsewhere, once=True) == expected
