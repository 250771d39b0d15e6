"""Reports: sums by columns and by buckets of time."""

from gateway.store.ledger.reports import usage
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
