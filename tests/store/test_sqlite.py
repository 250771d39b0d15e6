"""Entries in a SQLite file: they survive restarts, processes share them, and no failure of the disk fails a request."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gateway.store import sqlite, sqlite_file
from gateway.store.key_value import KeyValueStore, StoreLimits
from gateway.store.sqlite import SqliteStore
from gateway.store.versions import copies

SMALL = StoreLimits(megabytes=1, hours=1)
Open = Callable[..., SqliteStore]


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def reported() -> list[str]:
    """Messages that stores reported."""
    return []


@pytest.fixture
async def started(path: Path, reported: list[str]) -> AsyncIterator[Open]:
    """Open stores on the same file, and close them in the end."""
    stores: list[SqliteStore] = []

    def start(config: StoreLimits = SMALL, at: Path = path) -> SqliteStore:
        stores.append(SqliteStore(at, config, reported.append))
        return stores[-1]

    yield start
    for store in stores:
        await store.close()


def rows(
    path: Path, question: str = "SELECT key, value FROM signature ORDER BY id"
) -> list[tuple[object, ...]]:
    """Return what is in the file, read by another connection."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute(question).fetchall()
    finally:
        connection.close()


async def test_a_signature_is_found_at_once_and_after_a_restart(started: Open, reported: list[str]) -> None:
    first: KeyValueStore = started(StoreLimits())
    large = "B" * 1_500_000
    await first.put({key(1): "one", key(2): large}, 100.0)
    assert await first.get([key(1), key(2), key(3)], 100.0) == {key(1): "one", key(2): large}
    await first.close()

    second = started(StoreLimits())
    assert await second.get([key(1), key(2), key(3)], 101.0) == {key(1): "one", key(2): large}
    assert (second.errors, reported) == (0, [])


async def test_two_processes_share_one_file(started: Open) -> None:
    blue, green = started(), started()
    await blue.put({key(1): "blue's"}, 100.0)
    await green.put({key(2): "green's"}, 100.0)
    await blue.flush()
    await green.flush()

    both = {key(1): "blue's", key(2): "green's"}
    assert await blue.get([key(1), key(2)], 100.0) == both
    assert await green.get([key(1), key(2)], 100.0) == both


async def test_an_entry_is_kept_in_memory_after_its_first_read(started: Open, path: Path) -> None:
    first = started()
    await first.put({key(1): "s"}, 100.0)
    await first.close()
    second = started()
    await second.get([key(1)], 100.0)
    await second.close()

    assert await second.get([key(1)], 100.0) == {key(1): "s"}
    assert await second.get([key(1)], 3701.0) == {}, "the age counts from when it came, not from the reading"


async def test_a_newer_signature_that_comes_during_a_read_wins(started: Open) -> None:
    first = started()
    await first.put({key(1): "old"}, 100.0)
    await first.close()
    second = started()
    reading = asyncio.create_task(second.get([key(1)], 101.0))
    await asyncio.sleep(0)
    await second.put({key(1): "new"}, 101.0)
    await reading

    assert await second.get([key(1)], 101.0) == {key(1): "new"}


KILLED = """
import asyncio, sys
from pathlib import Path
from gateway.store.key_value import StoreLimits
from gateway.store.sqlite import SqliteStore

async def main():
    store = SqliteStore(Path(sys.argv[1]), StoreLimits(), print)
    for number in range(100):
        await store.put({number.to_bytes(16, "big"): f"signature {number}"}, 100.0)
    await store.flush()
    print("flushed", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_kill_9_after_a_flush_loses_nothing(started: Open, path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child, child.stdout:
        assert child.stdout.readline() == "flushed\n"
        child.kill()

    entries = await started().get([key(number) for number in range(100)], 101.0)
    assert entries == {key(number): f"signature {number}" for number in range(100)}


async def test_a_thousand_puts_at_once_are_all_kept(started: Open, path: Path) -> None:
    blue, green = started(), started()
    await asyncio.gather(*((blue, green)[n % 2].put({key(n): f"s{n}"}, 100.0) for n in range(1000)))
    everything = {key(n): f"s{n}" for n in range(1000)}
    await asyncio.gather(blue.close(), green.close())

    assert await started().get(list(everything), 100.0) == everything, "also in more than one query"


async def test_old_entries_are_neither_returned_nor_kept(started: Open, path: Path) -> None:
    first = started()
    await first.put({key(1): "old"}, 100.0)
    await first.close()

    second = started()
    assert await second.get([key(1)], 3700.0) == {key(1): "old"}
    third = started()
    assert await third.get([key(1)], 3701.0) == {}
    await third.put({key(2): "new"}, 3701.0)
    await third.flush()
    assert rows(path, "SELECT value FROM signature") == [("new",)]


async def test_bytes_are_bounded_and_the_oldest_go_first(started: Open, path: Path) -> None:
    store = started()
    for number in range(30):
        await store.put({key(number): "A" * 100_000}, 100.0 + number)
        await store.flush()
        assert rows(path, "SELECT SUM(size) FROM signature")[0][0] <= SMALL.bound  # type: ignore[operator]

    kept = [number for number in range(30) if (key(number),) in rows(path, "SELECT key FROM signature")]
    assert kept == list(range(kept[0], 30))
    assert len(kept) >= 8


async def test_a_lowered_bound_shrinks_the_file_at_the_start(started: Open, path: Path) -> None:
    first = started(StoreLimits(megabytes=8))
    await first.put({key(number): "A" * 100_000 for number in range(60)}, 100.0)
    await first.close()
    before = path.stat().st_size
    second = started(SMALL)
    await second.close()

    assert before > 6_000_000 > 1_100_000 > path.stat().st_size


async def test_an_entry_larger_than_a_quarter_is_not_written(started: Open, path: Path) -> None:
    store = started()
    await store.put({key(1): "A" * (SMALL.bound // 4), key(2): "small"}, 100.0)
    await store.close()

    assert rows(path) == [(key(2), "small")]


async def test_the_file_and_its_log_are_the_owners_alone(started: Open, path: Path) -> None:
    before = os.umask(0)
    try:
        store = started()
        await store.put({key(1): "s"}, 100.0)
        await store.flush()
    finally:
        os.umask(before)

    files = sorted(path.parent.iterdir())
    assert {file.name: oct(file.stat().st_mode & 0o777) for file in files} == {
        "state.db": "0o600",
        "state.db-shm": "0o600",
        "state.db-wal": "0o600",
    }


async def test_the_file_is_opened_as_designed(started: Open, path: Path) -> None:
    started()

    assert rows(path, "PRAGMA journal_mode") == [("wal",)]
    assert rows(path, "PRAGMA user_version") == [(1,)]


async def test_a_file_name_may_contain_characters_of_urls(started: Open, tmp_path: Path) -> None:
    store = started(at=tmp_path / "a b?mode=memory#%41.db")
    await store.put({key(1): "s"}, 100.0)
    await store.close()

    assert [file.name for file in tmp_path.iterdir()] == ["a b?mode=memory#%41.db"]


async def test_without_a_writable_directory_memory_serves(
    started: Open, tmp_path: Path, reported: list[str]
) -> None:
    (tmp_path / "file").touch()
    store = started(at=tmp_path / "file" / "state.db")
    for number in range(3):
        await store.put({key(number): "s"}, 100.0)
        await store.flush()

    assert await store.get([key(0), key(1), key(2), key(3)], 100.0) == {key(n): "s" for n in range(3)}
    assert store.errors == 5, "the opening, three writes, one read"
    assert [text.partition(": thought ")[2][:30] for text in reported] == [
        "signatures are kept in memory ",
        "signatures cannot be written: ",
        "signatures cannot be read: una",
    ]
    assert "state.db: thought signatures are kept in memory only: [Errno 20] Not a directory" in reported[0]
    assert reported[0].endswith("The directory must exist and be writable for the gateway.")


async def test_a_directory_that_appears_later_is_used(started: Open, tmp_path: Path) -> None:
    store = started(at=tmp_path / "later" / "state.db")
    (tmp_path / "later").mkdir()
    await store.put({key(1): "s"}, 100.0)
    await store.flush()

    assert rows(tmp_path / "later" / "state.db") == [(key(1), "s")]


async def test_writes_that_fail_are_reported_once_and_go_on_when_they_can(
    started: Open, path: Path, reported: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.sqlite_file.BUSY", 0.0)
    store = started()
    await store.flush()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for number in range(2):
        await store.put({key(number): "s"}, 100.0)
        await store.flush()
    other.execute("ROLLBACK")
    other.close()
    await store.put({key(2): "s"}, 100.0)
    await store.flush()

    assert rows(path) == [(key(2), "s")]
    assert set(await store.get([key(0), key(1), key(2)], 100.0)) == {key(0), key(1), key(2)}
    assert store.errors == 2
    assert len(reported) == 1
    assert reported[0].startswith(
        f"{path}: thought signatures cannot be written: database is locked. They are kept in"
    )
    assert reported[0].endswith("Check free space, and that the directory is writable.")


async def test_a_file_that_is_locked_at_the_start_is_used_later(
    started: Open, path: Path, reported: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.sqlite_file.BUSY", 0.0)
    await started().close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store = started()
    other.execute("ROLLBACK")
    other.close()
    await store.put({key(1): "s"}, 100.0)
    await store.flush()

    assert rows(path) == [(key(1), "s")]
    assert len(reported) == 1
    assert "are kept in memory only: database is locked" in reported[0]


async def test_a_full_disk_fails_no_request(
    started: Open, path: Path, reported: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite_file.connect

    def connect_to_a_small_disk(at: Path) -> sqlite3.Connection:
        connection = connect(at)
        connection.execute("PRAGMA max_page_count = 20")
        return connection

    monkeypatch.setattr(sqlite, "connect", connect_to_a_small_disk)
    store = started()
    await store.put({key(1): "fits"}, 100.0)
    await store.flush()
    await store.put({key(2): "A" * 200_000}, 100.0)
    await store.flush()

    assert len((await store.get([key(1), key(2)], 100.0))[key(2)]) == 200_000
    assert store.errors == 1
    assert "cannot be written: database or disk is full." in reported[0]
    assert rows(path) == [(key(1), "fits")]


async def test_a_table_that_is_gone_fails_no_request(started: Open, path: Path, reported: list[str]) -> None:
    store = started()
    await store.flush()
    rows(path, "DROP TABLE signature")
    await store.put({key(1): "s"}, 100.0)
    await store.flush()

    assert await store.get([key(1), key(2)], 100.0) == {key(1): "s"}
    assert store.errors == 2
    assert ["no such table" in text for text in reported] == [True, True]


async def test_a_backlog_is_bounded_and_reported(started: Open, path: Path, reported: list[str]) -> None:
    store = started()
    await store.flush()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for number in range(7):
        await store.put({key(number): "A" * 200_000}, 100.0 + number)
    other.execute("ROLLBACK")
    other.close()

    assert store.errors == 2, "five times 200 kB wait; two more would be over a MiB"
    assert reported == [
        f"{path}: thought signatures are not written: the disk is too slow. They are kept in memory. Use a faster disk."
    ]
    await store.flush()
    await store.put({key(8): "goes on"}, 107.0)
    await store.close()
    assert (key(8), "goes on") in rows(path)


def _no_database(path: Path) -> None:
    path.write_text("this was never a database, but it is longer than a header of one hundred bytes. " * 20)


def _overwritten(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)


def _cut_off(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 3 * 4096)


@pytest.mark.parametrize("damage", [_no_database, _overwritten, _cut_off])
async def test_a_corrupt_file_is_moved_aside_and_a_new_one_begun(
    started: Open, path: Path, reported: list[str], damage: Callable[[Path], None]
) -> None:
    first = started()
    await first.put({key(number): "A" * 20_000 for number in range(9)}, 100.0)
    await first.close()
    damage(path)
    damaged = path.read_bytes()

    second = started()
    await second.put({key(20): "new"}, 100.0)
    await second.flush()
    assert rows(path) == [(key(20), "new")]
    assert path.with_name("state.db.corrupt").read_bytes() == damaged
    assert path.stat().st_mode & 0o777 == 0o600
    assert second.errors == len(reported) == 1
    assert reported[0].startswith(f"{path}: thought signatures were lost: ")
    assert reported[0].endswith(". The file is now state.db.corrupt, and a new one was begun.")


def test_a_file_of_a_newer_gateway_is_refused_and_unchanged(path: Path) -> None:
    rows(path, "PRAGMA user_version = 2")
    before = path.read_bytes()

    with pytest.raises(
        ValueError,
        match=r"state\.db was written by a newer gateway: its schema has version 2, .* 1\. Start the newer",
    ):
        SqliteStore(path, SMALL, print)
    assert path.read_bytes() == before


def test_another_program_s_database_is_refused_and_unchanged(path: Path) -> None:
    rows(path, "CREATE TABLE invoices (id)")
    before = path.read_bytes()

    with pytest.raises(ValueError, match=r"state\.db is another program's database\. Name another file\."):
        SqliteStore(path, SMALL, print)
    assert path.read_bytes() == before


async def test_after_closing_memory_answers(started: Open, path: Path) -> None:
    store = started()
    await store.close()
    await store.put({key(1): "s"}, 100.0)
    await store.flush()
    await store.close()

    assert await store.get([key(1), key(2)], 100.0) == {key(1): "s"}
    assert rows(path) == []


async def test_closing_does_not_wait_forever(
    started: Open, path: Path, reported: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_CLOSING", 0.0)
    store = started()
    await store.flush()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    await store.put({key(1): "s"}, 100.0)
    await store.close()
    other.execute("ROLLBACK")
    other.close()
    store._writer.thread.join()

    assert reported == [
        f"{path}: thought signatures of the last moments may be lost: the disk did not respond. Check the disk."
    ]
    assert rows(path) == [(key(1), "s")], "the thread went on meanwhile"


async def test_a_cancelled_flush_stops_no_write(started: Open, path: Path) -> None:
    store = started()
    await store.put({key(1): "s"}, 100.0)
    waiting = asyncio.create_task(store.flush())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await store.put({key(2): "s"}, 100.0)
    await store.flush()

    assert [row[0] for row in rows(path)] == [key(1), key(2)]


async def test_o19_an_older_file_is_upgraded_and_a_copy_is_kept(
    path: Path, started: Open, reported: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = started()
    await store.put({key(1): "before"}, 1.0)
    await store.close()
    monkeypatch.setattr(sqlite, "STATE_VERSION", 2)
    monkeypatch.setattr(
        sqlite, "_STEPS", {1: ("ALTER TABLE signature ADD COLUMN note TEXT", "PRAGMA user_version = 2")}
    )
    store = started()
    assert await store.get([key(1)], 1.0) == {key(1): "before"}
    await store.put({key(2): "after"}, 1.0)
    await store.close()

    (copy,) = copies(path)
    assert rows(path, "SELECT value, note FROM signature ORDER BY id") == [("before", None), ("after", None)]
    assert rows(copy, "SELECT value FROM signature") == [("before",)]
    assert rows(copy, "PRAGMA user_version") == [(1,)]
    assert reported == [f"{path} is upgraded from version 1 to 2. A copy of before is {copy.name}."]
