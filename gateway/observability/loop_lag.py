"""How late the event loop is: everybody waits that long, whoever is to blame."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import monotonic

PERIOD = 0.5
"""Seconds between samples."""
_REMEMBERED = 60.0
"""Seconds; Prometheus looks more often."""


class LoopLag:
    """Sleeps a while and looks how much longer it took. `clock` and `sleep` are in seconds."""

    # the loop's own time stands still while a callback runs, and uvloop's is in whole milliseconds
    def __init__(
        self,
        clock: Callable[[], float] = monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._samples: deque[tuple[float, float]] = deque()
        """When, and how late."""

    @property
    def largest(self) -> float:
        """Seconds, at most, in the last minute."""
        return max((lag for _, lag in self._samples), default=0.0)

    @asynccontextmanager
    async def sampling(self) -> AsyncIterator[None]:
        """Sample as long as the context is open."""
        task = asyncio.create_task(self.sample(), name="loop lag")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def sample(self) -> None:
        """Until cancelled."""
        while True:
            began = self._clock()
            await self._sleep(PERIOD)
            now = self._clock()
            self._samples.append((now, max(0.0, now - began - PERIOD)))
            while self._samples[0][0] < now - _REMEMBERED:
                self._samples.popleft()
