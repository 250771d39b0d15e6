"""Counters of what clients have used of their limits: the protocol, and counters of one process."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from gateway.policy.bounded import BoundedMapping
from gateway.policy.clients.rate_limits import Taken, Window, WindowState, room, weigh
from gateway.policy.counts import MAX_COUNT, as_count

_MAX_CLIENTS = 10_000


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


class _Use:
    """Use of one window, and of the one before."""

    __slots__ = ("before", "begins", "current", "ends")

    def __init__(self, begins: float, ends: float, before: int = 0) -> None:
        self.begins, self.ends = begins, ends
        self.before, self.current = before, 0


class MemoryCounters:
    """Counters of this process. `share` is the part of each limit that it may use."""

    errors = 0

    def __init__(self, share: float = 1.0) -> None:
        self.local = self
        self._share = share
        self._used: BoundedMapping[str, dict[str, _Use]] = BoundedMapping(_MAX_CLIENTS)
        """By client, and by the kind of the window."""
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
        uses = self._used.get(client)
        if uses is None:
            uses = {}
        states: list[WindowState] = []
        counted: list[tuple[str, _Use]] = []
        for window in windows:
            kind = window.kind
            use = uses.get(kind)
            if use is None or not use.begins <= now < use.ends:
                use = _current(use, window.seconds, now)
            state = room(window, use.before, use.current, n, now)
            if state is None:
                return _blocked(uses, windows, n, now)
            states.append(state)
            counted.append((kind, use))
        if not uses:
            self._used[client] = uses
        for kind, use in counted:
            use.current = min(use.current + n, MAX_COUNT)
            uses[kind] = use
        return Taken(tuple(states))

    def correct_now(self, client: str, windows: Sequence[Window], change: int, now: float) -> None:
        """Add a difference, positive or negative, to what was taken. No counter falls below 0."""
        uses = self._used.get(client)
        if uses is None:
            uses = self._used[client] = {}
        for window in windows:
            use = uses.get(window.kind)
            if use is None or not use.begins <= now < use.ends:
                use = uses[window.kind] = _current(use, window.seconds, now)
            total = use.current + change
            use.current = total if 0 <= total <= MAX_COUNT else as_count(total)

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


def _blocked(uses: Mapping[str, _Use], windows: Sequence[Window], n: int, now: float) -> Taken:
    """Return the result where a window has no room."""
    current = [_current(uses.get(window.kind), window.seconds, now) for window in windows]
    return weigh(
        [(window, use.before, use.current, n) for window, use in zip(windows, current, strict=True)], now
    )


def _current(use: _Use | None, seconds: int, now: float) -> _Use:
    """Return the use of the window that contains `now`, which follows from the use that is kept.

    When the clock was set back by less than a window, the newest window stays in use.
    """
    begins = now // seconds * seconds
    if use is None:
        return _Use(begins, begins + seconds)
    passed = round((begins - use.begins) / seconds)
    if passed == 0 or passed == -1:
        return use
    return _Use(begins, begins + seconds, before=use.current if passed == 1 else 0)
