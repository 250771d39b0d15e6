"""Copy of a ledger from a SQLite file into another database: all or nothing, and compared row by row. Blocks."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.dialects import sqlite

from gateway.store.ledger.tables import about, metadata, prepare
from gateway.store.sqlite_file import connect

_TABLES = ", ".join(table.name for table in metadata.sorted_tables)
_ROWS = 2000
"""Rows of one statement, and rows that are held in memory."""
_MOST_INTEGER = 2**31 - 1
Row = tuple[Any, ...]


class Moved(Struct):
    """Result of a move."""

    rows: dict[str, int]
    """Rows by table, counted in both databases."""
    changed: int = 0
    """Values that had no place in the columns of the target, and were cut."""
    again: bool = False
    """The target had all of them already."""


def move(source: Path, target: sa.Engine) -> Moved:
    """Copy all rows of the ledger in `source` into an empty `target`, in one transaction, and compare both.

    Raises ValueError if a gateway has the file open, if the target has other rows, or if the two differ after the copy;
    and errors of the drivers. Nothing is in the target then. A target that has exactly these rows is no error.
    """
    moved = Moved({})
    try:
        with _alone(source) as reader, target.begin() as connection:
            prepare(connection, lambda _: None)
            if connection.dialect.name == "postgresql":
                connection.execute(sa.text(f"LOCK TABLE {_TABLES} IN EXCLUSIVE MODE"))
            moved.again = _has_rows(connection)
            for table in metadata.sorted_tables:
                fit = _Fit(table)
                if not moved.again:
                    if table is about:
                        connection.execute(about.delete())  # the rows that `prepare` has inserted
                    for rows in _batches(_read(reader, table, fit)):
                        connection.execute(
                            table.insert(), [dict(zip(table.c.keys(), row, strict=True)) for row in rows]
                        )
                    moved.changed += fit.changed
                moved.rows[table.name] = _compare(reader, connection, table, again=moved.again)
    finally:
        target.dispose()
    return moved


@contextmanager
def _alone(source: Path) -> Iterator[sqlite3.Connection]:
    """Open the file for this process alone. Raises ValueError if another one has it open."""
    with closing(connect(source)) as reader:
        try:
            # before the first read: in WAL mode, this fails while any other connection is open
            # (https://www.sqlite.org/wal.html#use_of_wal_without_shared_memory)
            reader.execute("PRAGMA busy_timeout = 0")
            reader.execute("PRAGMA locking_mode = EXCLUSIVE")
            reader.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise ValueError(f"{source} is in use: stop the gateway first ({error})") from error
        yield reader
        reader.execute("ROLLBACK")


def _has_rows(connection: sa.Connection) -> bool:
    return any(
        connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first() is not None
        for table in metadata.sorted_tables
        if table is not about
    )


class _Fit:
    """Fits values of SQLite, which has neither lengths nor booleans, into a table's columns."""

    def __init__(self, table: sa.Table) -> None:
        self.changed = 0
        self._columns: list[Callable[[Any], Any]] = [_fitting(column.type) for column in table.c]

    def row(self, values: Sequence[Any]) -> Row:
        """Return a row as the target can hold it, and count the values that differ."""
        result = tuple(
            value if value is None else fit(value) for fit, value in zip(self._columns, values, strict=True)
        )
        self.changed += sum(new != old for new, old in zip(result, values, strict=True))
        return result


def _fitting(kind: sa.types.TypeEngine[Any]) -> Callable[[Any], Any]:
    """Return the function that fits a value into a column of a type."""
    if isinstance(kind, sa.Boolean):
        return bool
    if isinstance(kind, sa.Float):
        return float
    if isinstance(kind, sa.BigInteger):
        return int
    if isinstance(kind, sa.Integer):
        return lambda value: max(-_MOST_INTEGER, min(int(value), _MOST_INTEGER))
    length = getattr(kind, "length", None)
    return lambda value: str(value).replace("\0", "")[:length]  # PostgreSQL's text holds no NUL


def _read(reader: sqlite3.Connection, table: sa.Table, fit: _Fit) -> Iterator[Row]:
    """Yield the rows of the file in the order of the primary key, as the target can hold them."""
    statement = sa.select(table).order_by(*table.primary_key).compile(dialect=sqlite.dialect())
    return map(fit.row, reader.execute(str(statement)))


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while batch := list(islice(rows, _ROWS)):
        yield batch


def _compare(reader: sqlite3.Connection, connection: sa.Connection, table: sa.Table, *, again: bool) -> int:
    """Return the number of rows of a table. Raises ValueError if the two databases differ in one."""
    # SQLite compares texts by their bytes; PostgreSQL does so in the collation C
    c_order = connection.dialect.name == "postgresql"
    order = [
        sa.collate(column, "C") if c_order and isinstance(column.type, sa.String) else column
        for column in table.primary_key
    ]
    query = sa.select(table).order_by(*order).execution_options(yield_per=_ROWS)
    count = 0
    with connection.execute(query) as copied:
        for count, (row, copy) in enumerate(zip_longest(_read(reader, table, _Fit(table)), copied), 1):
            if copy is None or row != tuple(copy):
                raise ValueError(_difference(table.name, count, again=again))
    return count


def _difference(table: str, row: int, *, again: bool) -> str:
    if again:
        return f"the database has a ledger with other rows in {table}: name an empty database"
    return f"row {row} of {table} differs after the copy; please report this"
