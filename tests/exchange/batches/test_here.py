"""Lines that the gateway answers itself."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.batches import FLASH, BatchTeam, batch_team, chat_body, line
from tests.support.servers import Serve
from tests.support.team import refused


@pytest.fixture
async def team(serve: Serve, tmp_path: Path) -> AsyncIterator[BatchTeam]:
    async with batch_team(serve, tmp_path) as result:
        yield result


@pytest.mark.parametrize(
    ("url", "body", "kind"),
    [
        ("/v1/completions", {"model": FLASH, "prompt": "1+1?"}, "text_completion"),
        ("/v1/moderations", {"model": "omni-moderation-latest", "input": "hello"}, None),
    ],
)
async def test_what_google_has_no_batches_for_is_asked_line_by_line(
    team: BatchTeam, url: str, body: Any, kind: str | None
) -> None:
    client = await team.begin()

    lines = [line(str(i), body, url) for i in range(6)]
    done = await client.reached(await client.started(lines, url), "completed")

    assert team.calls(":batchGenerateContent") == []
    assert len(team.calls(":generateContent")) == 6
    output = await client.content(done["output_file_id"])
    assert [each["custom_id"] for each in output] == [str(i) for i in range(6)]
    assert output[0]["response"]["body"].get("object") == kind


async def test_lines_are_asked_for_here_where_the_operator_wants_it(team: BatchTeam) -> None:
    client = await team.begin(options="run: here, poll: 0.1, longest_poll: 0.1")
    team.answers[":generateContent"] = refused(400, "This line is wrong.")

    lines = [line("a", chat_body("one", stream=True)), line("b"), line("c")]
    done = await client.reached(await client.started(lines), "completed")

    assert team.calls("batch") == []
    assert done["request_counts"] == {"total": 3, "completed": 2, "failed": 1}
    (error,) = await client.content(done["error_file_id"])
    assert error["response"]["status_code"] == 400
    rows = [row for row in await team.team.settled() if row.surface == "batch"]
    assert [row.outcome for row in rows].count("ok") == 2
