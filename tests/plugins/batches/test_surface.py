"""OpenAI's batches as the engine sees them: whose file it is."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.batches import CHAT, BatchTeam, batch_team
from tests.support.servers import Serve


@pytest.fixture
async def team(serve: Serve, tmp_path: Path) -> AsyncIterator[BatchTeam]:
    async with batch_team(serve, tmp_path) as result:
        yield result


async def test_a_file_of_another_purpose_or_client_is_no_input(team: BatchTeam) -> None:
    other = team.team.issue()
    client = await team.begin()
    file = (await client.upload())["id"]
    body = {"input_file_id": file, "endpoint": CHAT, "completion_window": "24h"}

    status, answer = await client.call("POST", "/v1/batches", json=body)
    assert (status, answer["error"]["code"]) == (400, "invalid_purpose")
    assert (await team.of(other).call("POST", "/v1/batches", json=body))[0] == 404
