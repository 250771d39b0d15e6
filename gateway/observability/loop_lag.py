"""Event-loop lag: the delay that a blocking callback causes for every request."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import monotonic

PERIOD = 0.5
"""Seconds between samples."""
_WINDOW = 60.0
"""Seconds for which a sample counts; longer than Prometheus's usual scrape interval."""


class LoopLag:
    """Sampler that compares each sleep with its intended length. `clock` and `sleep` are in seconds."""

    # Not loop.time(): it stands still while a callback runs, and uvloop's has a resolution of 1 ms.
    def __init__(
        self,
        clock: Callable[[], float] = monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._samples: deque[tuple[float, float]] = deque()
        """Time and lag of each sample, in seconds."""

    @property
    def largest(self) -> float:
        """Maximum lag in the last minute, in seconds."""
        return max((lag for _, lag in self._samples), default=0.0)

    @asynccontextmanager
    async def sampling(self) -> AsyncIterator[None]:
        """Sample while the context is open."""
        task = asyncio.create_task(self.sample(), name="loop lag")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def sample(self) -> None:
        """Sample until cancelled."""
        while True:
            began = self._clock()
            await self._sleep(PERIOD)
            now = self._clock()
            self._samples.append((now, max(0.0, now - began - PERIOD)))
            while self._samples[0][0] < now - _WINDOW:
                self._samples.popleft()
