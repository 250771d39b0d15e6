"""Two attempts at the same call: the first that has an answer continues alone, the other is cancelled."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from gateway.exchange.side_by_side import end_all

T = TypeVar("T")


class Race(Generic[T]):
    """One race; each attempt runs in a task of its own."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[T]] = []
        self.decided = False

    def decide(self) -> None:
        """Let the attempt of the current task win. It calls this before it sends anything to the client."""
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
        """Run `first`, and what `second` returns when `first` is silent for `delay` seconds.

        Return the winner's result. Raise the error of `first` when both fail. `second` may return None for no attempt.
        """
        self._tasks = [asyncio.create_task(first)]
        try:
            await asyncio.wait(self._tasks, timeout=delay)
            if not self.decided and not self._tasks[0].done():
                hedge = second()
                if hedge is not None:
                    self._tasks.append(asyncio.create_task(hedge))
            return await self._winner()
        finally:
            await end_all(self._tasks)
            self._tasks = []  # their errors refer to the attempts, and those to the race

    async def _winner(self) -> T:
        pending: set[asyncio.Task[T]] = set(self._tasks)
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if not task.cancelled() and task.exception() is None:
                    return task.result()
        failed = [task for task in self._tasks if not task.cancelled()]
        return (failed or self._tasks)[0].result()
