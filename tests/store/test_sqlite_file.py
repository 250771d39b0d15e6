"""SQLite files: permissions, recovery of corrupt files, and connections."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import ClassVar

import pytest

from gateway.store.sqlite_file import connect, create, ensure, move_aside, use_wal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.db"


def fill(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE t (a)")
        connection.executemany("INSERT INTO t VALUES (?)", [("A" * 20_000,)] * 9)


def test_a_new_file_is_the_owner_s_alone_and_an_old_one_stays(path: Path) -> None:
    before = os.umask(0)
    try:
        assert ensure(path) is None
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    fill(path)
    content = path.read_bytes()
    assert ensure(path) is None
    assert path.read_bytes() == content


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_that_root_creates_belongs_to_the_owner_of_the_directory(path: Path) -> None:
    os.chown(path.parent, 12345, 23456)
    create(path)

    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 23456)


def no_database(path: Path) -> None:
    path.write_text("this was never a database, but it is longer than a header of one hundred bytes. " * 20)


def overwritten(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)


def cut_off(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 3 * 4096)


@pytest.mark.parametrize("damage", [no_database, overwritten, cut_off])
def test_a_corrupt_file_is_kept_under_another_name(path: Path, damage: Callable[[Path], None]) -> None:
    fill(path)
    damage(path)
    content = path.read_bytes()

    assert type(ensure(path)) is sqlite3.DatabaseError
    assert (path.stat().st_size, path.stat().st_mode & 0o777) == (0, 0o600)
    assert path.with_name("x.db.corrupt").read_bytes() == content


def test_the_log_is_moved_with_a_corrupt_file(path: Path) -> None:
    for name in ("x.db", "x.db-wal"):
        path.with_name(name).touch()
    move_aside(path)

    assert sorted(file.name for file in path.parent.iterdir()) == ["x.db.corrupt", "x.db.corrupt-wal"]


def test_a_file_that_cannot_be_opened_now_is_not_taken_for_corrupt(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.sqlite_file.BUSY", 0.0)
    fill(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            ensure(path)

    assert [file.name for file in path.parent.iterdir() if "corrupt" in file.name] == []
    with pytest.raises(NotADirectoryError):
        ensure(path / "y.db")


def test_connecting_creates_no_file(path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        connect(path)
    assert not path.exists()


def test_wal_is_used_and_commits_wait_for_no_disk(path: Path) -> None:
    create(path)
    with closing(connect(path)) as connection:
        use_wal(connection)
        pragmas = [
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
        ]

    assert pragmas == ["wal", 1]


class Busy(sqlite3.Connection):
    """A connection to a file that another process is opening, too."""

    failures: ClassVar[list[int]]

    def execute(self, sql: str, parameters: object = (), /) -> sqlite3.Cursor:
        if "WAL" in sql and self.failures:
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = self.failures.pop(0)
            raise error
        return super().execute(sql)


def test_the_switch_to_wal_waits_for_another_process_that_makes_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = [sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY_RECOVERY]
    monkeypatch.setattr(Busy, "failures", busy, raising=False)
    with closing(sqlite3.connect(path, factory=Busy)) as connection:
        use_wal(connection)

        assert Busy.failures == []
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_another_fault_of_the_switch_to_wal_is_raised_at_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Busy, "failures", [sqlite3.SQLITE_READONLY, sqlite3.SQLITE_READONLY], raising=False)
    with closing(sqlite3.connect(path, factory=Busy)) as connection, pytest.raises(sqlite3.OperationalError):
        use_wal(connection)

    assert len(Busy.failures) == 1
