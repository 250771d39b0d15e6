"""Key-value store in a SQLite file, with memory in front and one thread that writes.

An entry is in memory at once and on disk a moment later. A request never waits for a write, and no failure of the disk
fails a request. Several processes (blue and green) share one file, and a new one finds what the old one stored.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

from gateway.store.group_commit import GroupCommit
from gateway.store.key_value import StoreLimits
from gateway.store.memory import MemoryStore, cost
from gateway.store.sqlite_file import connect, create, ensure, use_wal
from gateway.store.versions import STATE_VERSION, keep_copy, way_back

_SCHEMA = (
    # the value stands last: SQLite reads the columns before it without reading its pages
    """CREATE TABLE signature (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, at REAL NOT NULL,
       size INTEGER NOT NULL, value TEXT NOT NULL)""",
    # serves both limits, age and size, without the table
    "CREATE INDEX signature_age ON signature (at, size)",
    f"PRAGMA user_version = {STATE_VERSION}",
)
"""The table is named after the first kind of state that was stored."""
_STEPS: Mapping[int, tuple[str, ...]] = {}
"""SQL statements that turn version n into version n + 1, and set `user_version`."""
_PUT = "INSERT OR REPLACE INTO signature (key, at, size, value) VALUES (?, ?, ?, ?)"
_GET = "SELECT key, at, value FROM signature WHERE at >= ? AND key IN ({})"
_EXPIRE = "DELETE FROM signature WHERE at < ?"
_TOTAL = "SELECT COALESCE(SUM(size), 0) FROM signature"
_SHRINK = (
    "DELETE FROM signature WHERE id IN (SELECT id FROM (SELECT id, SUM(size) OVER (ORDER BY at DESC, id DESC) AS total"
    " FROM signature) WHERE total > ?)"
)

_CLOSING = 5.0
"""Seconds that the last writes may take."""
_BACKLOG = 64 * 2**20
"""Bytes that may wait for the disk."""
_SLACK = 8
"""The file is pruned after each eighth of its bound was written, to an eighth below its bound."""
_MAX_KEYS = 500
"""Keys in one query; builds of SQLite before 3.32 take 999 parameters."""
_WAL_LIMIT = 16 * 2**20
"""Bytes to which the write-ahead log is cut back after it has grown."""

_FAILURES = (sqlite3.Error, OSError, ValueError, MemoryError)
"""Raised for a failing disk, a locked file and a foreign schema."""

Row = tuple[bytes, float, int, str]
"""Key, time, bytes, value."""


class SqliteStore:
    """Texts that outlive the process.

    Opening blocks and is meant for the start. Raises ValueError for a file of a newer gateway or of another program.
    Other failures are reported to `on_error`, from any thread and each message once, and memory serves on.
    `noun` names the entries in messages.
    """

    def __init__(
        self,
        path: Path,
        limits: StoreLimits,
        on_error: Callable[[str], None],
        noun: str = "thought signatures",
    ) -> None:
        self._failures = _Failures(path, on_error, noun)
        self._age = limits.age
        self._room = min(_BACKLOG, limits.bound)
        self._memory = MemoryStore(limits)
        self._reader = _Reader(path)
        self._writer = _Writer(path, limits, self._failures, _open_first(path, self._failures))
        self._queued = 0
        self._closed = False

    @property
    def errors(self) -> int:
        """Reads and writes that have failed."""
        return self._failures.count

    @property
    def size(self) -> int:
        """Bytes that the entries in memory take."""
        return self._memory.size

    async def get(self, keys: Sequence[bytes], now: float) -> dict[bytes, str]:
        """Return entries from memory, and those that are missing there from the file."""
        entries = await self._memory.get(keys, now)
        missing = [key for key in keys if key not in entries]
        if not missing or self._closed:
            return entries
        for key, at, value in await asyncio.to_thread(self._read, missing, now - self._age):
            if key not in self._memory:  # else a newer entry was put during the read
                self._memory.keep(key, value, at)
            entries[key] = value
        return entries

    async def put(self, entries: Mapping[bytes, str], now: float) -> None:
        """Store entries in memory at once, and in the file with the next commit."""
        await self._memory.put(entries, now)
        rows: list[Row] = [
            (key, now, cost(key, value), value)
            for key, value in entries.items()
            if self._memory.fits(key, value)
        ]
        size = sum(row[2] for row in rows)
        if not rows or self._closed:
            return
        if self._queued + size - self._writer.settled > self._room:
            self._failures.add(
                "are not written", "the disk is too slow", "They are kept in memory. Use a faster disk."
            )
            return
        self._queued += size
        self._writer.thread.put(rows)

    async def flush(self) -> None:
        """Wait until all that was put is in the file, or has failed."""
        if not self._closed:
            done: Future[None] = Future()
            self._writer.thread.put(done)
            await asyncio.wrap_future(done)

    async def close(self) -> None:
        """Write what is queued, for at most five seconds. From then on the store is only in memory."""
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._end)

    def _end(self) -> None:
        if not self._writer.thread.end(_CLOSING):
            self._failures.add(
                "of the last moments may be lost", "the disk did not respond", "Check the disk."
            )
        self._reader.close()

    def _read(self, keys: list[bytes], since: float) -> list[tuple[bytes, float, str]]:
        try:
            return self._reader.read(keys, since)
        except _FAILURES as error:
            self._failures.add("cannot be read", error, "Check that the file exists and is readable.")
            return []


class _Failures:
    """Counter of failures that reports each message once."""

    def __init__(self, path: Path, on_error: Callable[[str], None], noun: str) -> None:
        self._path = path
        self.report = on_error
        """Reports a message that is no failure, or anew."""
        self._noun = noun
        self._reported: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self.count = 0

    def add(self, what: str, why: Exception | str, remedy: str) -> None:
        """Count a failure. May be called from any thread."""
        with self._lock:
            self.count += 1
            is_new = (what, str(why)) not in self._reported
            self._reported.add((what, str(why)))
        if is_new:
            self.report(f"{self._path}: {self._noun} {what}: {str(why) or type(why).__name__}. {remedy}")


class _Reader:
    """One connection for all threads that read, one at a time; opened when first needed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def read(self, keys: list[bytes], since: float) -> list[tuple[bytes, float, str]]:
        """Return entries of the time `since` or later. After a failure the next call opens the file again."""
        with self._lock:
            try:
                self._connection = self._connection or connect(self._path)
                return self._select(self._connection, keys, since)
            except _FAILURES:
                self._disconnect()
                raise

    def _select(
        self, connection: sqlite3.Connection, keys: list[bytes], since: float
    ) -> list[tuple[bytes, float, str]]:
        rows: list[tuple[bytes, float, str]] = []
        for start in range(0, len(keys), _MAX_KEYS):
            some = keys[start : start + _MAX_KEYS]
            rows += connection.execute(_GET.format(",".join("?" * len(some))), (since, *some))
        return rows

    def close(self) -> None:
        """Close the connection after the read in progress."""
        with self._lock:
            self._disconnect()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class _Writer:
    """Writes rows in a thread, and wakes those who wait for a flush."""

    def __init__(
        self, path: Path, limits: StoreLimits, failures: _Failures, connection: sqlite3.Connection | None
    ) -> None:
        self.settled = 0
        """Bytes written or given up. Only the thread changes it, so that it needs no lock."""
        self._path = path
        self._limits = limits
        self._failures = failures
        self._connection = connection
        self._unpruned = limits.bound
        self.thread: GroupCommit[list[Row] | Future[None]] = GroupCommit(
            "state", self._commit, self._disconnect
        )
        self.thread.start()
        if connection is not None:
            self.thread.put([])  # prunes

    def _commit(self, items: list[list[Row] | Future[None]]) -> None:
        batches = [item for item in items if isinstance(item, list)]
        rows = [row for batch in batches for row in batch]
        if batches:
            self._attempt(rows)
        self.settled += sum(row[2] for row in rows)
        for item in items:
            if isinstance(item, Future) and item.set_running_or_notify_cancel():
                item.set_result(None)

    def _attempt(self, rows: list[Row]) -> None:
        """Write rows. After a failure the connection is closed, which rolls back, and the next rows open another."""
        try:
            self._connection = self._connection or _open(self._path, self._failures.report)
            self._write(self._connection, rows)
        except _FAILURES as error:
            self._disconnect()
            self._failures.add(
                "cannot be written",
                error,
                "They are kept in memory. Check free space, and that the directory is writable.",
            )

    def _write(self, connection: sqlite3.Connection, rows: list[Row]) -> None:
        self._unpruned += sum(row[2] for row in rows)
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(_PUT, rows)
        if rows:
            connection.execute(_EXPIRE, (rows[-1][1] - self._limits.age,))
        if self._unpruned > self._limits.bound // _SLACK:
            self._shrink(connection)
        connection.execute("COMMIT")
        if not rows:  # at the start: if the bound was lowered, the file gets smaller
            connection.executescript("PRAGMA incremental_vacuum")  # execute() would stop after one page

    def _shrink(self, connection: sqlite3.Connection) -> None:
        """Delete the oldest entries beyond the bound."""
        room = self._limits.bound - self._limits.bound // _SLACK
        if connection.execute(_TOTAL).fetchone()[0] > room:
            connection.execute(_SHRINK, (room,))
        self._unpruned = 0

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _open_first(path: Path, failures: _Failures) -> sqlite3.Connection | None:
    """Open the file at the start. Return None if that fails now; it is tried again with the first write."""
    try:
        error = ensure(path)
        if error is not None:
            failures.add("were lost", error, f"The file is now {path.name}.corrupt, and a new one was begun.")
        return _open(path, failures.report)
    except (sqlite3.Error, OSError) as error:
        failures.add(
            "are kept in memory only", error, "The directory must exist and be writable for the gateway."
        )
        return None


def _open(path: Path, report: Callable[[str], None]) -> sqlite3.Connection:
    """Return a connection to a file with our table, which is created or upgraded. An upgrade keeps a copy.

    Raises sqlite3.Error and OSError, and ValueError for a file of a newer gateway or of another program.
    """
    create(path)
    connection = connect(path)
    try:
        version = _version(connection, path)
        if 0 < version < STATE_VERSION:
            keep_copy(path, version, STATE_VERSION, report)
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    if not _version(connection, path):
        connection.execute(
            "PRAGMA auto_vacuum = INCREMENTAL"
        )  # has an effect before the first page is written
    use_wal(connection)
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT}")
    connection.execute("BEGIN IMMEDIATE")
    version = _version(connection, path)  # asked again: another process may have been quicker
    steps = (_STEPS[step] for step in range(version, STATE_VERSION)) if version else (_SCHEMA,)
    for statements in steps:
        for statement in statements:
            connection.execute(statement)
    connection.execute("COMMIT")


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """Return the version of our table; 0 for an empty file. Raises ValueError for a newer or a foreign one."""
    # tables first: they are committed together with their version, perhaps just now
    tables = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > STATE_VERSION:
        raise ValueError(
            f"{path} was written by a newer gateway: its schema has version {version}, and this gateway supports "
            f"{STATE_VERSION}. {way_back(path, STATE_VERSION)}. Or name another file."
        )
    if tables and not version:
        raise ValueError(f"{path} is another program's database. Name another file.")
    return version
