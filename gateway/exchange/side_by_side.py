"""Calls of one request that run at the same time."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from gateway.errors import forget_frames

T = TypeVar("T")


async def side_by_side(calls: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Return all results, in order. The first call that fails ends the others."""
    tasks = [asyncio.create_task(call) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    finally:
        await end_all(tasks)


async def end_all(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel what is not done, wait for it, and free what the errors of the tasks hold."""
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, BaseException):
            forget_frames(result)
