"""Rules for passing a call to the next model of its chain (`models.fallbacks`).

This happens only before the first byte of the answer, as retries do. Errors that are due to the client, or to the
client's own limits, would be the same with any model.
"""

from gateway.errors import (
    BudgetExceeded,
    GatewayError,
    PoolExhausted,
    RateLimited,
    UnusableAnswer,
    UpstreamError,
    UpstreamTimeout,
)
from gateway.policy.bounded import BoundedMapping
from gateway.policy.pool.breaker import Breaker

_FAILURES = 3
"""Failed requests in a row before a model that has fallbacks is not called for a while."""
_OPEN_FIRST, _OPEN_LONGEST = 1.0, 60.0
"""Seconds for which a model's breaker opens: the first time, and at most."""
_MAX_BREAKERS = 10_000
"""Model names, and keys of Gemini, are chosen by clients."""


def passes_on(error: GatewayError) -> bool:
    """Return whether another model may answer where this one failed."""
    if isinstance(error, BudgetExceeded | UnusableAnswer):
        return False
    if isinstance(error, RateLimited):  # of Google's quotas; a client's own limit has no upstream status
        return error.upstream_status is not None or isinstance(error, PoolExhausted)
    if isinstance(
        error, UpstreamTimeout
    ):  # after the gateway's own timeout the client has waited long enough
        return error.upstream_status is not None
    return isinstance(error, UpstreamError) or (
        error.code == "model_not_found" and error.upstream_status is not None
    )


class ModelBreaker:
    """Circuit breakers by client and model.

    A failing model that has fallbacks is called now and then, not for every request. Each client learns from its own
    requests only: it may have caused the failures.
    """

    def __init__(self) -> None:
        self._breakers: BoundedMapping[tuple[str, str], Breaker] = BoundedMapping(_MAX_BREAKERS)

    def cooling_down(self, client: str, model: str, now: float) -> bool:
        """Return whether the model is to be skipped for a client."""
        breaker = self._breakers.get((client, model))
        return breaker is not None and breaker.is_open(now)

    def failed(self, client: str, model: str, now: float) -> None:
        """Record that all attempts of one request failed because of the model or of Google."""
        breaker = self._breakers.get((client, model))
        if breaker is None:
            breaker = self._breakers[client, model] = Breaker(_FAILURES, _OPEN_FIRST, _OPEN_LONGEST)
        breaker.failed(now)

    def succeeded(self, client: str, model: str) -> None:
        """Record that the model answered."""
        if self._breakers.total:
            self._breakers.pop((client, model), None)
