"""The ledger: what was acknowledged is there, whatever happens to the process, the disk or the database."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import time
from typing import Any

import pytest
import sqlalchemy as sa

from gateway.errors import BudgetExceeded
from gateway.gemini.usage import TokenCounts
from gateway.policy.budgets import Budget
from gateway.policy.client_rules import Rules
from gateway.policy.ledger import Intent, LedgerConfig, Settlement
from gateway.store.ledger import client_keys
from gateway.store.ledger.reports import spent, usage
from gateway.store.ledger.tables import attempt, open_engine
from gateway.store.ledger.writer import Ledger, LedgerUnavailable, reconcile
from tests.support.paths import ROOT

POSTGRES = os.environ.get("GATEWAY_TEST_POSTGRES")
"""A database that may be emptied, for the same tests on PostgreSQL (`make test-cluster` gives one)."""
TOTAL = Budget("tokens", "total", 1000)


def intent(number: int, *budgets: Budget, reserve: int = 0, at: float = 1e9) -> Intent:
    return Intent(
        f"{number:032x}", at, "req_1", "key_a", "blue", "gemini-2.5-flash", "chat", reserve, reserve, budgets
    )


def settlement(number: int, tokens: int = 10, micros: int = 7, outcome: Any = "ok") -> Settlement:
    return Settlement(
        f"{number:032x}", 1e9 + 1, outcome, 200, TokenCounts(prompt=tokens), micros, "v", True, 1, 2
    )


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield str(tmp_path / "ledger.db")
        return
    if POSTGRES is None:
        pytest.skip("GATEWAY_TEST_POSTGRES names no database")
    made = sa.create_engine(POSTGRES.replace("postgresql:", "postgresql+psycopg:"))
    with made.begin() as connection:
        for table in ("attempt", "client_key", "budget", "ledger"):
            connection.execute(sa.text(f"DROP TABLE IF EXISTS {table}"))
    made.dispose()
    yield POSTGRES


class Opened:
    """A ledger and what it told."""

    def __init__(self, url: str, **config: Any) -> None:
        self.told: list[str] = []
        self.ledger = Ledger(url, None, LedgerConfig(**config), self.told.append)

    async def __aenter__(self) -> "Opened":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.ledger.close()

    def rows(self) -> list[Any]:
        with self.ledger.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            return list(connection.execute(sa.select(attempt).order_by(attempt.c.id)))


async def test_an_attempt_is_a_row_and_settles_once(url: str) -> None:
    async with Opened(url) as one:
        await one.ledger.begin(intent(1))
        assert [row.outcome for row in one.rows()] == [None]
        await one.ledger.settle(settlement(1))
        await one.ledger.settle(settlement(1, tokens=999, outcome="error"))
        await one.ledger.settle(settlement(404))
        (row,) = one.rows()

    assert (row.outcome, row.prompt, row.micros, row.project) == ("ok", 10, 7, "blue")
    assert one.told == []


async def test_a_budget_is_never_overspent_by_two_hundred_at_once(url: str) -> None:
    async with Opened(url) as one, Opened(url) as other:
        ledgers = (one.ledger, other.ledger)
        found = await asyncio.gather(
            *(ledgers[i % 2].begin(intent(i, TOTAL, reserve=100)) for i in range(200)), return_exceptions=True
        )
        assert sum(result is None for result in found) == 10
        assert {type(result) for result in found} == {type(None), BudgetExceeded}
        assert spent(one.ledger.engine, "key_a", [TOTAL], 1e9) == [(0, 1000)]
        going = [i for i, result in enumerate(found) if result is None]
        for i in going:
            await one.ledger.settle(settlement(i, tokens=30))
        assert spent(one.ledger.engine, "key_a", [TOTAL], 1e9) == [(300, 0)]
        await other.ledger.begin(intent(500, TOTAL, reserve=700))
        with pytest.raises(BudgetExceeded):
            await other.ledger.begin(intent(501, TOTAL, reserve=1))


async def test_all_budgets_or_none(url: str) -> None:
    money = Budget("money", "day", 50)
    async with Opened(url) as one:
        with pytest.raises(BudgetExceeded, match="money budget"):
            await one.ledger.begin(intent(1, TOTAL, money, reserve=60))
        assert spent(one.ledger.engine, "key_a", [TOTAL, money], 1e9) == [(0, 0), (0, 0)]
        await one.ledger.begin(intent(2, TOTAL, money, reserve=50))
        tomorrow = intent(3, money, reserve=50, at=1e9 + 86400)
        await one.ledger.begin(tomorrow)


@pytest.mark.parametrize(("day", "passed"), [(10_000, 10), (500, 5), (50, 0)])
async def test_what_comes_together_is_decided_as_if_it_came_one_by_one(
    url: str, day: int, passed: int
) -> None:
    daily = Budget("tokens", "day", day)
    async with Opened(url) as one:
        begin = one.ledger.begin
        found = await asyncio.gather(
            *(begin(intent(i, TOTAL, daily, reserve=100)) for i in range(20)), return_exceptions=True
        )
        going = [i for i, result in enumerate(found) if result is None]
        assert len(going) == passed
        assert spent(one.ledger.engine, "key_a", [TOTAL, daily], 1e9) == [(0, 100 * passed)] * 2
        await asyncio.gather(*(one.ledger.settle(settlement(i, tokens=i)) for i in going))
        assert spent(one.ledger.engine, "key_a", [TOTAL, daily], 1e9) == [(sum(going), 0)] * 2


async def test_a_midnight_between_two_calls_parts_them(url: str) -> None:
    daily = Budget("tokens", "day", 100)
    today, tomorrow = 1e9, 1e9 + 86400
    async with Opened(url) as one:
        found = await asyncio.gather(
            *(one.ledger.begin(intent(i, daily, reserve=60, at=today + i % 2 * 86400)) for i in range(4)),
            return_exceptions=True,
        )
        assert sum(result is None for result in found) == 2
        for now in (today, tomorrow):
            assert spent(one.ledger.engine, "key_a", [daily], now) == [(0, 60)]


async def test_calls_of_a_dead_process_are_unknown_and_have_cost_what_was_reserved(url: str) -> None:
    async with Opened(url) as one:
        await one.ledger.begin(intent(1, TOTAL, reserve=100))
        await one.ledger.begin(intent(2, TOTAL, reserve=100, at=1e9 + 500))
        assert reconcile(one.ledger.engine, 1e9 + 100, 1e9 + 600) == 1
        assert spent(one.ledger.engine, "key_a", [TOTAL], 1e9) == [(100, 100)]
        assert [row.outcome for row in one.rows()] == ["unknown", None]
        await one.ledger.settle(settlement(1))  # too late
        assert [row.outcome for row in one.rows()] == ["unknown", None]


async def test_sums_by_whatever_is_asked(url: str) -> None:
    async with Opened(url) as one:
        for i in range(4):
            await one.ledger.begin(intent(i, at=1e9 + i * 1800))
            await one.ledger.settle(settlement(i))
        made = one.ledger.engine
        hours = usage(made, 0, 2e9, ["model"], 3600)
        assert [(row.start % 3600, row.calls, row.prompt) for row in hours] == [
            (0, 1, 10),
            (0, 2, 20),
            (0, 1, 10),
        ]
        assert [(row.client, row.micros) for row in usage(made, 0, 2e9, ["client"], only="key_a")] == [
            ("key_a", 28)
        ]
        assert usage(made, 0, 2e9, only="key_b") == []


async def test_issued_keys_live_and_die(url: str) -> None:
    async with Opened(url) as one:
        made = one.ledger.engine
        before = client_keys.revision(made)
        key_id, key = client_keys.issue(made, "ada", Rules(models=("gemini-*",)), 5.0, None)
        (found,) = client_keys.issued(made)
        assert (found.id, found.name, found.rules.models) == (key_id, "ada", ("gemini-*",))
        assert key not in str(client_keys.issued(made))
        assert client_keys.change(made, key_id, Rules())
        assert client_keys.rotate(made, key_id) != key
        assert client_keys.revoke(made, key_id, 9.0)
        assert not client_keys.revoke(made, key_id, 9.0)
        assert client_keys.rotate(made, "key_x") is None
        assert client_keys.revision(made) > before
        assert client_keys.issued(made)[0].fault(10.0) == "revoked"


async def test_p17_a_locked_database_keeps_nobody_waiting(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with Opened(str(path)) as one:
        await one.ledger.begin(intent(0))
        backup = sqlite3.connect(path, isolation_level=None)
        backup.execute("BEGIN EXCLUSIVE")
        for i in range(1, 50):
            await one.ledger.begin(intent(i))
            await one.ledger.settle(settlement(i))
        with pytest.raises(LedgerUnavailable):  # nobody knows what is left of a budget
            await one.ledger.begin(intent(90, TOTAL, reserve=1))
        assert one.ledger.waiting > 90
        backup.execute("ROLLBACK")
        backup.close()
        async with asyncio.timeout(20):
            while one.ledger.waiting:
                await asyncio.sleep(0.02)
        assert len(one.rows()) == 51
        await one.ledger.begin(intent(100))
    assert one.ledger.errors >= 1
    assert len(one.told) == 1
    assert "locked" in one.told[0]


async def test_p13_while_nothing_can_be_written_rows_wait_up_to_their_bound(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with Opened(str(path), buffer=100) as one:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("ALTER TABLE attempt RENAME TO elsewhere")  # every write fails from now on
        for i in range(150):
            await one.ledger.begin(intent(i))
        assert (one.ledger.waiting, one.ledger.dropped) == (100, 50)
        other.execute("ALTER TABLE elsewhere RENAME TO attempt")
        other.close()
        async with asyncio.timeout(20):
            while one.ledger.waiting:
                await asyncio.sleep(0.02)
        assert len(one.rows()) == 100


async def test_p13_an_operator_can_choose_to_stop(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with Opened(str(path), on_failure="stop") as one:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("DROP TABLE attempt")
        other.close()
        with pytest.raises(LedgerUnavailable):
            await one.ledger.begin(intent(1))


FULL = """
import asyncio, resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from tests.store.ledger.test_writer import Opened, intent
async def main():
    async with Opened(sys.argv[1]) as one:
        size = 200_000
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        for i in range(3000):
            await one.ledger.begin(intent(i))
        assert one.ledger.errors, "the disk was never full"
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        while one.ledger.waiting:
            await asyncio.sleep(0.02)
        print(len(one.rows()), len(one.told))
asyncio.run(main())
"""


def child(script: str, *arguments: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_p13_a_full_disk_loses_nothing_once_there_is_room(tmp_path: Path) -> None:
    process = child(FULL, tmp_path / "ledger.db")
    out, _ = process.communicate(timeout=60)

    assert process.returncode == 0
    assert out.split()[0] == "3000"


BUSY = """
import asyncio, sys
from tests.store.ledger.test_writer import Opened, intent, settlement
async def one_of(ledger, i):
    await ledger.begin(intent(i, at=1e9))
    print("+", i, flush=True)
    await ledger.settle(settlement(i))
    print("=", i, flush=True)
async def main():
    async with Opened(sys.argv[1]) as one:
        tasks = set()
        for i in range(int(sys.argv[2]), 10**9):
            task = asyncio.create_task(one_of(one.ledger, i))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            await asyncio.sleep(0.002)
asyncio.run(main())
"""


def test_p10_kill_9_under_load_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    begun: set[int] = set()
    settled: set[int] = set()
    for round_ in range(5):
        process = child(BUSY, path, round_ * 100_000)
        assert process.stdout is not None
        for count, line in enumerate(process.stdout):
            sign, number = line.split()
            (begun if sign == "+" else settled).add(int(number))
            if count > 150 + 60 * round_:
                process.send_signal(signal.SIGKILL)
                break
        rest, _ = process.communicate(timeout=30)
        for line in rest.splitlines():
            if len(line.split()) == 2:
                sign, number = line.split()
                (begun if sign == "+" else settled).add(int(number))
    made = open_engine(str(path), None)
    reconcile(made, 2e9, 2e9)
    with made.connect() as connection:
        rows = {int(row.id, 16): row.outcome for row in connection.execute(sa.select(attempt))}
    made.dispose()

    assert len(begun) > 500
    assert begun - rows.keys() == set()
    assert {number for number in settled if rows[number] != "ok"} == set()
    assert None not in rows.values()


def test_p18_a_corrupt_file_is_moved_aside_and_a_newer_one_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"this is no database" * 1000)
    open_engine(str(path), None).dispose()
    assert (tmp_path / "ledger.db.corrupt").exists()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE ledger SET value = 99 WHERE name = 'version'")
    connection.close()
    with pytest.raises(ValueError, match="newer gateway"):
        open_engine(str(path), None)
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_older_ledger_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    open_engine(str(path), None).dispose()
    with sqlite3.connect(path) as connection:
        connection.execute("ALTER TABLE attempt DROP COLUMN searches")
        connection.execute("UPDATE ledger SET value = 1 WHERE name = 'version'")
    connection.close()
    made = open_engine(str(path), None)
    with made.connect() as found:
        columns = {column["name"] for column in sa.inspect(found).get_columns("attempt")}
        version = found.execute(sa.text("SELECT value FROM ledger WHERE name = 'version'")).scalar_one()
    made.dispose()

    assert columns == set(attempt.c.keys())
    assert version == 2


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE attempt (a)")
    connection.close()
    with pytest.raises(ValueError, match="another program"):
        open_engine(str(path), None)


async def test_old_rows_go(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with Opened(str(path)) as one:
        await one.ledger.begin(intent(1, at=time() - 100 * 86400))
    async with Opened(str(path), days=90) as two:
        await two.ledger.begin(intent(2, at=time()))
        rows = two.rows()
    assert [int(row.id, 16) for row in rows] == [2]
