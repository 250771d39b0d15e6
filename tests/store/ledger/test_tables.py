"""Tables of the ledger: created, upgraded, and left alone where they are not ours."""

import os
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway.store.ledger.tables import CorruptLedger, metadata, open_engine
from gateway.store.versions import CopyFailed, copies, copy_file, schema_version
from tests.support.ledgers import TO_VERSION_1


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def no_database(path: Path) -> None:
    path.write_bytes(b"this is no database" * 1000)


def overwritten(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 20_000)


def header_lost(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes(100))


def cut_off(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 3 * 4096)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


DAMAGES = [no_database, overwritten, header_lost, cut_off, emptied]


@pytest.fixture(params=DAMAGES)
def corrupt(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger that was used and then damaged."""
    monkeypatch.setattr("gateway.store.ledger.tables._FILLED", 0.0)
    path = tmp_path / "ledger.db"
    open_engine(str(path), None).dispose()
    execute(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    request.param(path)
    return path


@pytest.mark.row("A10", "P18")
def test_a10_a_corrupt_ledger_is_refused_and_left_as_it_is(corrupt: Path) -> None:
    before = corrupt.read_bytes()
    with pytest.raises(
        CorruptLedger, match=r"ledger\.db is corrupt: .*Restore it from a backup.*on_corrupt: fresh"
    ) as caught:
        open_engine(str(corrupt), None)

    assert "\n" not in str(caught.value)
    assert corrupt.read_bytes() == before
    assert not corrupt.with_name("ledger.db.corrupt").exists()


@pytest.mark.row("A10", "P18")
def test_a10_a_corrupt_ledger_is_moved_aside_loudly_where_that_is_wanted(corrupt: Path) -> None:
    before, messages = corrupt.read_bytes(), list[str]()
    open_engine(str(corrupt), None, messages.append).dispose()

    assert corrupt.with_name("ledger.db.corrupt").read_bytes() == before
    assert corrupt.stat().st_mode & 0o777 == 0o600
    assert len(messages) == 1
    assert "It is now ledger.db.corrupt, and an empty ledger was begun: all issued keys" in messages[0]


def test_a_file_that_another_process_has_just_created_is_not_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.touch()
    other = threading.Thread(target=lambda: execute(path, "CREATE TABLE t (a)", "DROP TABLE t"))
    other.start()
    open_engine(str(path), None).dispose()
    other.join()


@pytest.mark.row("P18")
def test_a_ledger_of_a_newer_gateway_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    open_engine(str(path), None).dispose()
    execute(path, "UPDATE ledger SET value = 99 WHERE name = 'version'")
    with pytest.raises(
        ValueError, match="newer gateway: its tables have version 99, this gateway supports 4"
    ) as caught:
        open_engine(str(path), None)

    assert str(caught.value).endswith("restore a backup of before the upgrade: gateway restore FILE")


@pytest.mark.row("P44")
def test_an_older_ledger_is_upgraded(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    open_engine(str(path), None).dispose()
    execute(path, *TO_VERSION_1)
    messages: list[str] = []
    engine = open_engine(str(path), None, report=messages.append)
    with engine.connect() as connection:
        columns = {
            table.name: {column["name"] for column in sa.inspect(connection).get_columns(table.name)}
            for table in metadata.sorted_tables
        }
        version = connection.execute(sa.text("SELECT value FROM ledger WHERE name = 'version'")).scalar_one()
    engine.dispose()

    assert columns == {table.name: set(table.c.keys()) for table in metadata.sorted_tables}
    assert version == 4
    (copy,) = copies(path)
    assert schema_version(copy, is_ledger=True) == 1
    assert copy.stat().st_mode & 0o777 == 0o600
    assert messages == [f"{path} is upgraded from version 1 to 4. A copy of before is {copy.name}."]


def test_o19_a_refused_start_names_the_copy_of_before_the_upgrade(tmp_path: Path) -> None:
    path, copy = tmp_path / "ledger.db", tmp_path / "ledger.db.v4.20261126T100000Z"
    open_engine(str(path), None).dispose()
    assert copies(path) == []  # a ledger that is not upgraded needs no copy
    copy_file(path, copy)
    execute(path, "UPDATE ledger SET value = 5 WHERE name = 'version'")
    with pytest.raises(ValueError, match=r"newer gateway") as caught:
        open_engine(str(path), None)

    assert str(caught.value).endswith(f"gateway restore {copy}")
    assert "\n" not in str(caught.value)


def test_o19_without_a_copy_the_ledger_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.db"
    open_engine(str(path), None).dispose()
    execute(path, *TO_VERSION_1)

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("gateway.store.versions.copy_file", full)
    with pytest.raises(CopyFailed, match="database or disk is full"):
        open_engine(str(path), None)

    assert schema_version(path, is_ledger=True) == 1


@pytest.mark.row("P18")
def test_another_program_s_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    execute(path, "CREATE TABLE attempt (a)")
    before = path.read_bytes()
    with pytest.raises(ValueError, match="another program"):
        open_engine(str(path), None)

    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("attempt",)]
    assert len(path.read_bytes()) == len(before)


def test_a_ledger_is_opened_twice(url: str) -> None:
    first, second = open_engine(url, None), open_engine(url, None)
    names = [sorted(sa.inspect(engine).get_table_names()) for engine in (first, second)]
    first.dispose()
    second.dispose()

    assert names == [["attempt", "audit", "budget", "client_key", "ledger", "usage_sum"]] * 2


def test_o19_machines_that_start_at_once_create_one_ledger(url: str) -> None:
    start = threading.Barrier(4)

    def machine() -> int:
        start.wait()
        engine = open_engine(url, None)
        with engine.connect() as connection:
            rows = connection.execute(sa.text("SELECT COUNT(*) FROM ledger")).scalar_one()
        engine.dispose()
        return int(rows)

    with ThreadPoolExecutor(4) as pool:
        assert [future.result() for future in [pool.submit(machine) for _ in range(4)]] == [4, 4, 4, 4]


def test_a_report_keeps_no_writer_out(tmp_path: Path) -> None:
    engine = open_engine(str(tmp_path / "ledger.db"), None)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as reader:
        rows = reader.execution_options(stream_results=True).execute(sa.select(metadata.tables["ledger"]))
        next(iter(rows))
        with engine.begin() as writer:
            writer.execute(sa.text("UPDATE ledger SET value = 7 WHERE name = 'revision'"))
    engine.dispose()
