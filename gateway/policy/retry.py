"""Rules for repeating a failed upstream call.

Only before the first byte went to the client, at most five attempts as shipped, and only from a budget that successes
earn, so that retries do not multiply the load in an outage (https://sre.google/sre-book/handling-overload/, "retry
budget").
The backoff doubles once, with full jitter
(https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
"""

import math
from typing import Annotated

from msgspec import Meta, Struct

from gateway.errors import (
    GatewayError,
    NoUsableKey,
    RateLimited,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnreachable,
)

_EARNED = 0.6
"""Retries that one success earns: with three of ten calls failing, 0.43 are needed."""
_CAPACITY = 20.0
"""Retries that can be saved up; also what a process starts with."""
_MAX_DELAY = 4.0
"""Seconds of a `retryDelay` that the gateway waits itself; longer ones are left to the client."""
_MAX_BACKOFF = 2
"""Times `backoff`. A client that waits for all attempts waits less than two seconds with shipped settings."""
_MAX_RECONNECT = 0.1
"""Seconds before another connection is tried: a refused one costs the upstream nothing."""


class RetryConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Retries of failed upstream calls, before anything was sent to the client."""

    attempts: Annotated[
        int, Meta(ge=1, le=8, description="Most calls for one request, the first included.")
    ] = 5
    backoff: Annotated[
        float,
        Meta(
            ge=0,
            le=10,
            description="Seconds before the first retry, doubled for later ones, with full jitter.",
        ),
    ] = 0.25


class RetryBudget:
    """Retries that may be made: successes earn them, retries spend them."""

    def __init__(self) -> None:
        self._retries = _CAPACITY

    def earn(self) -> None:
        """Record a successful call."""
        self._retries = min(_CAPACITY, self._retries + _EARNED)

    def spend(self) -> bool:
        """Take one retry from the budget. Return False when there is none."""
        if self._retries < 1:
            return False
        self._retries -= 1
        return True


class Retry(Struct, frozen=True):
    """Try again after this many seconds."""

    after: float


class Fail(Struct, frozen=True):
    """Answer the client with this error."""

    error: GatewayError


Verdict = Retry | Fail


def judge(
    error: GatewayError,
    attempt: int,
    budget: RetryBudget,
    config: RetryConfig,
    jitter: float,
    *,
    same: int = 1,
    elsewhere: bool = False,
    once: bool = False,
) -> Verdict:
    """Decide what follows the failure of attempt number `attempt` (from 1). `jitter` is a random number from [0, 1).

    `same` is the number of failures of this kind among them, which an error may limit (`UpstreamError.most_attempts`).
    `elsewhere` says that the failure concerns one key or project and that another is free. Such a retry is immediate
    and takes nothing from the budget, because the key or project cools down. With `once` another attempt in the same
    place follows once at most, and only where Google has not billed the call.
    """
    if elsewhere and attempt < config.attempts:
        return Retry(0.0)
    most = error.most_attempts if isinstance(error, UpstreamError) else None
    spent = attempt >= config.attempts or (most is not None and same >= most)
    spent = spent or (once and (attempt > 1 or not _is_unbilled(error)))
    if spent or not _is_transient(error) or not budget.spend():
        return Fail(error)
    if error.retry_after is not None:
        return Retry(error.retry_after)
    longest = _MAX_RECONNECT if isinstance(error, UpstreamUnreachable) else math.inf
    return Retry(jitter * min(longest, config.backoff * min(attempt, _MAX_BACKOFF)))


def _is_unbilled(error: GatewayError) -> bool:
    """Return whether Google has certainly done no work for a call: it was over a quota, overloaded, or not reached.

    Google bills no refused calls (https://ai.google.dev/gemini-api/docs/billing).
    """
    return isinstance(error, RateLimited) or error.upstream_status == 503 or not error.sent


def _is_transient(error: GatewayError) -> bool:
    """Return whether another attempt may end differently."""
    if error.retry_after is not None and error.retry_after > _MAX_DELAY:
        return False
    if isinstance(error, RateLimited):
        return error.retry_after is not None and error.should_retry is not False
    if isinstance(
        error, UpstreamTimeout
    ):  # after the gateway's own timeout the client has waited long enough
        return error.upstream_status is not None
    return isinstance(error, UpstreamError) and not isinstance(error, NoUsableKey)
