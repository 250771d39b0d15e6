"""A SQLite database with one connection, which one thread at a time uses, and a schema with a version."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway.store.sqlite_file import connect, create, use_wal

Run = Callable[..., list[tuple[Any, ...]]]
"""Runs one statement of a transaction with its values, and returns its rows."""


class SqliteDatabase:
    """All methods block. They may be called from any thread."""

    def __init__(self, path: Path, schema: Sequence[str], version: int) -> None:
        """Open or create the database. Raises sqlite3.Error, OSError, and ValueError for a newer gateway's."""
        create(path)
        self._connection = connect(path)
        self._lock = threading.Lock()
        use_wal(self._connection)
        with self.transaction() as run:
            written: int = run("PRAGMA user_version")[0][0]
            if written > version:
                raise ValueError(f"{path} was written by a newer gateway. Name another folder.")
            if not written:
                for statement in (*schema, f"PRAGMA user_version = {version}"):
                    run(statement)

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[Run]:
        """Run statements that take effect together, or not at all."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._run
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows of one statement."""
        with self._lock:
            return self._run(statement, *values)

    def _run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement, values).fetchall()
