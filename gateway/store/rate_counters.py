"""What clients have used of their limits: the protocol, and the counts of one process."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

from gateway.policy.counts import as_count
from gateway.policy.rate_limits import Taken, Window, weigh

_MOST_CLIENTS = 10_000
Wants = Sequence[tuple[Window, int]]


class Counters(Protocol):
    """Counts by client. Never raises; `now` is in seconds since 1970."""

    async def take(self, client: str, wants: Wants, now: float) -> Taken:
        """Count all of it, or nothing when a window has no room."""
        ...

    async def correct(self, client: str, wants: Wants, now: float) -> None:
        """Add what more was used than was taken, or take back; no count falls below 0."""
        ...

    async def enter(self, client: str, limit: int, token: str, now: float) -> bool:
        """Take one of `limit` places; false when there is none."""
        ...

    async def leave(self, client: str, token: str) -> None:
        """Give it back."""
        ...

    async def close(self) -> None: ...


class MemoryCounters:
    """Counts of this process; `share` is the part of each limit that is its own."""

    def __init__(self, share: float = 1.0) -> None:
        self._share = share
        self._used: OrderedDict[str, dict[tuple[str, int], tuple[int, int, int]]] = OrderedDict()
        """By client, and by what is counted in which window: the window's number, its count, the one before."""
        self._inside: dict[str, set[str]] = {}

    async def take(self, client: str, wants: Wants, now: float) -> Taken:
        found = [(self._mine(window), *self._seen(client, window, now), n) for window, n in wants]
        taken = weigh(found, now)
        if taken.blocked is None:
            self._add(client, wants, now)
        return taken

    async def correct(self, client: str, wants: Wants, now: float) -> None:
        self._add(client, wants, now)

    async def enter(self, client: str, limit: int, token: str, now: float) -> bool:
        inside = self._inside.setdefault(client, set())
        if len(inside) >= max(1, int(limit * self._share)) or not limit:
            return False
        inside.add(token)
        return True

    async def leave(self, client: str, token: str) -> None:
        inside = self._inside.get(client, set())
        inside.discard(token)
        if not inside:
            self._inside.pop(client, None)

    async def close(self) -> None:
        """Nothing to let go of."""

    def _mine(self, window: Window) -> Window:
        if self._share == 1.0:
            return window
        limit = max(1, int(window.limit * self._share)) if window.limit else 0
        return Window(window.counted, limit, window.seconds)

    def _seen(self, client: str, window: Window, now: float) -> tuple[int, int]:
        """Used in the window before, and in this one; a clock that goes back a little stays in the newest."""
        index, current, before = self._used.get(client, {}).get((window.counted, window.seconds), (0, 0, 0))
        passed = window.index(now) - index
        return {-1: (before, current), 0: (before, current), 1: (current, 0)}.get(passed, (0, 0))

    def _add(self, client: str, wants: Wants, now: float) -> None:
        for window, n in wants:
            before, current = self._seen(client, window, now)
            mine = self._used.setdefault(client, {})
            key, index = (window.counted, window.seconds), window.index(now)
            newest = mine.get(key, (index, 0, 0))[0]
            mine[key] = newest if newest == index + 1 else index, as_count(current + n), before
        self._used.move_to_end(client)
        if len(self._used) > _MOST_CLIENTS:
            self._used.popitem(last=False)
