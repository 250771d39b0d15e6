"""Counters of what clients have used of their limits: the protocol, and counters of one process."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from gateway.policy.bounded import BoundedMapping
from gateway.policy.clients.rate_limits import Taken, Window, WindowState, room, weigh
from gateway.policy.counts import MAX_COUNT, as_count

_MAX_CLIENTS = 10_000
Wants = Sequence[tuple[Window, int]]
Count = tuple[int, int, int]
"""Number of a window, its count, and the count of the one before."""


class Counters(Protocol):
    """Counters by client. Methods never raise; `now` is in seconds since 1970."""

    is_local: bool
    """Whether all is in this process: then no method waits, and none can be cancelled in the middle."""

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
    is_local = True

    def __init__(self, share: float = 1.0) -> None:
        self._share = share
        self._used: BoundedMapping[str, dict[tuple[str, int], Count]] = BoundedMapping(_MAX_CLIENTS)
        """By client, and by what is counted in how many seconds."""
        self._inside: dict[str, set[str]] = {}
        """Tokens of the places taken, by client."""

    async def take(self, client: str, wants: Wants, now: float) -> Taken:
        counters = self._used.get(client)
        if counters is None:
            counters = {}
        states: tuple[WindowState, ...] = ()
        counts: list[tuple[tuple[str, int], Count]] = []
        for window, n in wants:
            if self._share != 1.0:
                window = self._share_of(window)
            seconds = window.seconds
            kind = window.counted, seconds
            count, index = counters.get(kind), int(now // seconds)
            if count is None or count[0] != index:
                count = _moved(count, index)
            index, current, before = count
            state = room(window, before, current, n, now)
            if state is None:
                return self._blocked(counters, wants, now)
            states += (state,)
            total = current + n
            counts.append((kind, (index, total if total <= MAX_COUNT else MAX_COUNT, before)))
        if not counters:
            self._used[client] = counters
        counters.update(counts)
        return Taken(states)

    def _blocked(self, counters: Mapping[tuple[str, int], Count], wants: Wants, now: float) -> Taken:
        """Return the result where a window has no room."""
        amounts = []
        for window, n in wants:
            counter = counters.get((window.counted, window.seconds))
            _, current, before = _moved(counter, int(now // window.seconds))
            amounts.append((window if self._share == 1.0 else self._share_of(window), before, current, n))
        return weigh(amounts, now)

    async def correct(self, client: str, wants: Wants, now: float) -> None:
        counters = self._used.get(client)
        if counters is None:
            counters = self._used[client] = {}
        for window, n in wants:
            kind = window.counted, window.seconds
            count, index = counters.get(kind), int(now // window.seconds)
            if count is None or count[0] != index:
                count = _moved(count, index)
            index, current, before = count
            total = current + n
            counters[kind] = index, total if 0 <= total <= MAX_COUNT else as_count(total), before

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
        limit = max(1, int(window.limit * self._share)) if window.limit else 0
        return Window(window.counted, limit, window.seconds)


def _moved(counter: Count | None, index: int) -> Count:
    """Return the counter of the window with a number, which follows from the counter that is kept.

    When the clock was set back by less than a window, the newest window stays in use.
    """
    if counter is None:
        return index, 0, 0
    newest, current, _ = counter
    passed = index - newest
    if passed == 0 or passed == -1:
        return counter
    return (index, 0, current) if passed == 1 else (index, 0, 0)
