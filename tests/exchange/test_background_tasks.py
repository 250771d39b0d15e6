"""Background tasks of plugins: restarted when they fail, cancelled at the end."""

import asyncio
from typing import Any

import pytest

from gateway.exchange.background_tasks import BackgroundTasks
from gateway.observability.statistics import Statistics


async def test_o20_a_task_that_fails_is_started_again_and_told(caplog: pytest.LogCaptureFixture) -> None:
    statistics, done, attempts = Statistics(), asyncio.Event(), []
    tasks = BackgroundTasks(statistics, wait=0.001)

    async def work() -> None:
        attempts.append(1)
        if len(attempts) == 1:
            raise KeyError("a client's text")
        if len(attempts) == 2:
            raise asyncio.CancelledError  # of something that it waited for
        done.set()
        await asyncio.Event().wait()

    tasks.start("acme writer", work)
    await done.wait()

    assert statistics.task_failures == {("acme writer",): 2}
    assert statistics.tasks_up == {("acme writer",): 1}
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [
        "background task acme writer failed: KeyError; it is started again in 0.001 s",
        "background task acme writer failed: CancelledError; it is started again in 0.002 s",
    ]
    await tasks.stop()
    assert statistics.tasks_up == {}


async def test_o20_a_task_that_waits_for_its_restart_is_down_and_can_be_stopped() -> None:
    statistics = Statistics()
    tasks = BackgroundTasks(statistics, wait=60)

    async def work() -> None:
        raise OSError

    task = tasks.start("acme", work)
    while not statistics.task_failures:
        await asyncio.sleep(0)

    assert statistics.tasks_up == {("acme",): 0}
    await tasks.stop()
    assert task.cancelled()


async def test_work_that_returns_is_done() -> None:
    statistics = Statistics()
    tasks = BackgroundTasks(statistics)

    async def work() -> Any:
        return 1

    await tasks.start("once", work)

    assert (statistics.tasks_up, statistics.task_failures) == ({}, {})
    await tasks.start("once", work)  # the name is free again


async def test_a_name_is_used_once() -> None:
    tasks = BackgroundTasks(Statistics())
    tasks.start("x", asyncio.Event().wait)
    with pytest.raises(ValueError, match="'x' runs already"):
        tasks.start("x", asyncio.Event().wait)
    await tasks.stop()
