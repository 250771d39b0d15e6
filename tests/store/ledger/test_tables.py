"""Tables of the ledger: created, upgraded, and left alone where they are not ours."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway.store.ledger.tables import attempt, open_engine


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def test_a_corrupt_file_is_moved_aside(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"this is no database" * 1000)
    open_engine(str(path), None).dispose()

    assert (tmp_path / "ledger.db.corrupt").read_bytes() == b"this is no database" * 1000
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_ledger_of_a_newer_gateway_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    open_engine(str(path), None).dispose()
    execute(path, "UPDATE ledger SET value = 99 WHERE name = 'version'")
    with pytest.raises(
        ValueError, match="newer gateway: its tables have version 99, this gateway supports 2"
    ):
        open_engine(str(path), None)


def test_an_older_ledger_is_upgraded(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    open_engine(str(path), None).dispose()
    execute(
        path,
        "ALTER TABLE attempt DROP COLUMN searches",
        "UPDATE ledger SET value = 1 WHERE name = 'version'",
    )
    engine = open_engine(str(path), None)
    with engine.connect() as connection:
        columns = {column["name"] for column in sa.inspect(connection).get_columns("attempt")}
        version = connection.execute(sa.text("SELECT value FROM ledger WHERE name = 'version'")).scalar_one()
    engine.dispose()

    assert columns == set(attempt.c.keys())
    assert version == 2


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

    assert names == [["attempt", "budget", "client_key", "ledger"]] * 2
