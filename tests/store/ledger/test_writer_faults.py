"""Rows that a database cannot hold, and numbers of any size: all other rows are written, and the sums work."""

import asyncio
import json
import tempfile
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from gateway.errors import BudgetExceeded, LedgerUnavailable
from gateway.gemini.usage import TokenCounts
from gateway.policy.clients.budgets import Budget
from gateway.policy.ledger import MOST_AMOUNT, MOST_COUNT, Intent
from gateway.store.ledger.reports import BY, spent, usage
from gateway.store.ledger.tables import attempt, budget
from gateway.store.ledger.writer import Ledger
from tests.support.ledgers import AT, CLIENT, OpenLedger, intent, settlement

BAD = "\ud800"
"""Half of a surrogate pair, which no database takes as text."""
WIDE = Budget("tokens", "total", 2**53)
MONEY = Budget("money", "month", 2**50)
MOST = 2**63 - 1
"""The largest number of SQLite and of PostgreSQL's bigint."""


def bad(number: int, *budgets: Budget) -> Intent:
    return structs.replace(intent(number, *budgets, reserve=5), request_id=BAD)


@pytest.mark.row("A7")
async def test_a07_a_row_that_cannot_be_written_is_dropped_and_all_others_are_written(url: str) -> None:
    async with OpenLedger(url) as opened:
        begun = [bad(i, WIDE) if i in (3, 4, 11) else intent(i, WIDE, reserve=5) for i in range(16)]
        results = await asyncio.gather(*map(opened.ledger.begin, begun), return_exceptions=True)
        rows = await opened.rows()
        assert spent(opened.ledger.engine, CLIENT, [WIDE], AT) == [(0, 13 * 5)]
        assert (opened.ledger.dropped, opened.ledger.errors, opened.ledger.is_stuck(30)) == (3, 0, False)
        await opened.ledger.begin(intent(99, WIDE))

    assert [i for i, result in enumerate(results) if isinstance(result, LedgerUnavailable)] == [3, 4, 11]
    assert [int(row.id, 16) for row in rows] == [i for i in range(16) if i not in (3, 4, 11)]
    (message,) = opened.messages
    assert message.startswith("The ledger dropped a row that cannot be written: ")


async def test_a_call_whose_row_is_dropped_is_served_where_no_budget_depends_on_it(url: str) -> None:
    async with OpenLedger(url) as opened:
        await opened.ledger.begin(bad(1))
        await opened.ledger.settle(settlement(1))
        opened.ledger.note(structs.replace(settlement(2), price=BAD))
        assert await opened.rows() == []
        assert opened.ledger.dropped == 2


async def test_the_second_row_of_an_id_is_dropped(url: str) -> None:
    async with OpenLedger(url) as opened:
        await opened.ledger.begin(intent(1))
        await opened.ledger.begin(intent(1))
        await opened.ledger.begin(intent(2))
        assert [int(row.id, 16) for row in await opened.rows()] == [1, 2]
        assert opened.ledger.dropped == 1


async def test_rows_and_budgets_of_any_size_are_summed(url: str) -> None:
    """Earlier versions wrote counts up to the largest integer."""
    names = ("prompt", "cached", "tool_use", "completion", "thoughts", "prompt_audio", "searches", "micros")
    row = {
        "at": AT, "request_id": "r", "client": CLIENT, "project": "blue", "model": "m", "surface": "chat",
        "ended": AT, "outcome": "ok", "reserved": json.dumps([["tokens", "total", 0.0, MOST]]),
    }  # fmt: skip
    async with OpenLedger(url) as opened:
        engine = opened.ledger.engine
        with engine.begin() as connection:
            connection.execute(
                attempt.insert(),
                [{**row, "id": str(i), **dict.fromkeys(names, MOST)} for i in range(3)],
            )
            connection.execute(
                attempt.insert(), {**row, "id": f"{9:032x}", "ended": None, **dict.fromkeys(names)}
            )
            key = {"client": CLIENT, "unit": "tokens", "period": "total", "start": 0.0}
            connection.execute(budget.insert(), {**key, "spent": MOST, "reserved": MOST})
        (sums,) = usage(engine, 0, 2e9)
        assert (sums.calls, sums.prompt, sums.micros) == (4, 6 * MOST_COUNT, 3 * MOST_AMOUNT)
        assert [row.calls for row in usage(engine, 0, 2e9, BY, 3600)] == [4]
        with pytest.raises(BudgetExceeded):
            await opened.ledger.begin(intent(1, WIDE, reserve=1))
        await opened.ledger.settle(settlement(9))
        await opened.written()
        ((used, reserved),) = spent(engine, CLIENT, [WIDE], AT)
        assert (used > 2**60, reserved, opened.ledger.dropped, opened.messages) == (True, 0, 0, [])


NUMBERS = st.one_of(
    st.integers(-(2**80), 2**80),
    st.sampled_from([2**31, 2**53, 2**62, MOST, MOST + 1, 2**64 - 1]),
    st.integers(0, 9),
)
CALL = st.tuples(st.lists(NUMBERS, min_size=12, max_size=12), NUMBERS, NUMBERS, NUMBERS, NUMBERS)


@pytest.mark.row("A7")
@settings(max_examples=40, deadline=None)
@given(st.lists(CALL, min_size=1, max_size=12))
def test_a07_calls_with_any_numbers_are_written_and_summed(
    calls: list[tuple[list[int], int, int, int, int]],
) -> None:
    async def run(path: Path) -> None:
        async with OpenLedger(str(path)) as opened:
            begun = [
                Intent(f"{i:032x}", AT, "r", CLIENT, "p", "m", "s", money, tokens, (WIDE, MONEY))
                for i, (_, money, tokens, _, _) in enumerate(calls)
            ]
            await asyncio.gather(*map(opened.ledger.begin, begun))
            for i, (counts, _, _, status, micros) in enumerate(calls):
                end = structs.replace(
                    settlement(i), counts=TokenCounts(*counts), status=status, micros=micros
                )
                opened.ledger.note(end)
            rows = await opened.rows()
            assert [row.outcome for row in rows] == ["ok"] * len(calls)
            check_sums(opened.ledger, rows)
            assert (opened.ledger.dropped, opened.messages) == (0, [])

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder) / "ledger.db"))


def check_sums(ledger: Ledger, rows: "list[sa.Row[tuple[int, ...]]]") -> None:
    (sums,) = usage(ledger.engine, 0, 2e9)
    assert sums.prompt == sum(row.prompt + row.tool_use for row in rows)
    assert sums.completion == sum(row.completion + row.thoughts for row in rows)
    assert sums.micros == sum(row.micros for row in rows)
    tokens, money = spent(ledger.engine, CLIENT, [WIDE, MONEY], AT)
    assert tokens == (sums.prompt + sums.completion, 0)
    assert money == (sums.micros, 0)
