"""The file of a batch: its faults, by line."""

import resource
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.plugins.batches.input_file import FileLimits, InputFile
from tests.support.batches import CHAT, FLASH, BatchTeam, batch_team, chat_body, jsonl, line
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


@pytest.mark.parametrize(
    ("data", "codes"),
    [
        (b"", ["empty_file"]),
        (b"\n \n", ["empty_file"]),
        (b"\n" * 9000, ["invalid_json_line"] * 4 + ["too_many_lines"]),
        (b"\xef\xbb\xbf" + jsonl([line("a")]) + b"\r\n" + jsonl([line("b")]).rstrip(), []),
        (jsonl([line("a")]) + b'{"x":"' + b"y" * 3000 + b"\n" + jsonl([line("b")]), ["line_too_long"]),
        (jsonl([line(str(i)) for i in range(5)]), ["too_many_lines"]),
        (jsonl([line(str(i)) for i in range(90)]), ["file_too_large"]),
        (b"\xff\xfe\x00", ["invalid_json_line"]),
        (b"[" * 900, ["invalid_json_line"]),
    ],
)  # fmt: skip
def test_a_file_is_bounded(tmp_path: Path, data: bytes, codes: list[str]) -> None:
    path = tmp_path / "in"
    path.write_bytes(data)

    file = InputFile(path, CHAT, FileLimits(4, 10_000, 1000))
    assert [fault.code for fault in file.faults()] == codes
    if not codes:
        assert [each.custom_id for each in file.read()] == ["a", "b"]


@pytest.mark.slow
def test_one_bad_line_of_200_mb_is_found_in_little_memory(tmp_path: Path) -> None:
    path, body = tmp_path / "in", chat_body("x" * 4000)
    with path.open("wb") as file:
        for i in range(48_000):
            file.write(jsonl([line(str(i), body)]))
        file.write(b"{bad\n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    (fault,) = InputFile(path, CHAT, FileLimits(50_000, 2**28, 2**25)).faults()

    assert (fault.code, fault.line) == ("invalid_json_line", 48_001)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000
