"""Google's batch API: large batches are files, and redirects stay at Google."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.batches import BatchTeam, batch_team, line
from tests.support.servers import Serve


@pytest.fixture
async def team(serve: Serve, tmp_path: Path) -> AsyncIterator[BatchTeam]:
    async with batch_team(serve, tmp_path) as result:
        yield result


async def test_ba7_a_large_batch_is_a_file(team: BatchTeam, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.exchange.batches.parts.INLINE", 1000)
    client = await team.begin()

    done = await client.reached(await client.started([line(str(i)) for i in range(20)]), "completed")

    assert team.uploads() == ["a"]
    sent = team.calls(":batchGenerateContent")[0][3]
    assert sent["batch"]["inputConfig"]["fileName"].startswith("files/")
    assert team.calls("/download/")
    output = await client.content(done["output_file_id"])
    assert [each["custom_id"] for each in output] == [str(i) for i in range(20)]
