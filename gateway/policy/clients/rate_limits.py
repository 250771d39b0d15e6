"""Rate limits of clients per minute and per day, by sliding windows.

The use in the previous window counts as far as that window overlaps the last 60 seconds (or the last day), so that a
minute that begins anywhere holds little more than the limit
(https://blog.cloudflare.com/counting-things-a-lot-of-different-things/).
"""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct, structs

from gateway.policy.counts import as_count

Counted = Literal["requests", "tokens"]
_HEADERS: Mapping[Counted, tuple[str, str, str]] = {
    "requests": (
        "x-ratelimit-limit-requests",
        "x-ratelimit-remaining-requests",
        "x-ratelimit-reset-requests",
    ),
    "tokens": ("x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
}
"""Headers with the limit, the rest, and the time until it is whole again."""
_LINES = {
    counted: (f"{limit}: ", f"\r\n{remaining}: ", f"\r\n{reset}: ")
    for counted, (limit, remaining, reset) in _HEADERS.items()
}


class Window(Struct, frozen=True, gc=False):
    """A limit: so many requests or tokens in so many seconds."""

    counted: Counted
    limit: int
    seconds: int
    kind: str = ""
    """Name of the count and the seconds, such as `tokens/60`: limits of one kind share a counter."""

    def __post_init__(self) -> None:
        structs.force_setattr(self, "kind", sys.intern(f"{self.counted}/{self.seconds}"))

    def index(self, now: float) -> int:
        """Return the number of the window that contains `now`."""
        return int(now // self.seconds)


class WindowState(Struct, frozen=True, gc=False):
    """The rest of a limit, for the `x-ratelimit-*` headers. `reset` is in seconds."""

    window: Window
    remaining: int
    reset: float


class Taken(Struct, frozen=True, gc=False):
    """Result of taking from limits.

    `blocked` is None, or the full window, which has room again after `retry_after` seconds. `used` is its use,
    and `wanted` what did not fit.
    """

    states: tuple[WindowState, ...]
    blocked: Window | None = None
    retry_after: float = 0.0
    used: int = 0
    wanted: int = 0


def windows(counted: Counted, minute: int | None, day: int | None) -> tuple[Window, ...]:
    """Return the limits of a minute and of a day, as far as they are set."""
    limits = {60: minute, 86400: day}
    return tuple(Window(counted, limit, seconds) for seconds, limit in limits.items() if limit is not None)


def weigh(wants: Sequence[tuple[Window, int, int, int]], now: float) -> Taken:
    """Decide on (window, use in the previous window, use in this one, wanted) for each: all are allowed, or none.
    `retry_after` and `reset` are at most twice the window's seconds, even if the clock jumps.
    """
    states: list[WindowState] = []
    blocked, longest, full, lacking = None, 0.0, 0, 0
    for window, before, current, wanted in wants:
        before, current = as_count(before), as_count(current)
        state = room(window, before, current, wanted, now)
        if state is None:
            elapsed = now / window.seconds % 1.0
            used = before * (1 - elapsed) + current
            wait = _wait(window, before, current, wanted, elapsed)
            if wait >= longest:
                blocked, longest, full, lacking = window, wait, math.ceil(used), wanted
            state = WindowState(window, max(0, math.floor(window.limit - used - wanted)), wait)
        states.append(state)
    return Taken(tuple(states), blocked, longest, full, lacking)


def room(window: Window, before: int, current: int, wanted: int, now: float) -> WindowState | None:
    """Return the rest of a limit after `wanted` is taken from it, None if there is no room for that."""
    seconds, limit = window.seconds, window.limit
    reset = seconds - now % seconds
    used = before * (reset / seconds) + current + wanted if before else current + wanted
    return None if used > limit else WindowState(window, int(limit - used), reset)


def limit_headers(states: Sequence[WindowState]) -> dict[str, str]:
    """Return OpenAI's `x-ratelimit-*` headers, which describe the minute or the day, whichever has less left.

    https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
    """
    headers: dict[str, str] = {}
    for state in _tightest(states):
        window = state.window
        limit, remaining, reset = _HEADERS[window.counted]
        headers[limit] = str(window.limit)
        headers[remaining] = str(state.remaining)
        headers[reset] = f"{state.reset:.3f}s"
    return headers


def limit_lines(states: Sequence[WindowState]) -> str:
    """Return `limit_headers` as lines of a head."""
    lines = ""
    for state in _tightest(states):
        window = state.window
        limit, remaining, reset = _LINES[window.counted]
        lines += f"{limit}{window.limit}{remaining}{state.remaining}{reset}{state.reset:.3f}s\r\n"
    return lines


def _tightest(states: Sequence[WindowState]) -> Sequence[WindowState]:
    """Return the state to describe of requests and of tokens, in this order."""
    if len(states) == 2 and states[0].window.counted != states[1].window.counted:
        return states if states[0].window.counted == "requests" else states[::-1]
    # the states of all attempts of a request, in order: the last one counts
    last: dict[tuple[str, int], WindowState] = {}
    for state in states:
        last[state.window.counted, state.window.seconds] = state
    tightest = []
    for counted in _HEADERS if last else ():
        minute, day = last.get((counted, 60)), last.get((counted, 86400))
        tight = day if minute is None or (day is not None and day.remaining < minute.remaining) else minute
        if tight is not None:
            tightest.append(tight)
    return tightest


def _wait(window: Window, before: int, current: int, wanted: int, elapsed: float) -> float:
    """Return the seconds until `wanted` fits.

    The use of the previous window fades until this window ends; then the use of this one fades.
    """
    room = window.limit - wanted
    if room >= current and before:
        return (1 - (room - current) / before - elapsed) * window.seconds
    faded = 1 - room / current if current and room > 0 else 1.0
    return (1 - elapsed + faded) * window.seconds
