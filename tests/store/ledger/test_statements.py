"""Statements in SQL text, the same for both databases."""

import sqlite3

import pytest
import sqlalchemy as sa

from gateway.store.ledger.statements import is_of_row, statements
from gateway.store.ledger.tables import budget, open_engine

INSERT = "INSERT INTO budget (client, unit, period, start, spent, reserved) VALUES (?, ?, ?, ?, ?, ?)"
ROWS = [(client, "tokens", "day", 0.0, 7, 2**61) for client in ("a", "it's 100 % b", "c")]


def test_statements_run_in_the_transaction_of_the_connection(url: str) -> None:
    engine = open_engine(url, None)
    try:
        with engine.connect() as connection:
            connection.begin()
            statements(connection).executemany(INSERT, ROWS)  # undone with the transaction
        with engine.begin() as connection:
            sql = statements(connection)
            assert sql.execute("SELECT * FROM budget WHERE spent = ?", (7,)).fetchone() is None
            sql.executemany(INSERT, ROWS)
            sql.execute(INSERT, (*ROWS[0][:3], 1.0, 8, 9))
            change = sql.execute("UPDATE budget SET spent = spent + ? WHERE client = ?", (5, ROWS[1][0]))
            assert change.rowcount == 1
        with engine.begin() as connection:
            query = "SELECT client, spent, reserved FROM budget WHERE start < ? ORDER BY client"
            rows = [tuple(row) for row in statements(connection).execute(query, (1.0,)).fetchall()]
            assert connection.execute(sa.select(sa.func.count()).select_from(budget)).scalar() == 4
    finally:
        engine.dispose()

    assert rows == [("a", 7, 2**61), ("c", 7, 2**61), ("it's 100 % b", 12, 2**61)]


def test_errors_of_sqlite_are_not_wrapped(tmp_path: object) -> None:
    engine = open_engine(f"{tmp_path}/ledger.db", None)
    with pytest.raises(sqlite3.IntegrityError), engine.begin() as connection:
        statements(connection).executemany(INSERT, [ROWS[0], ROWS[0]])
    engine.dispose()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (sqlite3.IntegrityError("UNIQUE constraint failed"), True),
        (sqlite3.OperationalError("database is locked"), False),
        (sa.exc.DataError("INSERT", {}, Exception("too long")), True),
        (sa.exc.OperationalError("INSERT", {}, Exception("gone")), False),
        (sa.exc.StatementError("bind", "INSERT", {}, OverflowError("too large")), True),
        (sa.exc.StatementError("bind", "INSERT", {}, None), False),
        (OverflowError("Python int too large to convert to SQLite INTEGER"), True),
        (OSError("disk"), False),
        (MemoryError(), False),
    ],
)
def test_an_error_is_of_the_row_or_of_the_database(error: Exception, *, expected: bool) -> None:
    assert is_of_row(error) is expected
