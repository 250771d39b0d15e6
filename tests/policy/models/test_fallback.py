"""When another model is asked, and how long a failing one is skipped."""

import pytest

from gateway.errors import (
    BadRequest,
    BudgetExceeded,
    GatewayError,
    NotFound,
    NoUsableKey,
    PoolExhausted,
    RateLimited,
    UnusableAnswer,
    UpstreamError,
    UpstreamTimeout,
)
from gateway.policy.models.fallback import ModelBreaker, passes_on


def test_how_long_a_model_is_skipped() -> None:
    breaker = ModelBreaker()
    seconds = []
    now = 0.0
    for _ in range(12):
        breaker.failed("eve", "m", now)
        begin = now
        while breaker.cooling_down("eve", "m", now):
            now += 0.5
        seconds.append(now - begin)
    assert seconds == [0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    breaker.succeeded("eve", "m")
    breaker.failed("eve", "m", now)
    assert not breaker.cooling_down("eve", "m", now)


def test_one_client_s_failures_skip_no_model_for_another() -> None:
    breaker = ModelBreaker()
    for _ in range(9):
        breaker.failed("eve", "m", 0.0)
    breaker.succeeded("ada", "m")

    assert breaker.cooling_down("eve", "m", 0.5)
    assert not breaker.cooling_down("ada", "m", 0.5)


def test_ten_thousand_models_are_remembered() -> None:
    breaker = ModelBreaker()
    for i in range(10_001):
        for _ in range(3):
            breaker.failed("eve", f"gemini-{i}", 0.0)

    assert not breaker.cooling_down("eve", "gemini-0", 0.0)
    assert breaker.cooling_down("eve", "gemini-1", 0.0)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RateLimited("x", upstream_status=429), True),
        (PoolExhausted("x", retry_after=1), True),
        (NoUsableKey("m"), True),
        (UpstreamError("x", upstream_status=503), True),
        (UpstreamError("x"), True),
        (UpstreamTimeout("x", upstream_status=504), True),
        (UpstreamTimeout("x"), False),
        (NotFound("x", code="model_not_found", upstream_status=404), True),
        (NotFound("x", code="model_not_found"), False),
        (NotFound("x", code="not_found", upstream_status=404), False),
        (RateLimited("x"), False),
        (BudgetExceeded("x"), False),
        (UnusableAnswer("x"), False),
        (BadRequest("x", upstream_status=400), False),
    ],
)
def test_which_errors_another_model_may_not_have(error: GatewayError, expected: bool) -> None:
    assert passes_on(error) is expected
