"""Thought signatures in a SQLite file: memory in front, one writer thread behind.

A signature is in memory at once and on disk a moment later; a request never waits for a write, and no failure of the
disk fails one. Several processes (blue and green) share one file, and a new one finds what the old one knew.
"""

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue

from gateway.store.key_value import StoreLimits
from gateway.store.memory import MemoryStore, cost

_VERSION = 1
"""Of the schema, in `user_version`."""
_SCHEMA = (
    # the value stands last: SQLite reads the columns before it without walking through its pages
    """CREATE TABLE signature (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, at REAL NOT NULL,
       size INTEGER NOT NULL, value TEXT NOT NULL)""",
    # both bounds are kept by this index alone
    "CREATE INDEX signature_age ON signature (at, size)",
    f"PRAGMA user_version = {_VERSION}",
)
_PUT = "INSERT OR REPLACE INTO signature (key, at, size, value) VALUES (?, ?, ?, ?)"
_GET = "SELECT key, at, value FROM signature WHERE at >= ? AND key IN ({})"
_EXPIRE = "DELETE FROM signature WHERE at < ?"
_TOTAL = "SELECT COALESCE(SUM(size), 0) FROM signature"
_SHRINK = (
    "DELETE FROM signature WHERE id IN (SELECT id FROM (SELECT id, SUM(size) OVER (ORDER BY at DESC, id DESC) AS total"
    " FROM signature) WHERE total > ?)"
)

_BUSY = 2.0
"""Seconds to wait for another process that writes."""
_CLOSING = 5.0
"""Seconds that the last writes may take."""
_BACKLOG = 64 * 2**20
"""Bytes that may wait for the disk."""
_SLACK = 8
"""The file is pruned after each such part of its bound was written, and by that part below its bound."""
_AT_ONCE = 500
"""Keys in one query; old builds of SQLite take 999 parameters."""
_WAL_LIMIT = 16 * 2**20
"""Bytes that the write-ahead log is cut back to after it has grown."""

_FAILURES = (sqlite3.Error, OSError, ValueError, MemoryError)
"""All that a broken disk, a locked file or a foreign schema raise."""

Row = tuple[bytes, float, int, str]
"""Key, when it came, bytes, signature."""


def state_path(file: str, environ: Mapping[str, str]) -> Path:
    """Where `state.file` is: an absolute path as it is, others below systemd's STATE_DIRECTORY or the working one."""
    directory = environ.get("STATE_DIRECTORY", "").partition(":")[0]  # systemd joins several by colons
    return Path(directory or Path.cwd()) / file


class SqliteStore:
    """Signatures that outlive the process.

    Opening blocks and is meant for the start. Raises ValueError for a file that a newer gateway or another program
    wrote; any other trouble is told to `on_error`, once for each kind and from any thread, and memory serves on.
    """

    def __init__(
        self,
        path: Path,
        config: StoreLimits,
        on_error: Callable[[str], None],
        noun: str = "thought signatures",
    ) -> None:
        self._faults = _Faults(path, on_error, noun)
        self._age = config.age
        self._room = min(_BACKLOG, config.bound)
        self._memory = MemoryStore(config)
        self._reader = _Reader(path)
        self._writer = _Writer(path, config, self._faults, _open_first(path, self._faults))
        self._queued = 0
        self._closed = False
        self._writer.start()

    @property
    def errors(self) -> int:
        """Reads and writes that failed so far."""
        return self._faults.count

    async def get(self, keys: Sequence[bytes], now: float) -> dict[bytes, str]:
        """From memory, and what is not there from the file."""
        found = await self._memory.get(keys, now)
        missing = [key for key in keys if key not in found]
        if not missing or self._closed:
            return found
        for key, at, signature in await asyncio.to_thread(self._read, missing, now - self._age):
            if key not in self._memory:  # else a newer one came while the file was read
                self._memory.keep(key, signature, at)
            found[key] = signature
        return found

    async def put(self, found: Mapping[bytes, str], now: float) -> None:
        """Into memory at once; into the file with the next commit."""
        await self._memory.put(found, now)
        rows: list[Row] = [(k, now, cost(k, s), s) for k, s in found.items() if self._memory.fits(k, s)]
        size = sum(row[2] for row in rows)
        if not rows or self._closed:
            return
        if self._queued + size - self._writer.settled > self._room:
            self._faults.add(
                "are not written", "the disk is too slow", "They are in memory; use a faster disk."
            )
            return
        self._queued += size
        self._writer.queue.put(rows)

    async def flush(self) -> None:
        """Wait until all that was put is in the file, or has failed."""
        if not self._closed:
            done: Future[None] = Future()
            self._writer.queue.put(done)
            await asyncio.wrap_future(done)

    async def close(self) -> None:
        """Write what waits, for at most five seconds; from then on only memory answers."""
        if not self._closed:
            self._closed = True
            self._writer.queue.put(None)
            await asyncio.to_thread(self._join)

    def _join(self) -> None:
        self._writer.join(_CLOSING)
        if self._writer.is_alive():
            self._faults.add("of the last moments may be lost", "the disk did not answer", "Check the disk.")
        self._reader.close()

    def _read(self, keys: list[bytes], since: float) -> list[tuple[bytes, float, str]]:
        try:
            return self._reader.read(keys, since)
        except _FAILURES as error:
            self._faults.add("cannot be read", error, "Check that the file is there and readable.")
            return []


class _Faults:
    """Counts what goes wrong, and tells each kind once."""

    def __init__(self, path: Path, on_error: Callable[[str], None], noun: str) -> None:
        self._path = path
        self._on_error = on_error
        self._noun = noun
        self._said: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self.count = 0

    def add(self, what: str, why: Exception | str, remedy: str) -> None:
        """May be called from any thread."""
        with self._lock:
            self.count += 1
            new = (what, str(why)) not in self._said
            self._said.add((what, str(why)))
        if new:
            self._on_error(f"{self._path}: {self._noun} {what}: {str(why) or type(why).__name__}. {remedy}")


class _Reader:
    """One connection for all threads that read, one at a time; opened when first needed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def read(self, keys: list[bytes], since: float) -> list[tuple[bytes, float, str]]:
        """Those that came at `since` or later. After a failure the next call opens the file anew."""
        with self._lock:
            try:
                self._connection = self._connection or _connect(self._path)
                return self._select(self._connection, keys, since)
            except _FAILURES:
                self._let_go()
                raise

    def _select(
        self, connection: sqlite3.Connection, keys: list[bytes], since: float
    ) -> list[tuple[bytes, float, str]]:
        rows: list[tuple[bytes, float, str]] = []
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            rows += connection.execute(_GET.format(",".join("?" * len(some))), (since, *some))
        return rows

    def close(self) -> None:
        """After the reads under way."""
        with self._lock:
            self._let_go()

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class _Writer(threading.Thread):
    """Writes all that is queued in one transaction, then looks again; None in the queue ends it."""

    def __init__(
        self, path: Path, config: StoreLimits, faults: _Faults, connection: sqlite3.Connection | None
    ) -> None:
        super().__init__(name="signatures", daemon=True)
        self.queue: SimpleQueue[list[Row] | Future[None] | None] = SimpleQueue()
        self.settled = 0
        """Bytes written or given up; only this thread counts it, so it needs no lock."""
        self._path = path
        self._config = config
        self._faults = faults
        self._connection = connection
        self._unpruned = config.bound

    def run(self) -> None:
        if self._connection is not None:
            self._attempt([])
        while self._turn():
            pass
        self._let_go()

    def _turn(self) -> bool:
        """One round; false when it was the last. What it wrote is free when it returns."""
        items = self._take()
        rows = [row for item in items if isinstance(item, list) for row in item]
        if rows:
            self._attempt(rows)
        self.settled += sum(row[2] for row in rows)
        for item in items:
            if isinstance(item, Future) and item.set_running_or_notify_cancel():
                item.set_result(None)
        return None not in items

    def _take(self) -> list[list[Row] | Future[None] | None]:
        """Wait for something; take all there is."""
        items = [self.queue.get()]
        with suppress(Empty):
            while True:
                items.append(self.queue.get_nowait())
        return items

    def _attempt(self, rows: list[Row]) -> None:
        """Write; after a failure the connection is closed, which rolls back, and the next rows open another."""
        try:
            self._connection = self._connection or _open(self._path)
            self._write(self._connection, rows)
        except _FAILURES as error:
            self._let_go()
            self._faults.add(
                "cannot be written",
                error,
                "They are kept in memory meanwhile; check free space, and that the directory is writable.",
            )

    def _write(self, connection: sqlite3.Connection, rows: list[Row]) -> None:
        self._unpruned += sum(row[2] for row in rows)
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(_PUT, rows)
        if rows:
            connection.execute(_EXPIRE, (rows[-1][1] - self._config.age,))
        if self._unpruned > self._config.bound // _SLACK:
            self._shrink(connection)
        connection.execute("COMMIT")
        if not rows:  # at the start: a bound that was lowered gives its pages back
            connection.executescript("PRAGMA incremental_vacuum")  # execute() would stop after one page

    def _shrink(self, connection: sqlite3.Connection) -> None:
        """Oldest first."""
        room = self._config.bound - self._config.bound // _SLACK
        if connection.execute(_TOTAL).fetchone()[0] > room:
            connection.execute(_SHRINK, (room,))
        self._unpruned = 0

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _open_first(path: Path, faults: _Faults) -> sqlite3.Connection | None:
    """At the start: a corrupt file is moved aside, and one that cannot be opened now is tried again later."""
    try:
        try:
            return _open(path, check=True)
        except sqlite3.DatabaseError as error:
            # exactly this class is "not a database" and "malformed"; subclasses are locks, space and permissions
            if type(error) is not sqlite3.DatabaseError:
                raise
            _move_aside(path)
            faults.add("were lost", error, f"The file is now {path.name}.corrupt, and a new one was begun.")
            return _open(path)
    except (sqlite3.Error, OSError) as error:
        faults.add(
            "are kept in memory only", error, "Make the directory exist and be writable for the gateway."
        )
        return None


def _move_aside(path: Path) -> None:
    """The log goes first: a new file must never meet the old one's."""
    for suffix in ("-wal", "-shm", ""):
        with suppress(FileNotFoundError):
            os.replace(f"{path}{suffix}", f"{path}.corrupt{suffix}")


def _open(path: Path, *, check: bool = False) -> sqlite3.Connection:
    """A connection to a file that has our tables. Raises sqlite3.Error, OSError, or ValueError for a foreign file."""
    # O_EXCL: the file is ours alone from its first byte (SQLite gives its log the same mode), and one that exists is
    # not touched, because closing a second descriptor drops this process's locks (sqlite.org/howtocorrupt.html, 2.2)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    connection = _connect(path)
    try:
        _prepare(connection, path)
        if check and (said := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise sqlite3.DatabaseError(said)
    except BaseException:
        connection.close()
        raise
    return connection


def _connect(path: Path) -> sqlite3.Connection:
    """Never creates a file: SQLite would make it readable for everybody. Its users see to the threads."""
    uri = f"{path.absolute().as_uri()}?mode=rw"
    return sqlite3.connect(uri, uri=True, timeout=_BUSY, isolation_level=None, check_same_thread=False)


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    if not _ready(connection, path):
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # counts only before the first page is written
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT}")
    connection.execute("BEGIN IMMEDIATE")
    if not _ready(connection, path):  # asked again: another process may have been quicker
        for statement in _SCHEMA:
            connection.execute(statement)
    connection.execute("COMMIT")


def _ready(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether our tables are there; false for an empty file, ValueError for a foreign one."""
    # tables first: they and their version are committed together, perhaps just now
    tables = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > _VERSION:
        raise ValueError(
            f"{path} was written by a newer gateway: its schema is version {version}, this one knows {_VERSION}. "
            "Use the newer gateway, or name another file."
        )
    if tables and not version:
        raise ValueError(f"{path} is another program's database; name another file.")
    return bool(version)
