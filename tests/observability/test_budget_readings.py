"""Budgets are read for the metrics now and then, and a scrape does not wait long for them."""

import asyncio

import pytest

from gateway.observability.budget_readings import BudgetReadings
from gateway.policy.clients.budgets import Budget, BudgetUse

USE = BudgetUse("carl", Budget("tokens", "day", 10), 9)


async def test_without_a_ledger_there_is_nothing_to_read() -> None:
    readings = BudgetReadings()
    await readings.refresh()

    assert readings.last == ()


async def test_a_reading_is_used_for_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    readings, now, reads = BudgetReadings(), 100.0, 0
    monkeypatch.setattr("gateway.observability.budget_readings.monotonic", lambda: now)

    async def read() -> list[BudgetUse]:
        nonlocal reads
        reads += 1
        return [USE._replace(spent=reads)]

    readings.read = read
    await asyncio.gather(*(readings.refresh() for _ in range(3)))
    now += 9
    await readings.refresh()
    assert (reads, [use.spent for use in readings.last]) == (1, [1])

    now += 1
    await readings.refresh()
    assert (reads, [use.spent for use in readings.last]) == (2, [2])


async def test_a_database_that_fails_or_hangs_leaves_the_last_reading(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.observability.budget_readings._AGE", -1.0)
    monkeypatch.setattr("gateway.observability.budget_readings._WAIT", 0.01)
    readings, answer, reads = BudgetReadings(), asyncio.Event(), 0

    async def read() -> list[BudgetUse]:
        nonlocal reads
        reads += 1
        if reads == 2:
            raise OSError("gone")
        if reads == 3:
            await answer.wait()
        return [USE._replace(spent=reads)]

    readings.read = read
    for _ in range(4):  # the last two wait for one reading
        await readings.refresh()
    assert (reads, [use.spent for use in readings.last]) == (3, [1])

    answer.set()
    await readings.refresh()
    assert [use.spent for use in readings.last] == [3]
