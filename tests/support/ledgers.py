"""Ledgers for tests: on SQLite, and on PostgreSQL where GATEWAY_TEST_POSTGRES names a database."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import pytest
import sqlalchemy as sa

from gateway.gemini.usage import TokenCounts
from gateway.policy.clients.budgets import Budget
from gateway.policy.ledger import Intent, LedgerConfig, Outcome, Settlement
from gateway.store.ledger.tables import attempt
from gateway.store.ledger.writer import Ledger
from tests.support.waiting import eventually


def _of_this_process(url: str | None) -> str | None:
    """Return a database's URL; in one of several processes of pytest-xdist, that of a database of its own beside it."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if url is None or worker is None:
        return url
    shared = sa.make_url(url)
    engine = sa.create_engine(shared.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection, suppress(sa.exc.ProgrammingError):  # it is there already
        connection.execute(sa.text(f"CREATE DATABASE gateway_{worker}"))
    engine.dispose()
    return shared.set(database=f"gateway_{worker}").render_as_string(hide_password=False)


POSTGRES = _of_this_process(os.environ.get("GATEWAY_TEST_POSTGRES"))
"""URL of a database that may be emptied; `make test-cluster` provides one."""
AT = 1e9
"""When calls begin."""
CLIENT = "key_a"
TO_VERSION_3 = (
    "DROP TABLE usage_sum",
    "DELETE FROM ledger WHERE name IN ('summed', 'summed_days')",
    "UPDATE ledger SET value = 3 WHERE name = 'version'",
)
"""Statements that turn a ledger into one of an older gateway."""
TO_VERSION_2 = (
    *TO_VERSION_3,
    *(
        f"ALTER TABLE client_key DROP COLUMN {name}"
        for name in ("note", "suspended", "old_hash", "old_until")
    ),
    "DROP TABLE audit",
    "UPDATE ledger SET value = 2 WHERE name = 'version'",
)
TO_VERSION_1 = (
    *TO_VERSION_2,
    "ALTER TABLE attempt DROP COLUMN searches",
    "UPDATE ledger SET value = 1 WHERE name = 'version'",
)


def databases(kind: str, folder: Path) -> Iterator[str]:
    """Yield the URL of an empty database of one kind, `sqlite` or `postgresql`; skip where there is none."""
    if kind == "sqlite":
        yield str(folder / "ledger.db")
        return
    if POSTGRES is None:
        pytest.skip("GATEWAY_TEST_POSTGRES names no database")
    engine = sa.create_engine(POSTGRES.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        for table in ("attempt", "audit", "client_key", "budget", "ledger", "usage_sum"):
            connection.execute(sa.text(f"DROP TABLE IF EXISTS {table}"))
    engine.dispose()
    yield POSTGRES


def intent(number: int, *budgets: Budget, reserve: int = 0, at: float = AT) -> Intent:
    """Return the intent of a call that may cost `reserve` tokens, and as many millionths of a dollar."""
    return Intent(
        f"{number:032x}", at, "req_1", CLIENT, "blue", "gemini-2.5-flash", "chat", reserve, reserve, budgets
    )


def settlement(number: int, tokens: int = 10, micros: int = 7, outcome: Outcome = "ok") -> Settlement:
    """Return the settlement of a call."""
    return Settlement(
        f"{number:032x}", AT + 1, outcome, 200, TokenCounts(prompt=tokens), micros, "v", True, 1, 2
    )


class OpenLedger:
    """An open ledger and the messages that it reported."""

    def __init__(self, url: str, **config: Any) -> None:
        self.messages: list[str] = []
        self.ledger = Ledger(url, None, LedgerConfig(**config), self.messages.append)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.ledger.close()

    async def written(self) -> None:
        """Wait until all rows are committed: on a busy machine, calls do not wait for the last commit."""
        await eventually(lambda: not self.ledger.waiting or self.ledger.is_stuck(30))
        assert not self.ledger.waiting, "the thread that writes has ended, or hangs"

    async def rows(self) -> list[Any]:
        """Return all rows, once they are committed."""
        await self.written()
        return self.rows_now()

    def rows_now(self) -> list[Any]:
        """Return the rows that are committed."""
        with self.ledger.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            return list(connection.execute(sa.select(attempt).order_by(attempt.c.id)))
