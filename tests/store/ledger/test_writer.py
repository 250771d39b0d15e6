"""The ledger: what was acknowledged is there, whatever happens to the process, the disk or the database."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from time import time

import pytest
import sqlalchemy as sa
from msgspec import structs

from gateway.errors import LedgerUnavailable
from gateway.policy.clients.budgets import Budget
from gateway.store.ledger.reports import spent
from gateway.store.ledger.tables import attempt, open_engine
from gateway.store.ledger.writer import reconcile
from tests.support.ledgers import AT, CLIENT, OpenLedger, intent, settlement
from tests.support.paths import ROOT
from tests.support.waiting import eventually

TOTAL = Budget("tokens", "total", 1000)


async def test_a_call_has_one_row_and_settles_once(url: str) -> None:
    async with OpenLedger(url) as opened:
        await opened.ledger.begin(intent(1))
        assert [row.outcome for row in await opened.rows()] == [None]
        await opened.ledger.settle(settlement(1))
        await opened.ledger.settle(settlement(1, tokens=999, outcome="error"))
        await opened.ledger.settle(settlement(404))
        (row,) = await opened.rows()

    assert (row.outcome, row.prompt, row.micros, row.project) == ("ok", 10, 7, "blue")
    assert opened.messages == []


async def test_a_settlement_without_a_waiting_call_is_written(url: str) -> None:
    async with OpenLedger(url) as opened:
        await opened.ledger.begin(intent(1, TOTAL, reserve=100))
        opened.ledger.note(settlement(1, tokens=30))
        (row,) = await opened.rows()
        assert spent(opened.ledger.engine, CLIENT, [TOTAL], AT) == [(30, 0)]

    assert row.outcome == "ok"


async def test_closing_writes_waiting_rows(url: str) -> None:
    async with OpenLedger(url) as opened:
        await opened.ledger.begin(intent(1))
        opened.ledger.note(settlement(1))
    async with OpenLedger(url) as reopened:
        assert [row.outcome for row in reopened.rows_now()] == ["ok"]


async def test_calls_of_a_dead_process_are_unknown_and_cost_their_reservation(url: str) -> None:
    async with OpenLedger(url) as opened:
        await opened.ledger.begin(intent(1, TOTAL, reserve=100))
        await opened.ledger.begin(intent(2, TOTAL, reserve=100, at=AT + 500))
        assert reconcile(opened.ledger.engine, AT + 100, AT + 600) == 1
        assert spent(opened.ledger.engine, CLIENT, [TOTAL], AT) == [(100, 100)]
        assert [row.outcome for row in await opened.rows()] == ["unknown", None]
        await opened.ledger.settle(settlement(1))  # too late
        assert [row.outcome for row in await opened.rows()] == ["unknown", None]


async def test_a_batch_has_four_days_to_be_read(url: str) -> None:
    async with OpenLedger(url) as opened:
        await opened.ledger.begin(structs.replace(intent(1, TOTAL, reserve=100), surface="batch"))
        assert reconcile(opened.ledger.engine, AT + 3 * 86400, AT + 3 * 86400) == 0
        await opened.ledger.settle(settlement(1, tokens=30))
        assert spent(opened.ledger.engine, CLIENT, [TOTAL], AT) == [(30, 0)]
        await opened.ledger.begin(structs.replace(intent(2, TOTAL, reserve=100), surface="batch"))
        assert reconcile(opened.ledger.engine, AT + 5 * 86400, AT + 5 * 86400) == 1


async def test_a_reservation_that_another_process_gave_back_is_not_given_back_twice(url: str) -> None:
    """Neither is that of a call beside it lost, nor what it cost."""
    async with OpenLedger(url) as opened:
        for number, at in ((1, AT), (2, AT + 500)):
            await opened.ledger.begin(intent(number, TOTAL, reserve=100, at=at))
        assert reconcile(opened.ledger.engine, AT + 100, AT + 600) == 1
        opened.ledger.note(settlement(1, tokens=30))
        opened.ledger.note(settlement(2, tokens=40))
        assert [row.outcome for row in await opened.rows()] == ["unknown", "ok"]
        assert spent(opened.ledger.engine, CLIENT, [TOTAL], AT) == [(140, 0)]
        assert (opened.ledger.errors, opened.ledger.dropped, opened.messages) == (0, 0, [])


async def test_a_reservation_that_is_not_remembered_is_read(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.ledger.writer._MOST_RESERVED", 1)
    async with OpenLedger(url) as opened:
        for number in range(3):
            await opened.ledger.begin(intent(number, TOTAL, reserve=100))
        for number in range(3):
            opened.ledger.note(settlement(number, tokens=number))
        assert [row.outcome for row in await opened.rows()] == ["ok"] * 3
        assert spent(opened.ledger.engine, CLIENT, [TOTAL], AT) == [(3, 0)]


@pytest.mark.row("A7")
async def test_a07_the_row_of_a_call_whose_process_died_has_what_was_reserved(url: str) -> None:
    async with OpenLedger(url) as opened:
        await opened.ledger.begin(intent(1, Budget("money", "total", 1000), TOTAL, reserve=100))
        await opened.ledger.begin(intent(2))
        await opened.written()
        assert reconcile(opened.ledger.engine, AT + 100, AT + 600) == 2
        rows = await opened.rows()

    assert [(row.outcome, row.micros, row.exact) for row in rows] == [
        ("unknown", 100, False),
        ("unknown", 0, False),
    ]


async def test_a_locked_database_keeps_only_clients_with_a_budget_waiting(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with OpenLedger(str(path)) as opened:
        await opened.ledger.begin(intent(0))
        await opened.written()
        with closing(sqlite3.connect(path, isolation_level=None)) as backup:
            backup.execute("BEGIN EXCLUSIVE")
            for i in range(1, 50):
                await opened.ledger.begin(intent(i))
                await opened.ledger.settle(settlement(i))
            with pytest.raises(LedgerUnavailable):
                await opened.ledger.begin(intent(90, TOTAL, reserve=1))
            assert opened.ledger.waiting > 90
            # SQLite gives up after a number of sleeps, which a busy machine prolongs
            await eventually(lambda: opened.ledger.errors)
            backup.execute("ROLLBACK")
        assert len(await opened.rows()) == 51
        await opened.ledger.begin(intent(100))

    assert [message.partition(":")[0] for message in opened.messages] == [
        "The ledger cannot be written",
        "The ledger can be written again. No row was lost.",
    ]


async def test_o22_each_failure_and_its_end_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with OpenLedger(str(path), buffer=100) as opened:
        for lost in (0, 3):
            with closing(sqlite3.connect(path, isolation_level=None)) as backup:
                backup.execute("BEGIN EXCLUSIVE")
                opened.ledger.note(settlement(1))
                await eventually(lambda: opened.messages[-1:] and "cannot be written" in opened.messages[-1])
                for i in range(99 + lost):
                    opened.ledger.note(settlement(i))
                backup.execute("ROLLBACK")
            await eventually(lambda: "written again" in opened.messages[-1])

    assert [message.partition(". ")[2] for message in opened.messages[1::2]] == [
        "No row was lost.",
        "Rows lost since the start: 3.",
    ]
    assert len(opened.messages) == 4
    assert "locked" in opened.messages[0]


async def test_while_nothing_can_be_written_rows_wait_up_to_the_bound(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with OpenLedger(str(path), buffer=100) as opened:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("ALTER TABLE attempt RENAME TO elsewhere")  # every write fails from now on
            for i in range(150):
                await opened.ledger.begin(intent(i))
            assert (opened.ledger.waiting, opened.ledger.dropped) == (100, 50)
            other.execute("ALTER TABLE elsewhere RENAME TO attempt")
        assert len(await opened.rows()) == 100


async def test_an_operator_can_choose_to_stop(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with OpenLedger(str(path), on_failure="stop") as opened:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("DROP TABLE attempt")
        with pytest.raises(LedgerUnavailable) as caught:
            await opened.ledger.begin(intent(1))

    assert (caught.value.status, caught.value.retry_after) == (503, 5)


async def test_old_rows_are_deleted(tmp_path: Path) -> None:
    path = str(tmp_path / "ledger.db")
    async with OpenLedger(path) as opened:
        await opened.ledger.begin(intent(1, at=time() - 100 * 86400))
    async with OpenLedger(path, days=90) as reopened:
        await reopened.ledger.begin(intent(2, at=time()))
        rows = await reopened.rows()

    assert [int(row.id, 16) for row in rows] == [2]


def child(script: str, *arguments: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


FULL_DISK = """
import asyncio, resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from tests.support.ledgers import OpenLedger, intent
async def main():
    async with OpenLedger(sys.argv[1]) as opened:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        for i in range(3000):
            await opened.ledger.begin(intent(i))
        while not opened.ledger.errors:
            await asyncio.sleep(0.01)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        print(len(await opened.rows()))
asyncio.run(main())
"""


def test_a_full_disk_loses_nothing_once_there_is_room(tmp_path: Path) -> None:
    process = child(FULL_DISK, tmp_path / "ledger.db")
    out, _ = process.communicate(timeout=60)

    assert (process.returncode, out.split()) == (0, ["3000"])


BUSY = """
import asyncio, sys
from tests.support.ledgers import OpenLedger, intent, settlement
async def call(ledger, i):
    if await ledger._queue(intent(i), strict=True):  # whether it is committed, which `begin` does not tell
        print("+", i, flush=True)
    if await ledger._queue(settlement(i), strict=True):
        print("=", i, flush=True)
async def main():
    async with OpenLedger(sys.argv[1]) as opened:
        tasks = set()
        for i in range(int(sys.argv[2]), 10**9):
            task = asyncio.create_task(call(opened.ledger, i))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            await asyncio.sleep(0.002)
asyncio.run(main())
"""


def test_kill_9_under_load_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    begun: set[int] = set()
    settled: set[int] = set()

    def acknowledge(line: str) -> None:
        sign, _, number = line.strip().partition(" ")
        if number:  # else the line was cut off
            (begun if sign == "+" else settled).add(int(number))

    for round_ in range(5):
        process = child(BUSY, path, round_ * 100_000)
        assert process.stdout is not None
        for count, line in enumerate(process.stdout):
            acknowledge(line)
            if count > 150 + 60 * round_:
                process.send_signal(signal.SIGKILL)
                break
        rest, _ = process.communicate(timeout=30)
        for line in rest.splitlines()[:-1]:  # the last one may be cut off
            acknowledge(line)
    engine = open_engine(str(path), None)
    reconcile(engine, 2e9, 2e9)
    with engine.connect() as connection:
        rows = {int(row.id, 16): row.outcome for row in connection.execute(sa.select(attempt))}
    engine.dispose()

    assert len(begun) > 500
    assert begun - rows.keys() == set()
    assert {number for number in settled if rows[number] != "ok"} == set()
    assert None not in rows.values()
