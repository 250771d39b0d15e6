"""Deadline and duration of one call of a hook."""

import asyncio
from time import monotonic
from types import TracebackType

from gateway.observability.statistics import Statistics


class HookTimer:
    """An async context manager around one call of a hook. Raises TimeoutError at the deadline.

    The time that the call took is counted in `gateway_hook_duration_seconds`, however it ends.
    """

    def __init__(self, plugin: str, hook: str, deadline: float, statistics: Statistics) -> None:
        """`deadline` is in seconds."""
        self._labels = plugin, hook
        self._limit = asyncio.timeout(deadline)
        self._statistics = statistics
        self._began = 0.0

    async def __aenter__(self) -> None:
        self._began = monotonic()
        await self._limit.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._statistics.hook_took(*self._labels, monotonic() - self._began)
        await self._limit.__aexit__(kind, error, trace)

    def expired(self) -> bool:
        """Return whether the call was ended by its deadline."""
        return self._limit.expired()
