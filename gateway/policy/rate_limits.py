"""How much a client may ask in a minute and in a day, by sliding windows: what was used in the window before counts as
far as it still reaches into the last 60 seconds, so that no minute of any beginning holds much more than the limit.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from msgspec import Struct

from gateway.policy.access import Rules
from gateway.policy.ledger import whole

Counted = Literal["requests", "tokens"]


class Window(Struct, frozen=True):
    """A limit: so many of something in so many seconds."""

    counted: Counted
    limit: int
    seconds: int

    def index(self, now: float) -> int:
        """The number of the window that holds `now`."""
        return math.floor(now / self.seconds)


class WindowState(Struct, frozen=True):
    """What is left, for `x-ratelimit-*`; `reset` is in seconds."""

    window: Window
    remaining: int
    reset: float


class Taken(Struct, frozen=True):
    """Whether something was allowed; if not, which window refused it and how many seconds to wait."""

    states: tuple[WindowState, ...]
    blocked: Window | None = None
    retry_after: float = 0.0


def windows(rules: Rules, counted: Counted) -> Sequence[Window]:
    """A client's windows."""
    if counted == "requests":
        return _windows(counted, rules.requests_per_minute, rules.requests_per_day)
    return _windows(counted, rules.tokens_per_minute, rules.tokens_per_day)


@lru_cache(1024)
def _windows(counted: Counted, minute: int | None, day: int | None) -> tuple[Window, ...]:
    limits = {60: minute, 86400: day}
    return tuple(Window(counted, limit, seconds) for seconds, limit in limits.items() if limit is not None)


def weigh(wants: Sequence[tuple[Window, int, int, int]], now: float) -> Taken:
    """Decide on (window, used in the window before, used in this one, wanted) for each: all are allowed, or none.

    Nothing is ever more than two of its windows away, whatever the clock does.
    """
    states, blocked, longest = [], None, 0.0
    for window, before, current, wanted in wants:
        passed = min(1.0, max(0.0, now / window.seconds - window.index(now)))
        used = whole(before) * (1 - passed) + whole(current)
        reset = (1 - passed) * window.seconds
        if used + wanted > window.limit:
            reset = wait = _wait(window, whole(before), whole(current), wanted, passed)
            if wait >= longest:
                blocked, longest = window, wait
        left = max(0, math.floor(window.limit - used - wanted))
        states.append(WindowState(window, left, reset))
    return Taken(tuple(states), blocked, longest)


def limit_headers(states: Sequence[WindowState]) -> dict[str, str]:
    """OpenAI's `x-ratelimit-*`: of what is counted by minute and by day, the window that will be full first."""
    headers: dict[str, str] = {}
    # of one request's attempts the last one counts
    last = {(state.window.counted, state.window.seconds): state for state in states}
    for counted in ("requests", "tokens"):
        minute, day = last.get((counted, 60)), last.get((counted, 86400))
        tightest = day if minute is None or (day is not None and day.remaining < minute.remaining) else minute
        if tightest is not None:
            headers[f"x-ratelimit-limit-{counted}"] = str(tightest.window.limit)
            headers[f"x-ratelimit-remaining-{counted}"] = str(tightest.remaining)
            headers[f"x-ratelimit-reset-{counted}"] = f"{tightest.reset:.3f}s"
    return headers


def _wait(window: Window, before: int, current: int, wanted: int, passed: float) -> float:
    """Seconds until `wanted` fits: while this window lasts the one before fades; after it, this one does."""
    room = window.limit - wanted
    if room >= current and before:
        return (1 - (room - current) / before - passed) * window.seconds
    left = 1 - passed
    fades = 1 - room / current if current and room > 0 else 1.0
    return (left + fades) * window.seconds
