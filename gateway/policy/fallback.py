"""When a call is given to the next model of its chain (`models.fallbacks`): only before the first byte, like a retry.

What is the client's own doing, or its own limit, would end the same with any model.
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

_PATIENCE = 3
"""Failures in a row, before a model with others to ask instead is left alone."""
_SHORTEST, _LONGEST = 1.0, 60.0
"""Seconds of that; they double with every failure that follows."""
_MOST = 1000
"""Models: their names are the clients' own."""


def passes_on(error: GatewayError) -> bool:
    """Whether another model may answer where this one could not."""
    if isinstance(error, BudgetExceeded | UnusableAnswer):
        return False
    if isinstance(error, RateLimited):  # Google's count or the pool's; a client's own limit has no upstream
        return error.upstream_status is not None or isinstance(error, PoolExhausted)
    if isinstance(error, UpstreamTimeout):  # our own time-outs have used up the client's patience
        return error.upstream_status is not None
    return isinstance(error, UpstreamError) or (
        error.code == "model_not_found" and error.upstream_status is not None
    )


class ModelBreaker:
    """Models that fail and fail: who has a chain asks the next one at once, and looks in again now and then.

    So an outage costs a call now and then instead of one for each request (design.md 1.1, 14), and no patience.
    """

    def __init__(self) -> None:
        self._failures: dict[str, int] = {}
        self._until: dict[str, float] = {}

    def cooling_down(self, model: str, now: float) -> bool:
        """Whether a model is left alone."""
        return now < self._until.get(model, 0.0)

    def failed(self, model: str, now: float) -> None:
        """All attempts of one request failed, by the model's or Google's doing."""
        if model not in self._failures and len(self._failures) >= _MOST:
            self.succeeded(next(iter(self._failures)))
        failures = self._failures[model] = self._failures.get(model, 0) + 1
        if failures >= _PATIENCE and not self.cooling_down(model, now):
            self._until[model] = now + min(_LONGEST, _SHORTEST * 2 ** min(failures - _PATIENCE, 10))

    def succeeded(self, model: str) -> None:
        """It has answered."""
        self._failures.pop(model, None)
        self._until.pop(model, None)
