"""The cost of a batch: half the price, one row of the ledger for each part."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.batches import BatchTeam, batch_team, job, line, said
from tests.support.servers import Serve


@pytest.fixture
async def team(serve: Serve, tmp_path: Path) -> AsyncIterator[BatchTeam]:
    async with batch_team(serve, tmp_path) as result:
        yield result


async def test_the_ledger_has_half_the_price_of_each_part(team: BatchTeam) -> None:
    client = await team.begin()
    team.answers["/batches/"] = job(
        "SUCCEEDED", said("0", prompt=1000, completion=2000), said("1", prompt=10)
    )

    await client.reached(await client.started([line("a"), line("b")]), "completed")

    (row,) = [row for row in await team.team.settled() if row.surface == "batch"]
    assert (row.prompt, row.completion, row.outcome, row.project) == (1010, 2001, "ok", "a")
    assert row.micros == pytest.approx((1010 * 0.3 + 2001 * 2.5) / 2, abs=2)
