"""Counters of what clients have used of their limits: the protocol, and counters of one process."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from gateway.policy.bounded import BoundedMapping
from gateway.policy.clients.rate_limits import Taken, Window, WindowState, room, weigh
from gateway.policy.counts import MAX_COUNT, as_count

_MAX_CLIENTS = 10_000
Count = tuple[float, int, int]
"""Number of a window, its count, and the count of the one before."""


class Counters(Protocol):
    """Counters by client. Methods never raise; `now` is in seconds since 1970."""

    @property
    def local(self) -> "MemoryCounters | None":
        """The counters, if all are in this process: their plain functions never wait, so that nothing cancels them."""
        ...

    @property
    def errors(self) -> int:
        """Calls of a shared store that have failed."""
        ...

    async def take(self, client: str, windows: Sequence[Window], n: int, now: float) -> Taken:
        """Count `n` in all windows, or in none if one has no room for it."""
        ...

    async def correct(self, client: str, windows: Sequence[Window], change: int, now: float) -> None:
        """Add a difference, positive or negative, to what was taken. No counter falls below 0."""
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
        self.local = self
        self._share = share
        self._used: BoundedMapping[str, dict[tuple[str, int], Count]] = BoundedMapping(_MAX_CLIENTS)
        """By client, and by what is counted in how many seconds."""
        self._inside: dict[str, set[str]] = {}
        """Tokens of the places taken, by client."""

    async def take(self, client: str, windows: Sequence[Window], n: int, now: float) -> Taken:
        return self.take_now(client, windows, n, now)

    async def correct(self, client: str, windows: Sequence[Window], change: int, now: float) -> None:
        self.correct_now(client, windows, change, now)

    def take_now(self, client: str, windows: Sequence[Window], n: int, now: float) -> Taken:
        """Count `n` in all windows, or in none if one has no room for it."""
        if self._share != 1.0:
            windows = [self._share_of(window) for window in windows]
        counters = self._used.get(client)
        if counters is None:
            counters = {}
        states: list[WindowState] = []
        counts: list[tuple[tuple[str, int], Count]] = []
        for window in windows:
            seconds = window.seconds
            kind, index = (window.counted, seconds), now // seconds
            count = counters.get(kind)
            if count is None or count[0] != index:
                count = _moved(count, index)
            index, current, before = count
            state = room(window, before, current, n, now)
            if state is None:
                return _blocked(counters, windows, n, now)
            states.append(state)
            total = current + n
            counts.append((kind, (index, total if total <= MAX_COUNT else MAX_COUNT, before)))
        if not counters:
            self._used[client] = counters
        counters.update(counts)
        return Taken(tuple(states))

    def correct_now(self, client: str, windows: Sequence[Window], change: int, now: float) -> None:
        """Add a difference, positive or negative, to what was taken. No counter falls below 0."""
        counters = self._used.get(client)
        if counters is None:
            counters = self._used[client] = {}
        for window in windows:
            seconds = window.seconds
            kind, index = (window.counted, seconds), now // seconds
            count = counters.get(kind)
            if count is None or count[0] != index:
                count = _moved(count, index)
            index, current, before = count
            total = current + change
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


def _blocked(
    counters: Mapping[tuple[str, int], Count], windows: Sequence[Window], n: int, now: float
) -> Taken:
    """Return the result where a window has no room."""
    amounts = []
    for window in windows:
        _, current, before = _moved(counters.get((window.counted, window.seconds)), now // window.seconds)
        amounts.append((window, before, current, n))
    return weigh(amounts, now)


def _moved(counter: Count | None, index: float) -> Count:
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
