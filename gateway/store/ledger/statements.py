"""Statements in SQL text, without SQLAlchemy in between where the database is a SQLite file.

SQLAlchemy takes three quarters of the processor time of a short statement in SQLite. Values are marked by `?`.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, Protocol, cast

import sqlalchemy as sa

Values = Sequence[object]
_ROW_ERRORS = (sa.exc.DataError, sa.exc.IntegrityError, sqlite3.DataError, sqlite3.IntegrityError)
"""Errors of a database that refuses a row, such as a number that is too large for its column."""


class Result(Protocol):
    """Result of a statement."""

    @property
    def rowcount(self) -> int:
        """Rows that were changed."""
        ...

    def fetchone(self) -> Any: ...
    def fetchall(self) -> Any: ...


class Statements(Protocol):
    """Runs statements in a transaction. `sqlite3.Connection` is one."""

    def execute(self, sql: str, values: Values, /) -> Result: ...
    def executemany(self, sql: str, rows: Sequence[Values], /) -> Result: ...


class FileTransaction:
    """A transaction of a connection to a SQLite file, again each time that it is entered."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> Statements:
        self._connection.execute("BEGIN IMMEDIATE")
        return self._connection

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                with suppress(sqlite3.Error):
                    self._connection.rollback()


def statements(connection: sa.Connection) -> Statements:
    """Return what runs statements in the transaction of a connection. Errors of sqlite3 are not wrapped."""
    if connection.dialect.name == "sqlite":
        return cast("Statements", connection.connection.dbapi_connection)
    return _Psycopg(connection)


class _Psycopg:
    """Statements for PostgreSQL, by SQLAlchemy, which knows a lost connection."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, values: Values, /) -> Result:
        return self._connection.exec_driver_sql(_marked(sql), tuple(values))

    def executemany(self, sql: str, rows: Sequence[Values], /) -> Result:
        return self._connection.exec_driver_sql(_marked(sql), [tuple(row) for row in rows])


@lru_cache(256)
def _marked(sql: str) -> str:
    return sql.replace("?", "%s")


def is_of_row(error: BaseException) -> bool:
    """Return whether an error is of a row, so that another try fails too. All others are of the database."""
    if isinstance(error, sa.exc.DBAPIError | sqlite3.Error):
        return isinstance(error, _ROW_ERRORS)
    if (
        isinstance(error, sa.exc.StatementError) and error.orig is not None
    ):  # while SQLAlchemy read the values
        return is_of_row(error.orig)
    return not isinstance(error, sa.exc.SQLAlchemyError | OSError | MemoryError)
