"""Waiting for the ledger: for how long, for which calls, and what the process is told meanwhile."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import LedgerUnavailable
from gateway.policy.clients.budgets import Budget
from gateway.policy.ledger import LedgerConfig
from gateway.store.ledger.tables import CorruptLedger
from gateway.store.ledger.writer import Ledger
from tests.support.ledgers import OpenLedger, intent, settlement
from tests.support.waiting import eventually

WRITER = "gateway.store.ledger.writer"
TOTAL = Budget("tokens", "total", 1000)
FOREVER = 1e6


@asynccontextmanager
async def opened_ledger(path: Path, **config: Any) -> AsyncIterator[OpenLedger]:
    """Open a ledger. No callback of the event loop may fail, and nothing may take half a minute."""
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    async with asyncio.timeout(30), OpenLedger(str(path), **config) as opened:
        yield opened
    assert failures == []


@contextmanager
def broken(path: Path) -> Iterator[None]:
    """Make all writes of a ledger fail."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("ALTER TABLE attempt RENAME TO elsewhere")
        yield
        other.execute("ALTER TABLE elsewhere RENAME TO attempt")


async def test_one_call_waits_for_a_database_that_hangs_and_later_ones_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.db"
    monkeypatch.setattr(f"{WRITER}._WAIT", 0.0)
    async with opened_ledger(path) as opened:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            opened.ledger.note(settlement(0))
            await opened.ledger.begin(intent(1))
            monkeypatch.setattr(f"{WRITER}._WAIT", FOREVER)
            for i in range(2, 5):
                await opened.ledger.begin(intent(i))
                await opened.ledger.settle(settlement(i))
            assert opened.ledger.waiting == 8
            other.execute("ROLLBACK")
        await opened.written()
        await opened.ledger.begin(intent(5))
        assert [row.outcome for row in opened.rows_now()] == [None, "ok", "ok", "ok", None]


async def test_a_call_waits_for_its_row_unless_the_database_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.db"
    monkeypatch.setattr(f"{WRITER}._WAIT", FOREVER)
    monkeypatch.setattr(f"{WRITER}._RETRY", 0.01)
    async with opened_ledger(path) as opened:
        await opened.ledger.begin(intent(1))
        assert len(opened.rows_now()) == 1
        with broken(path):
            opened.ledger.note(settlement(1))
            await eventually(lambda: opened.ledger.errors)
            await opened.ledger.begin(intent(2))
            assert opened.ledger.waiting == 2
        await opened.written()
        await opened.ledger.begin(intent(3))
        assert [row.outcome for row in opened.rows_now()] == ["ok", None, None]


async def test_a_call_that_must_be_written_waits_for_longer_than_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.db"
    monkeypatch.setattr(f"{WRITER}._WAIT", 0.0)
    monkeypatch.setattr(f"{WRITER}._STRICT_WAIT", FOREVER)
    monkeypatch.setattr(f"{WRITER}._RETRY", 0.01)
    async with opened_ledger(path) as opened:
        with broken(path):
            strict = asyncio.ensure_future(opened.ledger.begin(intent(1, TOTAL, reserve=1)))
            await opened.ledger.begin(intent(2))
            await eventually(lambda: opened.ledger.errors > 1)
            assert not strict.done()
        await strict
        assert len(await opened.rows()) == 2


@pytest.mark.parametrize(("on_failure", "budgets"), [("serve", [TOTAL]), ("stop", []), ("stop", [TOTAL])])
async def test_a_call_that_must_be_written_is_refused_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_failure: str, budgets: list[Budget]
) -> None:
    path = tmp_path / "ledger.db"
    monkeypatch.setattr(f"{WRITER}._WAIT", FOREVER)
    monkeypatch.setattr(f"{WRITER}._STRICT_WAIT", 0.0)
    async with opened_ledger(path, on_failure=on_failure) as opened:
        with broken(path):
            with pytest.raises(LedgerUnavailable):
                await opened.ledger.begin(intent(1, *budgets, reserve=1))
            assert opened.ledger.waiting == 1


async def test_a_full_buffer_refuses_at_once_what_must_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.db"
    monkeypatch.setattr(f"{WRITER}._STRICT_WAIT", FOREVER)
    monkeypatch.setattr(f"{WRITER}._RETRY", 0.01)
    async with opened_ledger(path, buffer=100) as opened:
        with broken(path):
            for i in range(99):
                opened.ledger.note(settlement(i))
            await opened.ledger.begin(intent(99))
            assert (opened.ledger.waiting, opened.ledger.dropped) == (100, 0)
            with pytest.raises(LedgerUnavailable):
                await opened.ledger.begin(intent(100, TOTAL, reserve=1))
            await opened.ledger.begin(intent(101))
            assert (opened.ledger.waiting, opened.ledger.dropped) == (100, 2)
        assert [int(row.id, 16) for row in await opened.rows()] == [99]


async def test_a_transaction_that_takes_long_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with opened_ledger(path) as opened:
        assert not opened.ledger.is_stuck(60.0)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            opened.ledger.note(settlement(1))
            await eventually(lambda: opened.ledger.is_stuck(0.01))
            assert not opened.ledger.is_stuck(60.0)
            other.execute("ROLLBACK")
        await opened.written()
        await eventually(lambda: not opened.ledger.is_stuck(0.01))


async def test_a_closed_ledger_is_not_stuck_and_closes_once(tmp_path: Path) -> None:
    async with opened_ledger(tmp_path / "ledger.db") as opened:
        opened.ledger.note(settlement(1))
        await opened.ledger.close()
        assert (opened.ledger.waiting, opened.ledger.is_stuck(0.0)) == (0, False)
        assert not opened.ledger._writer.thread.is_alive()


async def test_a_corrupt_file_is_refused_or_replaced_as_configured(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"SQLite format 3\0" + b"damaged" * 1000)
    with pytest.raises(CorruptLedger):
        OpenLedger(str(path))
    async with opened_ledger(path, on_corrupt="fresh") as opened:
        assert len(opened.messages) == 1
        await opened.ledger.begin(intent(1))
        assert len(await opened.rows()) == 1


def test_the_database_gets_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    class Opened(Exception):
        """The arguments of the opening."""

    def open_engine(*arguments: object) -> None:
        raise Opened(*arguments)

    monkeypatch.setattr(f"{WRITER}.open_engine", open_engine)
    with pytest.raises(Opened) as caught:
        Ledger("postgresql://u@h/n", "secret", LedgerConfig(), print)

    assert caught.value.args == ("postgresql://u@h/n", "secret", None, print)
