"""Two attempts at the same: whichever has something to say first goes on alone, the other ends at once."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Race(Generic[T]):
    """One race; each attempt runs in a task of its own."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[T]] = []
        self.decided = False

    def decide(self) -> None:
        """The attempt that is running now has won. Called before it says anything."""
        if self.decided:
            return
        self.decided = True
        winner = asyncio.current_task()
        for task in self._tasks:
            if task is not winner:
                task.cancel()

    async def run(
        self,
        first: Coroutine[Any, Any, T],
        delay: float,
        second: Callable[[], Coroutine[Any, Any, T] | None],
    ) -> T:
        """The winner's result, or the error of the first when both fail. `second` may decline to be run."""
        self._tasks = [asyncio.create_task(first)]
        try:
            await asyncio.wait(self._tasks, timeout=delay)
            if not self.decided and not self._tasks[0].done():
                other = second()
                if other is not None:
                    self._tasks.append(asyncio.create_task(other))
            return await self._winner()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _winner(self) -> T:
        pending: set[asyncio.Task[T]] = set(self._tasks)
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if not task.cancelled() and task.exception() is None:
                    return task.result()
        failed = [task for task in self._tasks if not task.cancelled()]
        return (failed or self._tasks)[0].result()
