"""Databases after a power cut, on a read-only file system, locked, and of two versions at once."""

import asyncio
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from time import monotonic

import pytest
import sqlalchemy as sa

from gateway.cli.main import main
from gateway.store.ledger.statements import FileTransaction, Statements
from gateway.store.ledger.tables import open_engine
from tests.support.ledgers import OpenLedger, intent, settlement
from tests.support.site import Site
from tests.support.surfaces import CHAT, assert_whole
from tests.support.waiting import eventually

ROWS = 400


@pytest.mark.row("P12")
async def test_p12_a_torn_write_ahead_log_opens_and_is_consistent(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with OpenLedger(str(path)) as opened:
        for number in range(ROWS):
            await opened.ledger.begin(intent(number))
            if number % 20 == 19:
                await opened.written()  # a transaction for each twenty
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", f"{tmp_path}/cut.db{suffix}")
    log = (tmp_path / "cut.db-wal").read_bytes()
    main_file = (tmp_path / "cut.db").read_bytes()
    counts = set()
    rolls = random.Random(12)
    for offset in sorted(rolls.randrange(len(log) + 1) for _ in range(60)):
        (tmp_path / "cut.db").write_bytes(main_file)
        (tmp_path / "cut.db-shm").unlink(missing_ok=True)
        torn = bytearray(log[:offset])
        if torn and rolls.random() < 0.5:  # a sector with other bytes, in place of one that is missing
            torn[-1] ^= 0xFF
        (tmp_path / "cut.db-wal").write_bytes(torn)
        try:
            engine = open_engine(str(tmp_path / "cut.db"), None)
        except EOFError:
            continue
        with engine.connect() as connection:
            assert connection.execute(sa.text("PRAGMA integrity_check")).scalar_one() == "ok"
            counts.add(connection.execute(sa.text("SELECT COUNT(*) FROM attempt")).scalar_one())
        engine.dispose()

    assert all(0 <= count <= ROWS for count in counts)
    assert len(counts) > 5


@pytest.mark.row("P16")
async def test_p16_without_a_place_for_the_ledger_the_start_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "g.yaml").write_text("listen: {port: 0}\nledger: {url: /proc/ledger.db}\n")  # takes no files

    assert await asyncio.to_thread(main, ["check", "--config", str(tmp_path / "g.yaml")]) == 0
    assert await asyncio.to_thread(main, ["keys", "list", "--config", str(tmp_path / "g.yaml")]) == 78
    assert "the ledger cannot be opened" in capfd.readouterr().err


@pytest.mark.row("P16", "P13")
async def test_p16_a_running_gateway_serves_on_while_nothing_can_be_written(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.start()
    read_only = True
    begin = FileTransaction.__enter__

    def refuse(transaction: FileTransaction) -> Statements:
        if read_only:  # as SQLite does on a file system that is read-only now
            raise sqlite3.OperationalError("attempt to write a readonly database")
        return begin(transaction)

    monkeypatch.setattr(FileTransaction, "__enter__", refuse)
    for _ in range(5):
        assert_whole(await site.ask(CHAT))
    assert site.services.exchange.accounting.ledger.errors  # type: ignore[union-attr]
    read_only = False
    assert_whole(await site.ask(CHAT))
    await written(site)  # and the fixture finds a row for each call


@pytest.mark.row("P17")
async def test_p17_while_the_ledger_is_locked_no_request_waits_for_it(site: Site, tmp_path: Path) -> None:
    await site.start()
    assert_whole(await site.ask(CHAT))
    with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as backup:
        backup.execute("BEGIN EXCLUSIVE")
        seconds = []
        for _ in range(10):
            begun = monotonic()
            assert_whole(await site.ask(CHAT))
            seconds.append(monotonic() - begun)
        backup.execute("ROLLBACK")
    await written(site)

    assert sorted(seconds)[5] < 1.0  # the lock is waited for two seconds, but not by requests


async def written(site: Site) -> None:
    """Wait until the ledger has written what gathered in memory."""
    ledger = site.services.exchange.accounting.ledger
    await eventually(lambda: not ledger.waiting)  # type: ignore[union-attr]


@pytest.mark.row("P44")
async def test_p44_the_version_before_writes_on_while_the_new_one_serves(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with OpenLedger(str(path)) as opened:
        await opened.ledger.begin(intent(1))
        await opened.ledger.settle(settlement(1))
        with (
            closing(sqlite3.connect(path)) as older,
            older,
        ):  # the statements of version 1, which knew no searches
            older.execute(
                "INSERT INTO attempt (id, at, request_id, client, project, model, surface, reserved)"
                " VALUES ('old', 1, 'r', '', 'blue', 'm', 'chat', '')"
            )
            older.execute("UPDATE attempt SET ended = 2, outcome = 'ok', prompt = 3 WHERE id = 'old'")
        await opened.ledger.begin(intent(2))
        rows = {row.id: row.ended is not None for row in await opened.rows()}

    assert rows == {f"{1:032x}": True, f"{2:032x}": False, "old": True}
