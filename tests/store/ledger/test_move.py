"""Move of a ledger: all rows or none, compared, and never under a gateway."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gateway.policy.clients.client_rules import Rules
from gateway.store.ledger import client_keys, move
from gateway.store.ledger.move import Moved
from gateway.store.ledger.tables import metadata, open_engine, postgresql_engine
from tests.support.ledgers import OpenLedger, intent, settlement
from tests.support.sqlite_users import held_open

Open = Callable[[], sa.Engine]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A ledger with calls, keys and budgets, one call still in progress."""
    path = tmp_path / "source.db"
    engine = open_engine(str(path), None)
    key_id, _ = client_keys.issue(
        engine, "Ünïcode 你", Rules(dollars={"month": 2.5}, models=("gemini-*",)), 1e9, None
    )
    client_keys.issue(engine, "spent", Rules(), 1e9 + 0.123456789, 2e9)
    client_keys.revoke(engine, key_id, 1e9 + 5)
    engine.dispose()
    return path


@pytest.fixture
def target(url: str) -> Open:
    """Opens the database that the ledger is moved to, which nothing is in."""
    if not url.startswith("postgresql:"):
        return lambda: sa.create_engine(f"sqlite:///{url}-target")
    return lambda: postgresql_engine(url, None)


def content(engine: sa.Engine) -> dict[str, list[Any]]:
    with engine.connect() as connection:
        result = {
            table.name: sorted(map(tuple, connection.execute(sa.select(table)).all()), key=repr)
            for table in metadata.sorted_tables
        }
    engine.dispose()
    return result


async def fill(path: Path, calls: int = 30) -> None:
    from gateway.policy.clients.budgets import Budget

    async with OpenLedger(str(path)) as opened:
        for number in range(calls):
            await opened.ledger.begin(intent(number, Budget("tokens", "total", 10**6), reserve=100))
            if number:
                await opened.ledger.settle(settlement(number, tokens=number, micros=number * 1000))
        await opened.written()


async def test_o19_every_row_arrives_as_it_was(
    source: Path, target: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(move, "_ROWS", 7)
    await fill(source)
    moved = move.move(source, target())

    assert moved == Moved(
        {"attempt": 30, "audit": 0, "budget": 1, "client_key": 2, "ledger": 4, "usage_sum": 0}, 0, again=False
    )
    assert content(target()) == content(open_engine(str(source), None))


async def test_a_second_move_compares_and_changes_nothing(source: Path, target: Open) -> None:
    await fill(source, 3)
    move.move(source, target())
    before = content(target())

    assert move.move(source, target()) == Moved(
        {"attempt": 3, "audit": 0, "budget": 1, "client_key": 2, "ledger": 4, "usage_sum": 0}, 0, again=True
    )
    assert content(target()) == before


async def test_a_database_with_other_rows_is_refused(source: Path, target: Open) -> None:
    await fill(source, 3)
    move.move(source, target())
    engine = target()
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE attempt SET micros = 1 WHERE micros = 2000"))
    engine.dispose()
    before = content(target())
    with pytest.raises(ValueError, match="has a ledger with other rows in attempt: name an empty database"):
        move.move(source, target())

    assert content(target()) == before


async def test_o19_a_copy_that_differs_leaves_nothing_behind(
    source: Path, target: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(source, 3)

    def differs(*_: object, **__: object) -> int:
        raise ValueError("row 1 of attempt differs after the copy")

    monkeypatch.setattr(move, "_compare", differs)
    with pytest.raises(ValueError, match="differs after the copy"):
        move.move(source, target())
    engine = target()
    with engine.connect() as connection:
        rows = sum(
            connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for table in metadata.sorted_tables
            if table.name in sa.inspect(connection).get_table_names() and table.name != "ledger"
        )
    engine.dispose()

    assert rows == 0


def test_o19_nothing_is_moved_under_a_gateway(source: Path, target: Open) -> None:
    with held_open(source), pytest.raises(ValueError, match=r"source\.db is in use: stop the gateway first"):
        move.move(source, target())


def test_values_that_only_sqlite_can_hold_are_cut_and_counted(source: Path, target: Open) -> None:
    with closing(sqlite3.connect(source)) as connection, connection:
        values = ("1" * 40, 1e9, "r" * 70, "c", "p", "a\0b", "s", "", 2**40)
        names = "id, at, request_id, client, project, model, surface, reserved, status"
        connection.execute(f"INSERT INTO attempt ({names}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
    moved = move.move(source, target())
    (row,) = content(target())["attempt"]

    assert moved.changed == 4
    assert (row[0], row[2], row[5], row[10]) == ("1" * 32, "r" * 64, "ab", 2**31 - 1)
