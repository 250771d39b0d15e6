"""The two files with a batch's results."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import BadRequest, TooLarge
from gateway.exchange.batches.results import LineResult
from gateway.gemini.usage import TokenCounts
from gateway.plugins.batches.output_files import write
from gateway.policy.clients.kept_batches import Batch
from gateway.policy.clients.kept_files import FileLimits
from gateway.store.files.file_store import FileStore


async def listed(*results: LineResult) -> AsyncIterator[LineResult]:
    for result in results:
        yield result


def kept(files: FileStore, name: str | None) -> list[Any]:
    assert name is not None
    return [json.loads(line) for line in files.path(name.removeprefix("file-")).read_bytes().splitlines()]


async def test_answers_and_errors_are_two_files(tmp_path: Path) -> None:
    files = FileStore(tmp_path / "files", FileLimits(10**6, 10**6, 10))
    batch, saved = Batch("a", "s", "", "openai", "/", 1, 2), list[str | None]()
    counts = TokenCounts(prompt=3, completion=4, thoughts=1)

    await write(
        batch,
        listed(
            LineResult("1", b'{"x":1}', counts),
            LineResult("2", error=BadRequest("Wrong.", param="n")),
            LineResult("3", unanswered="expired"),
            LineResult("4", b"{}", counts),
        ),
        files,
        lambda: saved.append(batch.details.output_file),
        tmp_path,
    )

    answers, errors = kept(files, batch.details.output_file), kept(files, batch.details.error_file)
    assert [line["custom_id"] for line in answers] == ["1", "4"]
    assert answers[0]["response"]["body"] == {"x": 1}
    assert [(line["custom_id"], line["response"] and line["response"]["status_code"]) for line in errors] == [
        ("2", 400), ("3", None),
    ]  # fmt: skip
    assert errors[1]["error"]["code"] == "batch_expired"
    assert (batch.completed, batch.failed) == (2, 2)
    assert batch.details.usage == {"input": 6, "cached": 0, "output": 10, "thoughts": 2}
    assert saved[0] == batch.details.output_file
    (file,) = files.find("s", [str(batch.details.output_file)[5:]], 2.0).values()
    assert (file.purpose, file.filename) == ("batch_output", "batch_a_output.jsonl")


async def test_a_file_is_not_written_twice(tmp_path: Path) -> None:
    files = FileStore(tmp_path / "files", FileLimits(10**6, 10**6, 10))
    batch = Batch("a", "s", "", "openai", "/", 1, 2)
    batch.details.output_file = "file-" + "0" * 24

    await write(batch, listed(LineResult("1", b"{}")), files, lambda: None, tmp_path)
    assert batch.details.output_file == "file-" + "0" * 24
    assert batch.details.error_file is None


async def test_a_client_without_room_gets_no_files(tmp_path: Path) -> None:
    files = FileStore(tmp_path / "files", FileLimits(10**6, 10, 10))

    with pytest.raises(TooLarge):
        await write(
            Batch("a", "s", "", "openai", "/", 1, 2),
            listed(LineResult("1", b"{}")),
            files,
            lambda: None,
            tmp_path,
        )
