"""Tasks of work in progress."""

import asyncio

from gateway.exchange.running_tasks import RunningTasks


async def test_it_is_used_as_a_set_of_tasks() -> None:
    running, task = RunningTasks(), asyncio.ensure_future(asyncio.sleep(0))
    running.add(task)
    running.discard(task)
    running.discard(task)
    assert not running
    running.add(task)

    assert (list(running), running[task]) == ([task], None)
    await task
