"""Reports: sums by columns and by buckets of time."""

import pytest

from gateway.policy.clients.budgets import Budget
from gateway.store.ledger import reports
from gateway.store.ledger.reports import spent_of_all, usage
from tests.support.ledgers import AT, CLIENT, OpenLedger, intent, settlement


async def test_sums_by_column_bucket_and_client(url: str) -> None:
    async with OpenLedger(url) as opened:
        for i in range(4):
            await opened.ledger.begin(intent(i, at=AT + i * 1800))
            await opened.ledger.settle(settlement(i))
        await opened.written()
        engine = opened.ledger.engine
        hours = usage(engine, 0, 2e9, ["model"], 3600)
        assert [(row.start % 3600, row.calls, row.prompt) for row in hours] == [(0, 1, 10), (0, 2, 20), (0, 1, 10)]  # fmt: skip
        clients = usage(engine, 0, 2e9, ["client"], only=[CLIENT])
        assert [(row.client, row.model, row.micros) for row in clients] == [(CLIENT, "", 28)]
        assert usage(engine, 0, 2e9, only=["key_b"]) == []
        assert [row.calls for row in usage(engine, AT, AT + 1800)] == [1]


async def test_what_is_spent_of_all_budgets_in_their_current_periods(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "_CLIENTS", 2)
    day, total = Budget("tokens", "day", 1000), Budget("money", "total", 1000)
    async with OpenLedger(url) as opened:
        for i, budgets in enumerate([(day, total), (day,)]):
            await opened.ledger.begin(intent(i, *budgets))
            await opened.ledger.settle(settlement(i))
        await opened.written()
        engine, clients = opened.ledger.engine, ["x", "y", CLIENT]

        assert spent_of_all(engine, clients, AT) == {
            (CLIENT, "tokens", "day"): 20,
            (CLIENT, "money", "total"): 7,
        }
        assert spent_of_all(engine, clients, AT + 86400) == {(CLIENT, "money", "total"): 7}
        assert spent_of_all(engine, ["x"], AT) == {}
