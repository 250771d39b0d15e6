"""When a failed call is tried again (design.md 1.1, 14).

Only before the first byte went to the client, at most four attempts, and only while successes have earned it:
in a total outage the retries must not become a storm of their own.
"""

from typing import Annotated

from msgspec import Meta, Struct

from gateway.errors import GatewayError, NoUsableKey, RateLimited, UpstreamError, UpstreamTimeout

_EARNED = 0.5
"""Retries that one success pays for."""
_BUCKET = 20.0
"""Retries that may be saved up; also what a fresh process starts with."""
_WORTH_WAITING = 4.0
"""Seconds of `retryDelay` that are better spent here than in the client."""


class RetryConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How failed upstream calls are repeated before anything was sent to the client."""

    attempts: Annotated[int, Meta(ge=1, le=4, description="Calls for one request, the first included.")] = 4
    backoff: Annotated[
        float, Meta(ge=0, le=10, description="Seconds before the first retry; doubles, with full jitter.")
    ] = 0.25


class RetryBudget:
    """Tokens that successes earn and retries spend."""

    def __init__(self) -> None:
        self._tokens = _BUCKET

    def earn(self) -> None:
        """A call succeeded."""
        self._tokens = min(_BUCKET, self._tokens + _EARNED)

    def spend(self) -> bool:
        """Take one retry; false when there is none to take."""
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Retry(Struct, frozen=True):
    """Try again after this many seconds."""

    after: float


class Fail(Struct, frozen=True):
    """Tell the client."""

    error: GatewayError


Verdict = Retry | Fail


def judge(
    error: GatewayError,
    attempt: int,
    budget: RetryBudget,
    config: RetryConfig,
    jitter: float,
    *,
    elsewhere: bool = False,
) -> Verdict:
    """What to do after attempt number `attempt` (from 1) failed. `jitter` is a random number from [0, 1).

    `elsewhere`: it was one key's or one project's fault, and another can be asked at once. That costs nothing of the
    budget, because whoever is at fault rests.
    """
    if elsewhere and attempt < config.attempts:
        return Retry(0.0)
    if attempt >= config.attempts or not _passes(error) or not budget.spend():
        return Fail(error)
    if error.retry_after is not None:
        return Retry(error.retry_after)
    return Retry(jitter * config.backoff * 2 ** (attempt - 1))


def _passes(error: GatewayError) -> bool:
    """Whether another attempt may end differently."""
    if error.retry_after is not None and error.retry_after > _WORTH_WAITING:
        return False
    if isinstance(error, RateLimited):
        return error.retry_after is not None and error.should_retry is not False
    if isinstance(error, UpstreamTimeout):
        return error.upstream_status is not None  # our own time-outs have used up the client's patience
    return isinstance(error, UpstreamError) and not isinstance(error, NoUsableKey)
