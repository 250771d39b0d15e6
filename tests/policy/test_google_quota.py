"""Every 429 on record, as the pool reads it: how long the project rests for that model."""

import json

import pytest

from gateway.errors import PoolExhausted, RateLimited
from gateway.gemini import errors as failure
from gateway.policy.google_quota import DAY, midnight
from gateway.policy.keypool import KeyPool, PoolConfig, Project, outcome
from tests.support.corpus import Record, recorded

NOW = 1_780_000_000.0


@pytest.mark.parametrize("record", recorded(lambda record: record["status"] == 429))
def test_a_recorded_429_rests_the_project_as_long_as_it_says(record: Record) -> None:
    response = record["response"]
    error = failure.from_response(
        429, response.encode() if isinstance(response, str) else json.dumps(response).encode()
    )
    assert isinstance(error, RateLimited)
    pool = KeyPool([Project("a", ("k",))], PoolConfig())
    pool.settle(pool.acquire("m", NOW), outcome(error), NOW, 0.0)
    with pytest.raises(PoolExhausted) as caught:
        pool.acquire("m", NOW)
    rest = caught.value.retry_after
    assert rest is not None

    by_day = (
        any("PerDay" in quota.id or quota.value == 0 for quota in error.quotas)
        or error.code == "insufficient_quota"
    )
    if by_day:
        assert rest == pytest.approx(midnight(NOW) - NOW)
        assert rest <= DAY + 3600
    elif error.retry_after is not None:
        assert rest == pytest.approx(min(3600, max(1, error.retry_after)))
    else:
        assert 1 <= rest <= 60
