"""Copies of SQLite files before an upgrade: consistent, bounded, and named by the gateway that finds a newer file."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gateway.store import versions
from gateway.store.versions import CopyFailed, copies, copy_file, keep_copy, schema_version, way_back
from tests.support.sqlite_users import held_open


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "x.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE t (a)")
        connection.execute("PRAGMA user_version = 7")
    return file


def content(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT a FROM t ORDER BY a").fetchall()


def test_a_copy_has_what_another_process_has_committed_and_not_what_it_has_begun(path: Path) -> None:
    copy = path.with_name("copy.db")
    with held_open(path, "INSERT INTO t VALUES (1)", "BEGIN IMMEDIATE", "INSERT INTO t VALUES (2)"):
        copy_file(path, copy)

    assert content(copy) == [(1,)]
    assert copy.stat().st_mode & 0o777 == 0o600
    assert sorted(file.name for file in path.parent.iterdir() if file.name.startswith("copy")) == ["copy.db"]


def test_a_copy_never_replaces_a_file_and_nothing_is_left_of_one_that_fails(path: Path) -> None:
    (path.parent / "there").write_text("precious")
    with pytest.raises(FileExistsError):
        copy_file(path, path.parent / "there")
    with pytest.raises(sqlite3.OperationalError):
        copy_file(path.parent / "missing.db", path.parent / "new")

    assert (path.parent / "there").read_text() == "precious"
    assert not (path.parent / "new").exists()


def test_o19_the_last_copies_are_kept_and_each_is_reported(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages: list[str] = []
    for minute in range(5):
        monkeypatch.setattr(versions, "stamp", lambda minute=minute: f"20261126T10{minute:02}00Z")
        keep_copy(path, 7, 8, messages.append)

    assert [copy.name for copy in copies(path)] == [
        f"x.db.v7.20261126T10{minute:02}00Z" for minute in (4, 3, 2)
    ]
    assert len(messages) == 5
    assert (
        messages[0]
        == f"{path} is upgraded from version 7 to 8. A copy of before is x.db.v7.20261126T100000Z."
    )


def test_o19_without_a_copy_there_is_no_upgrade(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(versions, "copy_file", full)
    with pytest.raises(
        CopyFailed, match=r"must be upgraded from version 7 to 8, .* disk is full\. Free some space"
    ):
        keep_copy(path, 7, 8, print)


def test_the_way_back_is_the_newest_copy_that_this_gateway_can_use(path: Path) -> None:
    assert way_back(path, 7).endswith("restore a backup of before the upgrade: gateway restore FILE")
    for name in (
        "x.db.v6.20261126T100000Z",
        "x.db.v7.20261126T110000Z",
        "x.db.v8.20261126T120000Z",
        "x.db.y.v1.20261126T120000Z",
    ):
        path.with_name(name).touch()

    assert way_back(path, 7).endswith(f"gateway restore {path}.v7.20261126T110000Z")
    assert way_back(path, 6).endswith(f"gateway restore {path}.v6.20261126T100000Z")


def test_the_version_of_a_file_by_its_kind(path: Path) -> None:
    assert (schema_version(path, is_ledger=False), schema_version(path, is_ledger=True)) == (7, 0)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE ledger (name, value)")
        connection.execute("INSERT INTO ledger VALUES ('version', 3)")

    assert schema_version(path, is_ledger=True) == 3
