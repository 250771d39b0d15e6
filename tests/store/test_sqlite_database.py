"""A SQLite database with a version: transactions, and files of a newer gateway."""

from pathlib import Path

import pytest

from gateway.store.sqlite_database import SqliteDatabase

SCHEMA = ("CREATE TABLE a (b INTEGER)",)


def test_a_transaction_that_fails_changes_nothing(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "a.db", SCHEMA, 1)

    def fail() -> None:
        with database.transaction() as run:
            run("INSERT INTO a VALUES (1)")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert database.query("SELECT * FROM a") == []


def test_a_file_is_opened_again_and_one_of_a_newer_gateway_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    database = SqliteDatabase(path, SCHEMA, 2)
    database.query("INSERT INTO a VALUES (1)")
    database.close()

    again = SqliteDatabase(path, SCHEMA, 2)
    assert again.query("SELECT * FROM a") == [(1,)]
    again.close()
    with pytest.raises(ValueError, match="newer gateway"):
        SqliteDatabase(path, SCHEMA, 1)
