"""Admission control: limits that keep one process healthy."""

from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Protocol

from msgspec import Meta, Struct

from gateway.errors import RateLimited
from gateway.policy.load.memory import MemoryLimit

_REMEMBERED = 33
"""Times from which the pace of freed places is taken."""


class LimitsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Limits of one process."""

    body: Annotated[
        int,
        Meta(
            ge=1024,
            le=2**30,
            description="Largest request body in bytes; `make install` sets it in nginx too.",
        ),
    ] = 32 * 1024 * 1024
    memory: MemoryLimit = 400 * 10**6
    streams: Annotated[
        int,
        Meta(
            ge=1,
            description="Most requests in progress, streamed or not; others wait in the queue, or are answered 429. "
            "A request whose body is still arriving does not count, except for an upload.",
        ),
    ] = 4096
    queue: Annotated[
        int,
        Meta(ge=0, le=100_000, description="Most requests that wait for a place among `streams`; 0: none."),
    ] = 100
    patience: Annotated[
        float,
        Meta(
            gt=0,
            le=60,
            description="Seconds that a request waits for a place at most. One whose turn will hardly come by then is "
            "answered 429 at once.",
        ),
    ] = 0.5
    choices: Annotated[
        int,
        Meta(
            ge=1, le=128, description="Most choices of one answer (`n`); each is a separate call of Gemini."
        ),
    ] = 8


class Turn(Protocol):
    """A wait for a place, such as an asyncio.Future."""

    def done(self) -> bool:
        """Return whether the wait has ended."""

    def set_result(self, result: None, /) -> None:
        """End the wait with a place."""


class Admission:
    """Places for requests in progress, and a short queue for a place.

    A request joins the queue only if places have lately been given back so fast that its turn is likely to come within
    `patience`. So nearly all refusals come at once. `clock` is in seconds.
    """

    def __init__(
        self, limit: int, queue: int = 0, patience: float = 0.0, clock: Callable[[], float] = lambda: 0.0
    ) -> None:
        self._limit = limit
        self._queue_limit = queue
        self.patience = patience
        self._clock = clock
        self._queue: deque[Turn] = deque()
        self._freed: deque[float] = deque(maxlen=_REMEMBERED)
        """Time at which the last place was taken, and times at which places were given back since."""
        self.in_progress = 0
        self.refused: Counter[str] = Counter()
        """Refusals by reason: `places` (at once) and `patience` (after a wait)."""

    @property
    def queued(self) -> int:
        """Requests that wait for a place."""
        return len(self._queue)

    def try_enter(self) -> bool:
        """Take a place. Return False when none is free."""
        if self.in_progress >= self._limit:
            return False
        self.in_progress += 1
        if self.in_progress == self._limit:
            self._freed.clear()
            self._freed.append(self._clock())
        return True

    def enter(self) -> None:
        """Take a place. Raises RateLimited when none is free."""
        if not self.try_enter():
            raise self.refusal("places")

    def check(self) -> None:
        """Raise RateLimited if no place is free, and a wait for one would take too long."""
        if self.in_progress < self._limit:
            return
        if len(self._queue) >= self._queue_limit or self._expected_wait() > self.patience:
            raise self.refusal("places")

    def join(self, turn: Turn) -> None:
        """Wait for a place, which the end of `turn` hands over. Raises RateLimited if that takes too long."""
        self.check()
        self._queue.append(turn)

    def withdraw(self, turn: Turn) -> None:
        """Leave the queue."""
        with suppress(ValueError):
            self._queue.remove(turn)

    def leave(self) -> None:
        """Give a place back, to the first that waits."""
        if self.in_progress >= self._limit:
            self._freed.append(self._clock())
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.in_progress -= 1

    def refusal(self, reason: str) -> RateLimited:
        """Count a refusal, and return the error for it."""
        self.refused[reason] += 1
        error = RateLimited(
            f"The gateway is overloaded: {self._limit} requests are in progress. Please try again later.",
            code="gateway_overloaded",
            retry_after=1,
        )
        error.refused_by = f"limits.streams {self.in_progress}/{self._limit}"
        return error

    def _expected_wait(self) -> float:
        """Return the seconds until the next place that is not yet spoken for, by the pace of the last ones."""
        if not self._freed:
            return 0.0
        pace = (self._clock() - self._freed[0]) / max(1, len(self._freed) - 1)
        return pace * (len(self._queue) + 1)

    def __enter__(self) -> None:
        self.enter()

    def __exit__(self, *_: object) -> None:
        self.leave()
