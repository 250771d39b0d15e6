"""The ledger's rows: what is written, deleted, settled for dead processes, and reported."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from msgspec import structs

from gateway.errors import BudgetExceeded
from gateway.gemini.usage import TokenCounts
from gateway.policy.clients.budgets import Budget
from gateway.policy.ledger import Intent, Settlement
from gateway.store.ledger.reports import spent
from gateway.store.ledger.writer import _Entry, _resolve, reconcile
from tests.support.ledgers import AT, CLIENT, OpenLedger, intent, settlement

WRITER = "gateway.store.ledger.writer"
SENTENCE = "It fails: {}."
TOTAL, MONEY = Budget("tokens", "total", 1000), Budget("money", "total", 1000)
COUNTS = {
    "prompt": 1, "cached": 2, "tool_use": 3, "completion": 4, "thoughts": 5, "prompt_image": 6, "prompt_video": 7,
    "prompt_audio": 8, "completion_image": 9, "completion_audio": 10, "searches": 11,
}  # fmt: skip


async def test_each_column_has_its_value(url: str) -> None:
    begun = Intent("f" * 32, AT, "req", CLIENT, "blue", "m" * 129, "chat", 70, 8, (TOTAL, MONEY))
    ended = Settlement("f" * 32, AT + 3, "error", 503, TokenCounts(**COUNTS), 12, "v2", False, 13, 14)
    async with OpenLedger(url) as opened:
        await opened.ledger.begin(begun)
        (before,) = await opened.rows()
        await opened.ledger.settle(ended)
        (row,) = await opened.rows()

    head = {
        "id": "f" * 32, "at": AT, "request_id": "req", "client": CLIENT, "project": "blue", "model": "m" * 128,
        "surface": "chat", "reserved": '[["tokens", "total", 0.0, 8], ["money", "total", 0.0, 70]]',
    }  # fmt: skip
    tail = {
        **COUNTS, "ended": AT + 3, "outcome": "error", "status": 503, "micros": 12, "price": "v2",
        "exact": False, "first_byte_ms": 13, "duration_ms": 14,
    }  # fmt: skip
    assert before._asdict() == {**head, **dict.fromkeys(tail)}
    assert row._asdict() == {**head, **tail}


async def test_the_end_of_a_call_without_a_reservation_changes_no_budget(url: str) -> None:
    async with OpenLedger(url) as opened:
        await opened.ledger.begin(intent(1, TOTAL, reserve=100))
        await opened.ledger.begin(intent(2))
        opened.ledger.note(structs.replace(settlement(1, tokens=30), reserved=False))
        opened.ledger.note(settlement(2, tokens=30))
        rows = await opened.rows()
        assert spent(opened.ledger.engine, CLIENT, [TOTAL], AT) == [(0, 100)]

    assert [(row.outcome, row.reserved) for row in rows] == [
        ("ok", '[["tokens", "total", 0.0, 100]]'),
        ("ok", ""),
    ]


async def test_a_refused_call_of_a_group_has_no_row(url: str) -> None:
    async with OpenLedger(url) as opened:
        calls = [intent(i, TOTAL, reserve=400) for i in range(3)]
        results = await asyncio.gather(*map(opened.ledger.begin, calls), return_exceptions=True)
        rows = await opened.rows()

    assert [type(result) for result in results] == [bool, bool, BudgetExceeded]
    assert [int(row.id, 16) for row in rows] == [0, 1]
    assert (opened.ledger.errors, opened.ledger.dropped, opened.messages) == (0, 0, [])


async def test_rows_keep_their_order_through_transactions_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A settlement has an effect only after its intent."""
    monkeypatch.setattr(f"{WRITER}._RETRY", 0.01)
    path = tmp_path / "ledger.db"
    async with OpenLedger(str(path)) as opened:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("ALTER TABLE attempt RENAME TO elsewhere")
            for i in range(4):
                await opened.ledger.begin(intent(i))
                opened.ledger.note(settlement(i))
            monkeypatch.setattr(f"{WRITER}._MAX_ROWS", 1)
            other.execute("ALTER TABLE elsewhere RENAME TO attempt")
        rows = await opened.rows()

    assert [row.outcome for row in rows] == ["ok"] * 4


DAY = 86400.0


@pytest.mark.parametrize("age", [0.0, 90 * DAY, 90 * DAY + 1])
async def test_a_row_is_deleted_after_so_many_days(tmp_path: Path, age: float) -> None:
    path = str(tmp_path / "ledger.db")
    async with OpenLedger(path) as opened:
        await opened.ledger.begin(intent(1, at=AT - age))
    async with OpenLedger(path, days=90) as reopened:
        await reopened.ledger.begin(intent(2))
        rows = await reopened.rows()

    assert len(rows) == (1 if age > 90 * DAY else 2)


async def test_some_old_rows_are_deleted_once_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{WRITER}._MAX_PRUNED", 2)
    path = str(tmp_path / "ledger.db")
    async with OpenLedger(path) as opened:
        for i in range(5):
            await opened.ledger.begin(intent(i, at=AT - 100 * DAY))
    left = []
    async with OpenLedger(path, days=90) as reopened:
        for i, interval in enumerate((3600.0, 3600.0, 0.0)):
            monkeypatch.setattr(f"{WRITER}._PRUNE_INTERVAL", interval)
            await reopened.ledger.begin(intent(10 + i))
            left.append(sum(row.at < AT for row in await reopened.rows()))

    assert left == [3, 3, 1]


async def test_of_dead_calls_those_without_an_end_are_settled(url: str) -> None:
    async with OpenLedger(url) as opened:
        for i, at in enumerate((AT, AT + 10, AT + 99.5, AT + 100)):
            begun = structs.replace(intent(i, TOTAL, MONEY, reserve=100, at=at), reserve_micros=7)
            await opened.ledger.begin(begun)
        await opened.ledger.begin(intent(4))
        await opened.ledger.settle(settlement(0, tokens=1, micros=1))
        await opened.written()
        assert reconcile(opened.ledger.engine, AT + 100, AT + 600) == 3
        rows = await opened.rows()
        assert spent(opened.ledger.engine, CLIENT, [TOTAL, MONEY], AT) == [(201, 100), (15, 7)]
        assert reconcile(opened.ledger.engine, AT + 100, AT + 700) == 0

    assert [(row.outcome, row.ended, row.micros, row.exact) for row in rows] == [
        ("ok", AT + 1, 1, True),
        ("unknown", AT + 600, 7, False),
        ("unknown", AT + 600, 7, False),
        (None, None, None, None),
        ("unknown", AT + 600, 0, False),
    ]


async def test_one_commit_wakes_all_who_wait_and_are_still_there() -> None:
    loop = asyncio.get_running_loop()
    gone, late, committed, over = (loop.create_future() for _ in range(4))
    gone.cancel()
    late.set_result(False)
    refusal = BudgetExceeded("spent")
    entries = [_Entry(intent(1), done) for done in (gone, late, committed, None, over)]
    _resolve(entries, {1: refusal, 4: refusal}, is_written=True)

    assert (gone.cancelled(), late.result(), committed.result(), over.exception()) == (
        True,
        False,
        True,
        refusal,
    )


def database_error(text: str) -> Exception:
    return sa.exc.OperationalError("INSERT INTO attempt", {}, sqlite3.OperationalError(text))


@pytest.mark.parametrize(
    ("errors", "reasons"),
    [
        ([OSError("disk full\nmore")], ["disk full"]),
        ([TimeoutError()], ["TimeoutError"]),
        ([database_error("database is locked\nmore")], ["database is locked"]),
        ([OSError("a"), OSError("b"), OSError("a"), OSError("a")], ["a", "b"]),
        ([OSError("a"), OSError("b"), OSError("c"), OSError("d")], ["a", "b", "c"]),
    ],
)
async def test_each_trouble_is_reported_once_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, errors: list[Exception], reasons: list[str]
) -> None:
    monkeypatch.setattr(f"{WRITER}._MAX_MESSAGES", 3)
    async with OpenLedger(str(tmp_path / "ledger.db")) as opened:
        for error in errors:
            opened.ledger._writer._report(error, SENTENCE)

    assert opened.messages == [f"It fails: {reason}." for reason in reasons]


async def test_more_calls_than_one_statement_holds_have_their_rows(url: str) -> None:
    async with OpenLedger(url) as opened:
        await asyncio.gather(*(opened.ledger.begin(intent(i, TOTAL, reserve=i % 3)) for i in range(120)))
        for i in range(120):
            opened.ledger.note(settlement(i, tokens=1))
        rows = await opened.rows()
        assert spent(opened.ledger.engine, CLIENT, [TOTAL], AT) == [(120, 0)]

    assert [(int(row.id, 16), row.outcome, row.exact) for row in rows] == [
        (i, "ok", True) for i in range(120)
    ]
