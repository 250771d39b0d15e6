"""Google's quotas: their windows, when a day ends, and limits learnt from 429s.

Quotas per day are reset at midnight Pacific time (https://ai.google.dev/gemini-api/docs/rate-limits).
"""

from datetime import datetime, timedelta, tzinfo
from functools import cache
from typing import NamedTuple

from gateway.errors import GatewayError, Quota, RateLimited

DAY = 86400.0
MINUTE = 60.0
_LIFE = DAY
"""Seconds for which a learnt limit is used: a project may move to a higher tier."""

MIN_COOLDOWN = 1.0
"""Seconds that a cooldown after a 429 lasts at least."""
_MAX_RETRY_DELAY = 3600.0
"""Seconds that count, at most, of the delay that a 429 names (google.rpc.RetryInfo), before jitter."""
_QUOTA_MINUTE = 60.0
"""Seconds of cooldown for a quota per minute without a RetryInfo, and at most for a 429 that gives no details."""


def period(quota: Quota) -> float | None:
    """Return DAY for a quota per day, MINUTE for one per minute or second, else None.

    The id says so. Ids are such as `GenerateRequestsPerDayPerProjectPerModel-FreeTier`.
    """
    if "PerDay" in quota.id:
        return DAY
    return MINUTE if "PerMinute" in quota.id or "PerSecond" in quota.id else None


def cause(error: GatewayError) -> str:
    """Return why a call failed: `quota_per_minute` or `quota_per_day` if Google names the quota, else the error code.

    A quota of 0 per minute keeps its code, `insufficient_quota`: it does not recover within a minute.
    """
    if isinstance(error, RateLimited):
        periods = {period(quota) for quota in error.quotas}
        if DAY in periods:
            return "quota_per_day"
        if MINUTE in periods and not any(quota.value == 0 for quota in error.quotas):
            return "quota_per_minute"
    return error.code or "unknown"


def midnight(now: float) -> float:
    """Return the next midnight in California, 23 to 25 hours after the last because of daylight saving time."""
    pacific = pacific_time()
    today = datetime.fromtimestamp(now, pacific).date()
    return datetime.combine(today + timedelta(days=1), datetime.min.time(), pacific).timestamp()


@cache
def pacific_time() -> tzinfo:
    """Return California's time. Only a quota per day needs it, and `zoneinfo` takes 0.3 MB of memory."""
    from zoneinfo import ZoneInfo

    return ZoneInfo("America/Los_Angeles")


def concerns_model(error: RateLimited) -> bool:
    """Return whether a 429 of a call that uses a feature concerns all calls of the model.

    It does if it names a quota of generateContent, such as `GenerateRequestsPerDayPerProjectPerModel-FreeTier`, or if
    the project has no credit left.
    """
    if error.quotas:
        return any(quota.id.startswith("Generate") for quota in error.quotas)
    return error.code == "insufficient_quota"


def quota_cooldown(error: RateLimited, now: float, jitter: float) -> tuple[str, float] | None:
    """Return the reason and the end of the cooldown that a 429 asks for; None if it gives no details.

    `insufficient_quota` and a quota of 0 (a model without free tier) do not end within minutes.
    """
    periods = [period(quota) for quota in error.quotas]
    if (
        DAY in periods
        or any(quota.value == 0 for quota in error.quotas)
        or error.code == "insufficient_quota"
    ):
        return "day", midnight(now)
    if any(periods) or error.retry_after is not None:
        seconds = _QUOTA_MINUTE if error.retry_after is None else error.retry_after
        return "minute", now + min(_MAX_RETRY_DELAY, max(MIN_COOLDOWN, seconds)) * (1 + jitter / 10)
    return None


def longest_vague(count: int) -> float:
    """Return the bound, in seconds, of the random cooldown after the last of some 429s without details in a row."""
    return min(_QUOTA_MINUTE, 2.0 ** min(count, 30))


_LARGE_LIFE = 3600.0
"""Seconds for which a prompt that is larger than a learnt limit is not sent."""


class _Window:
    """A minute or a day, and what had been used when it began."""

    __slots__ = ("ends", "length", "requests", "started", "tokens")

    def __init__(self, length: float) -> None:
        self.length = length
        self.started = self.ends = 0.0
        self.requests = self.tokens = 0


class LearnedLimit(NamedTuple):
    """One limit of a project for a model, as a 429 has named it."""

    seconds: float
    counts_tokens: bool
    limit: int
    used: int
    learned: float
    """Time of the 429."""


class LearnedQuotas:
    """One project's use of one model, compared with the limits that 429s have named, to avoid the next 429."""

    __slots__ = ("_began", "_day", "_ends", "_minute", "_requests", "_tokens", "limits")

    def __init__(self) -> None:
        self.limits: dict[tuple[float, bool], tuple[int, float]] = {}
        """Limit and the time it was learnt, by the window's seconds and whether it counts tokens."""
        self._minute, self._day = _Window(MINUTE), _Window(DAY)
        self._requests = self._tokens = 0
        """Of all windows."""
        self._began = self._ends = 0.0
        """The time in which both windows go on."""

    def _renew(self, now: float) -> None:
        """Begin each window anew that is over, or if the clock was set back."""
        minute, day = self._minute, self._day
        for window in (minute, day):
            if not window.started <= now < window.ends:
                window.started = now
                window.ends = midnight(now) if window.length == DAY else now + MINUTE
                window.requests, window.tokens = self._requests, self._tokens
        self._began, self._ends = max(minute.started, day.started), min(minute.ends, day.ends)

    def _used(self, length: float, now: float) -> tuple[int, int]:
        """Return the requests and the tokens of the window of a length."""
        self._renew(now)
        window = self._day if length == DAY else self._minute
        return self._requests - window.requests, self._tokens - window.tokens

    def begin(self, now: float) -> None:
        """Count a request."""
        if not self._began <= now < self._ends:
            self._renew(now)
        self._requests += 1

    def spend(self, now: float, tokens: int) -> None:
        """Count the tokens of a request."""
        if not self._began <= now < self._ends:
            self._renew(now)
        if tokens > 0:
            self._tokens += tokens

    def learn(self, quota: Quota, now: float) -> None:
        """Remember the limit of a day or a minute that a 429 named."""
        length = period(quota)
        if length is not None and quota.value and "PerSecond" not in quota.id:
            self.limits[length, "Token" in quota.id] = quota.value, now

    def too_large(self, now: float, tokens: int) -> int:
        """Return the learnt limit that a prompt of so many tokens exceeds alone, 0 if there is none."""
        return min(
            (
                limit
                for (_, counts_tokens), (limit, learnt_at) in self.limits.items()
                if counts_tokens and tokens > limit and 0 <= now - learnt_at < _LARGE_LIFE
            ),
            default=0,
        )

    def learned(self, now: float) -> list[LearnedLimit]:
        """Return the limits that 429s have named in the last day, and what is used of each."""
        limits = []
        for (length, counts_tokens), (limit, at) in self.limits.items():
            used = self._used(length, now)[counts_tokens]
            if 0 <= now - at < _LIFE:
                limits.append(LearnedLimit(length, counts_tokens, limit, used, at))
        return limits

    def wait(self, now: float, tokens: int) -> float:
        """Return the seconds until one more request of so many tokens is within all known limits.

        A request that exceeds a limit alone waits for an hour after the limit was named. Then it is let through when
        the window is empty: the project may have moved to a higher tier.
        """
        if not self.limits:
            return 0.0
        longest = 0.0
        for (length, counts_tokens), (limit, learnt_at) in list(self.limits.items()):
            if not 0 <= now - learnt_at < _LIFE:
                del self.limits[length, counts_tokens]
                continue
            if counts_tokens and tokens > limit:
                longest = max(longest, learnt_at + _LARGE_LIFE - now)
            requests, used_tokens = self._used(length, now)
            used = used_tokens + tokens if counts_tokens else requests + 1
            if used > limit and (used_tokens or requests):
                ends = self._day.ends if length == DAY else self._minute.ends
                longest = max(longest, ends - now)
        return longest
