"""Key pools for tests, and upstream calls that end in one way or another."""

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.errors import GatewayError, PoolExhausted, Quota, RateLimited, UpstreamError
from gateway.gemini.errors import from_status
from gateway.gemini.wire import ErrorStatus
from gateway.policy.pool.call_outcome import Ok, outcome
from gateway.policy.pool.keypool import KeyPool, Lease
from gateway.policy.pool.projects import PoolConfig, Project

NOON = datetime(2026, 11, 24, 20, tzinfo=UTC).timestamp()
"""Noon in California; midnight is 12 hours away."""
M = "gemini-2.5-flash"
PER_MINUTE = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"
PER_DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
TOKENS = "GenerateContentInputTokensPerModelPerMinute-FreeTier"


def pool(*names: str, keys: int = 1, **config: Any) -> KeyPool:
    projects = [Project(name, tuple(f"{name}-{i}" for i in range(keys))) for name in names or ("a", "b")]
    return KeyPool(projects, PoolConfig(**config))


def limited(*quotas: Quota, after: float | None = None, code: str | None = None) -> RateLimited:
    error = RateLimited("spent", retry_after=after, code=code, upstream_status=429)
    error.quotas = quotas
    return error


def refused(message: str = "API key not valid.", status: int = 400) -> GatewayError:
    return from_status(status, ErrorStatus(message=message))


LEAKED = refused("Your API key was reported as leaked. Please use another API key.", 403)
SPENT = refused("Your project has exceeded its monthly spending cap.", 429)
SUSPENDED = refused("Permission denied: Consumer 'projects/1' has been suspended.", 403)


def fail(
    keys: KeyPool, error: GatewayError, now: float, model: str = M, jitter: float = 0.0, **fields: Any
) -> Lease:
    """Make one attempt that ends with an error. Return its lease."""
    lease = keys.acquire(model, now, **fields)
    keys.settle(lease, outcome(error), now, jitter)
    return lease


def succeed(keys: KeyPool, now: float, model: str = M, **fields: Any) -> Lease:
    """Make one attempt that succeeds. Return its lease."""
    lease = keys.acquire(model, now, **fields)
    keys.settle(lease, Ok(), now, 0.0)
    return lease


def wait(keys: KeyPool, now: float, model: str = M) -> float:
    """Return the seconds that a client is told to wait."""
    with pytest.raises(PoolExhausted) as caught:
        keys.acquire(model, now)
    assert caught.value.retry_after is not None
    return caught.value.retry_after


def cooldowns(keys: KeyPool, now: float) -> dict[tuple[str, str], tuple[str, float]]:
    """Return reason and seconds left of each cooldown, by project and model or key id."""
    return {
        (state.project, state.model or state.key_id): (state.reason, round(state.until - now, 3))
        for state in keys.describe(now)
        if state.until is not None
    }


FAILURE = UpstreamError("overloaded", upstream_status=503)


def fail_in_a_row(keys: KeyPool, times: int, now: float, **fields: Any) -> None:
    for _ in range(times):
        fail(keys, FAILURE, now, only="a", **fields)
