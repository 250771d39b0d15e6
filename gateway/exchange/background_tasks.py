"""Background tasks of plugins, restarted when they fail."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from time import monotonic

from gateway.errors import forget_frames
from gateway.observability.statistics import Statistics

_LONGEST = 300.0
"""Seconds between two restarts, at most."""
_STEADY = 60.0
"""Seconds after which a task counts as recovered: its next failure is followed by the shortest wait."""


class BackgroundTasks:
    """Tasks that run as long as their application."""

    def __init__(self, statistics: Statistics, wait: float = 1.0) -> None:
        self._statistics = statistics
        self._wait = wait
        """Seconds before the first restart; doubled for each that follows."""
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str, work: Callable[[], Awaitable[object]]) -> asyncio.Task[None]:
        """Run `work`, again after each failure. Raises ValueError for a name that is in use.

        A failure is logged and counted under the name. Work that returns is done and not repeated.
        """
        if name in self._tasks:
            raise ValueError(f"a background task {name!r} runs already")
        task = asyncio.create_task(self._supervise(name, work), name=name)
        self._tasks[name] = task
        task.add_done_callback(lambda _: self._tasks.pop(name, None))
        return task

    async def stop(self) -> None:
        """Cancel all tasks, and wait for their end."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _supervise(self, name: str, work: Callable[[], Awaitable[object]]) -> None:
        up, wait = self._statistics.tasks_up, self._wait
        try:
            while True:
                up[name,] = 1
                began = monotonic()
                try:
                    await work()
                    return
                except asyncio.CancelledError as error:
                    task = asyncio.current_task()
                    if task is None or task.cancelling():
                        raise
                    failure: BaseException = error  # of something that the work waited for
                except Exception as error:  # noqa: BLE001 - code of others
                    failure = error
                if monotonic() - began >= _STEADY:
                    wait = self._wait
                up[name,] = 0
                self._statistics.task_failures[name,] += 1
                logging.getLogger("gateway.plugins").error(
                    "background task %s failed: %s; it is started again in %g s",
                    name, type(failure).__name__, wait, exc_info=failure,
                )  # fmt: skip
                forget_frames(failure)
                await asyncio.sleep(wait)
                wait = min(wait * 2, _LONGEST)
        finally:
            up.pop((name,), None)
