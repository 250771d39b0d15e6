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
