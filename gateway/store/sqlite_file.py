"""SQLite files: created readable for their owner alone, replaced when corrupt, and opened in WAL mode."""

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from time import monotonic, sleep

BUSY = 2.0
"""Seconds to wait for another process that writes."""
_PAUSE = 0.01


def ensure(path: Path) -> sqlite3.DatabaseError | None:
    """Create a file if there is none, and replace a corrupt one. Return why it was replaced, or None.

    A corrupt file is kept as `NAME.corrupt`. Raises sqlite3.Error and OSError for a file that cannot be opened now.
    """
    create(path)
    error = damage(path)
    if error is not None:
        move_aside(path)
        create(path)
    return error


def damage(path: Path) -> sqlite3.DatabaseError | None:
    """Return what is wrong with an existing file, or None for a sound or an empty one. Reads all of it.

    Raises sqlite3.Error for a file that cannot be opened now.
    """
    try:
        with closing(connect(path)) as connection:
            result = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        # exactly this class stands for SQLITE_NOTADB and SQLITE_CORRUPT; subclasses stand for locks, space, permissions
        if type(error) is not sqlite3.DatabaseError:
            raise
        return error
    return None if result == "ok" else sqlite3.DatabaseError(result)


def connect(path: Path) -> sqlite3.Connection:
    """Open an existing file. Transactions are begun explicitly, and callers see to the use by several threads.

    SQLite never creates the file here: it would be readable for everybody.
    """
    uri = f"{path.absolute().as_uri()}?mode=rw"
    return sqlite3.connect(uri, uri=True, timeout=BUSY, isolation_level=None, check_same_thread=False)


def use_wal(connection: sqlite3.Connection) -> None:
    """Let readers and a writer work at once; a commit then survives a crash of the process, though not of the machine.

    https://www.sqlite.org/wal.html, https://www.sqlite.org/pragma.html#pragma_synchronous
    """
    end = monotonic() + BUSY
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError as error:
            # SQLite does not wait where both would (https://www.sqlite.org/c3ref/busy_handler.html): two processes
            # that open a new file at once.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or monotonic() >= end:
                raise
        sleep(_PAUSE)
    connection.execute("PRAGMA synchronous = NORMAL")


def create(path: Path) -> bool:
    """Create an empty file for its owner alone. SQLite gives its log the same permissions. Return False if it exists.

    When root creates it (`gateway keys`), it belongs to the owner of the directory, which is the service.
    """
    # O_EXCL: an existing file is not opened, because closing any descriptor of it drops this process's locks
    # (https://www.sqlite.org/howtocorrupt.html, section 2.2)
    try:
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return False
    try:
        if os.geteuid() == 0:
            directory = path.absolute().parent.stat()
            os.fchown(file, directory.st_uid, directory.st_gid)
    finally:
        os.close(file)
    return True


def move_aside(path: Path) -> None:
    """Rename a file to `NAME.corrupt`. Its log goes first: a new file must never meet the old one's log."""
    for suffix in ("-wal", "-shm", ""):
        with suppress(FileNotFoundError):
            os.replace(f"{path}{suffix}", f"{path}.corrupt{suffix}")
