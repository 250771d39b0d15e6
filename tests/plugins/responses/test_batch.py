"""Responses as lines of a batch."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.batches import FLASH, BatchTeam, batch_team, line
from tests.support.servers import Serve


@pytest.fixture
async def team(serve: Serve, tmp_path: Path) -> AsyncIterator[BatchTeam]:
    async with batch_team(serve, tmp_path) as result:
        yield result


async def test_responses_repeat_what_their_line_has_asked_for(team: BatchTeam) -> None:
    client = await team.begin()
    url = "/v1/responses"
    tool = {"type": "function", "name": "time", "parameters": {"type": "object", "properties": {}}}
    body = {
        "model": FLASH,
        "input": "hello",
        "instructions": "Be brief.",
        "tools": [tool],
        "metadata": {"a": "b"},
    }

    done = await client.reached(await client.started([line("a", body, url)], url), "completed")

    (answer,) = await client.content(done["output_file_id"])
    response = answer["response"]["body"]
    assert (response["object"], response["status"], response["instructions"]) == (
        "response",
        "completed",
        "Be brief.",
    )
    assert (response["tools"][0]["name"], response["metadata"], response["store"]) == (
        "time",
        {"a": "b"},
        False,
    )
    assert response["output"][-1]["content"][0]["text"]
    assert response["usage"]["total_tokens"] == done["usage"]["total_tokens"]
