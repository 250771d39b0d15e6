"""Counters of what clients have used of their limits: the protocol, and counters of one process."""

from collections.abc import Sequence
from typing import Protocol

from gateway.policy.bounded import BoundedMapping
from gateway.policy.counts import as_count
from gateway.policy.rate_limits import Taken, Window, weigh

_MAX_CLIENTS = 10_000
Wants = Sequence[tuple[Window, int]]


class Counters(Protocol):
    """Counters by client. Methods never raise; `now` is in seconds since 1970."""

    @property
    def errors(self) -> int:
        """Calls of a shared store that have failed."""
        ...

    async def take(self, client: str, wants: Wants, now: float) -> Taken:
        """Count all amounts, or none if a window has no room for one."""
        ...

    async def correct(self, client: str, wants: Wants, now: float) -> None:
        """Add differences, positive or negative, to what was taken. No counter falls below 0."""
        ...

    async def enter(self, client: str, limit: int, token: str, now: float) -> bool:
        """Take one of `limit` places under a unique token. Return False if there is none."""
        ...

    async def leave(self, client: str, token: str) -> None:
        """Give a place back."""
        ...


class MemoryCounters:
    """Counters of this process. `share` is the part of each limit that it may use."""

    errors = 0

    def __init__(self, share: float = 1.0) -> None:
        self._share = share
        self._used: BoundedMapping[str, dict[tuple[str, int], tuple[int, int, int]]] = BoundedMapping(
            _MAX_CLIENTS
        )
        """By client, and by what is counted in which window: the window's number, its count, the one before."""
        self._inside: dict[str, set[str]] = {}
        """Tokens of the places taken, by client."""

    async def take(self, client: str, wants: Wants, now: float) -> Taken:
        amounts = [(self._share_of(window), *self._counts(client, window, now), n) for window, n in wants]
        taken = weigh(amounts, now)
        if taken.blocked is None:
            self._add(client, wants, now)
        return taken

    async def correct(self, client: str, wants: Wants, now: float) -> None:
        self._add(client, wants, now)

    async def enter(self, client: str, limit: int, token: str, now: float) -> bool:
        places = max(1, int(limit * self._share)) if limit else 0
        if len(self._inside.get(client, ())) >= places:
            return False
        self._inside.setdefault(client, set()).add(token)
        return True

    async def leave(self, client: str, token: str) -> None:
        inside = self._inside.get(client)
        if inside is not None:
            inside.discard(token)
            if not inside:
                del self._inside[client]

    def _share_of(self, window: Window) -> Window:
        if self._share == 1.0:
            return window
        limit = max(1, int(window.limit * self._share)) if window.limit else 0
        return Window(window.counted, limit, window.seconds)

    def _counts(self, client: str, window: Window, now: float) -> tuple[int, int]:
        """Return the counts of the previous window and of this one.

        When the clock was set back by less than a window, the newest window stays in use.
        """
        counter = self._used.get(client, {}).get((window.counted, window.seconds))
        if counter is None:
            return 0, 0
        index, current, before = counter
        passed = window.index(now) - index
        if passed in (-1, 0):
            return before, current
        return (current, 0) if passed == 1 else (0, 0)

    def _add(self, client: str, wants: Wants, now: float) -> None:
        for window, n in wants:
            before, current = self._counts(client, window, now)
            counters = self._used.setdefault(client, {})
            key, index = (window.counted, window.seconds), window.index(now)
            if key in counters and counters[key][0] == index + 1:
                index += 1
            counters[key] = index, as_count(current + n), before
