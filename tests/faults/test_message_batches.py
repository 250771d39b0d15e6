"""A gateway that is killed while it works on a batch of Anthropic's: nothing is lost, and nothing is asked for twice."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway.store.ledger.tables import attempt
from tests.plugins.batches.test_anthropic_routes import ended, entry, results, started
from tests.support.gateway_process import Gateway
from tests.support.killed_batches import Google, KilledBatches, google_that_hangs


@pytest.fixture
async def google(request: pytest.FixtureRequest) -> AsyncIterator[Google]:
    async with google_that_hangs(request.param, is_done=True) as upstream:
        yield upstream


@pytest.mark.slow
@pytest.mark.parametrize("google", [":batchGenerateContent", "/v1beta/batches/"], indirect=True)
async def test_a_message_batch_survives_kill_9(
    start: list[Gateway], tmp_path: Path, google: Google, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY_A", "AIza-a")
    gateway = KilledBatches(tmp_path, google, "messages: {}")
    batch = await started(await gateway.client(start), entry("a"), entry("b"))

    client = await gateway.killed(start)
    done = await ended(client, batch, seconds=60)

    assert google.count(":batchGenerateContent") == 1
    assert done["request_counts"]["succeeded"] == 2
    assert [line["custom_id"] for line in await results(client, done["results_url"])] == ["a", "b"]
    with gateway.ledger() as engine, engine.connect() as connection:
        rows = connection.execute(sa.select(attempt.c.outcome, attempt.c.micros)).all()
    assert [row.outcome for row in rows if row.micros] == ["ok"]
