"""What Google's quotas mean: their periods, when a day of theirs ends, and ceilings learnt from what a 429 said."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from gateway.errors import GatewayError, Quota, RateLimited

DAY = 86400.0
MINUTE = 60.0
_PACIFIC = ZoneInfo("America/Los_Angeles")
_BELIEVED = DAY
"""Seconds that a ceiling is believed; tiers change."""


def period(quota: Quota) -> float | None:
    """Seconds of a quota's window, by its id; None for one that does not say."""
    if "PerDay" in quota.id:
        return DAY
    return MINUTE if "PerMinute" in quota.id or "PerSecond" in quota.id else None


def cause(error: GatewayError) -> str:
    """Why a call of Gemini failed: our code, but `quota_per_minute` or `quota_per_day` where Google says which.

    A quota of nothing at all is no matter of minutes: `insufficient_quota`, as without credit.
    """
    if isinstance(error, RateLimited):
        periods = {period(quota) for quota in error.quotas}
        if DAY in periods:
            return "quota_per_day"
        if MINUTE in periods and not any(quota.value == 0 for quota in error.quotas):
            return "quota_per_minute"
    return error.code or "unknown"


def midnight(now: float) -> float:
    """When quotas per day begin anew: the next midnight in California, 23 to 25 hours apart when clocks change."""
    here = datetime.fromtimestamp(now, _PACIFIC)
    tomorrow = datetime.combine(here.date() + timedelta(days=1), datetime.min.time(), _PACIFIC)
    return tomorrow.timestamp()


class _Window:
    """What was used since a window began."""

    __slots__ = ("ends", "requests", "started", "tokens")

    def __init__(self) -> None:
        self.started = self.ends = 0.0
        self.requests = self.tokens = 0

    def turn(self, now: float, length: float) -> None:
        """Begin anew when it is over, or when the clock went back."""
        if self.started <= now < self.ends:
            return
        self.started = now
        self.ends = midnight(now) if length == DAY else now + length
        self.requests = self.tokens = 0


class LearnedQuotas:
    """Counts one project's use of one model, against the limits that a 429 has told: so that the next is avoided."""

    __slots__ = ("_known", "_windows")

    def __init__(self) -> None:
        self._known: dict[tuple[float, bool], tuple[int, float]] = {}
        """Limit and when it was told, by window length and whether it counts tokens."""
        self._windows = {MINUTE: _Window(), DAY: _Window()}

    def begin(self, now: float) -> None:
        """A request goes out."""
        for length, window in self._windows.items():
            window.turn(now, length)
            window.requests += 1

    def spend(self, now: float, tokens: int) -> None:
        """Its tokens are known."""
        for length, window in self._windows.items():
            window.turn(now, length)
            window.tokens += max(0, tokens)

    def learn(self, quota: Quota, now: float) -> None:
        """Google told a limit."""
        length = period(quota)
        if length is not None and quota.value:
            self._known[length, "Token" in quota.id] = quota.value, now

    def wait(self, now: float, tokens: int) -> float:
        """Seconds until one more request, of so many tokens, is within all that is known."""
        longest = 0.0
        for (length, counts_tokens), (limit, told) in list(self._known.items()):
            if not 0 <= now - told < _BELIEVED:
                del self._known[length, counts_tokens]
                continue
            window = self._windows[length]
            window.turn(now, length)
            used = window.tokens + tokens if counts_tokens else window.requests + 1
            if used > limit and (window.tokens or window.requests):
                longest = max(longest, window.ends - now)
        return longest
