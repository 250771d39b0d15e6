"""The file of a batch: its faults, by line."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.batches import CHAT, FLASH, BatchTeam, batch_team, line
from tests.support.servers import Serve


@pytest.fixture
async def team(serve: Serve, tmp_path: Path) -> AsyncIterator[BatchTeam]:
    async with batch_team(serve, tmp_path) as result:
        yield result


@pytest.mark.parametrize(
    ("lines", "code", "number", "word"),
    [
        ([line("a"), line("b"), b"{not json"], "invalid_json_line", 3, "JSON"),
        ([line("a"), b"[1]"], "invalid_json_line", 2, "object"),
        ([line("a"), line("b"), line("a")], "duplicate_custom_id", 3, "line 1"),
        ([line("a", url="/v1/embeddings")], "mismatched_endpoint", 1, CHAT),
        ([{**line("a"), "method": "GET"}], "invalid_method", 1, "POST"),
        ([{**line("a"), "custom_id": None}], "missing_required_parameter", 1, "custom_id"),
        ([{**line("a"), "custom_id": 7}], "invalid_type", 1, "custom_id"),
        ([{**line("a"), "body": []}], "invalid_type", 1, "body"),
        ([line("a", {"model": FLASH, "messages": [{"role": "nobody", "content": ""}]})], "invalid_value", 1, "nobody"),
    ],
)  # fmt: skip
async def test_ba3_ba4_a_bad_line_fails_the_batch_and_nothing_is_sent(
    team: BatchTeam, lines: Any, code: str, number: int, word: str
) -> None:
    client = await team.begin()

    failed = await client.reached(await client.started(lines), "failed")

    (error,) = failed["errors"]["data"]
    assert (error["code"], error["line"]) == (code, number)
    assert word in error["message"]
    assert failed["failed_at"] >= failed["created_at"]
    assert failed["output_file_id"] is None
    assert team.seen == []


async def test_only_the_first_hundred_errors_are_shown(team: BatchTeam) -> None:
    client = await team.begin()

    failed = await client.reached(await client.started([line("a"), *[b"{"] * 150]), "failed")

    assert [error["line"] for error in failed["errors"]["data"]] == list(range(2, 102))
