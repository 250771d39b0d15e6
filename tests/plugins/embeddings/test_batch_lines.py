"""Embeddings as lines of a batch."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.batches import BatchTeam, batch_team, line
from tests.support.servers import Serve


@pytest.fixture
async def team(serve: Serve, tmp_path: Path) -> AsyncIterator[BatchTeam]:
    async with batch_team(serve, tmp_path) as result:
        yield result


async def test_ba10_embeddings_are_base64_where_asked_for(team: BatchTeam) -> None:
    client = await team.begin()
    url = "/v1/embeddings"
    bodies = [
        {
            "model": "gemini-embedding-001",
            "input": ["one", "two"],
            "encoding_format": "base64",
            "dimensions": 128,
        },
        {"model": "gemini-embedding-001", "input": "three", "dimensions": 128},
    ]

    lines = [line("a", bodies[0], url), line("b", bodies[1], url)]
    done = await client.reached(await client.started(lines, url), "completed")

    assert len(team.calls("/models/gemini-embedding-001:asyncBatchEmbedContent")) == 1
    output = await client.content(done["output_file_id"])
    for each, body in zip(output, bodies, strict=True):
        status, plain = await client.call("POST", url, json=body)
        assert status == 200
        assert each["response"]["body"] == plain
