"""Cost by day, read rarely."""

from pathlib import Path
from threading import Event
from time import monotonic, time
from typing import Any

import sqlalchemy as sa

from gateway.console.spending import DAY, DAYS, Spending
from gateway.store.ledger.tables import attempt, open_engine
from tests.support.waiting import eventually


def insert(engine: sa.Engine, number: int, at: float) -> None:
    row = {
        "id": str(number), "at": at, "request_id": "r", "client": "c", "project": "p", "model": "m", "surface": "s",
        "reserved": "[]", "micros": 1000,
    }  # fmt: skip
    with engine.begin() as connection:
        connection.execute(attempt.insert(), row)


async def test_thirty_days_are_read_once_and_today_again(tmp_path: Path, monkeypatch: Any) -> None:
    engine, now = open_engine(str(tmp_path / "l.db"), None), time()
    today = int(now // DAY) * DAY
    for number, at in enumerate((today - 40 * DAY, today - 3 * DAY, today - 3 * DAY + 5, today + 1)):
        insert(engine, number, at)
    spending = Spending(lambda: engine)
    first = await spending.days()
    insert(engine, 9, today + 2)
    insert(engine, 10, today - 3 * DAY)
    same = await spending.days()
    monkeypatch.setattr("gateway.console.spending._TODAY_AGE", 0)
    later = await spending.days()
    engine.dispose()

    assert first is not None
    assert later is not None
    assert len(first) == DAYS
    assert (first[today - 3 * DAY], first[today]) == ((2000, 2), (1000, 1))
    assert same == first
    assert (later[today - 3 * DAY], later[today]) == ((2000, 2), (2000, 2))


async def test_without_a_ledger_and_with_one_that_is_down(tmp_path: Path) -> None:
    assert await Spending(lambda: None).days() is None
    broken = sa.create_engine(f"sqlite:///{tmp_path}/nowhere/l.db")
    spending = Spending(lambda: broken)

    assert await spending.days() is None
    assert spending.failed


async def test_a_slow_ledger_is_not_waited_for(tmp_path: Path, monkeypatch: Any) -> None:
    engine, answered = open_engine(str(tmp_path / "l.db"), None), Event()
    monkeypatch.setattr("gateway.store.ledger.reports.daily", lambda *_: answered.wait(20) and {})
    monkeypatch.setattr("gateway.console.spending.WAIT", 0.03)
    spending = Spending(lambda: engine)
    begin = monotonic()
    first = await spending.days()
    waited = monotonic() - begin
    answered.set()
    await eventually(lambda: spending._reading is None)

    assert (first, len(await spending.days() or {})) == (None, DAYS)
    assert waited < 2
    engine.dispose()
