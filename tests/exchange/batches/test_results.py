"""Results in the order of the lines."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.exchange.batches import results
from tests.support.batches import BatchTeam, batch_team, job, line, said
from tests.support.servers import Serve


@pytest.fixture
async def team(serve: Serve, tmp_path: Path) -> AsyncIterator[BatchTeam]:
    async with batch_team(serve, tmp_path) as result:
        yield result


async def test_ba2_answers_come_in_the_order_of_the_lines_and_errors_in_a_file_of_their_own(
    team: BatchTeam,
) -> None:
    client = await team.begin()
    error = {"error": {"code": 13, "message": "internal"}, "metadata": {"key": "1"}}
    team.answers["/batches/"] = job("SUCCEEDED", said("2", "third", prompt=7), error, said("0", "first"))

    done = await client.reached(await client.started([line("a"), line("b"), line("c")]), "completed")

    assert done["request_counts"] == {"total": 3, "completed": 2, "failed": 1}
    usage = done["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (11, 2, 13)
    output = await client.content(done["output_file_id"])
    assert [each["custom_id"] for each in output] == ["a", "c"]
    texts = [each["response"]["body"]["choices"][0]["message"]["content"] for each in output]
    assert texts == ["first", "third"]
    assert {(each["response"]["status_code"], each["error"]) for each in output} == {(200, None)}
    assert output[0]["id"].startswith("batch_req_")
    (failed,) = await client.content(done["error_file_id"])
    assert (failed["custom_id"], failed["response"]["status_code"]) == ("b", 500)
    assert failed["response"]["body"]["error"] == {
        "message": "internal", "type": "server_error", "param": None, "code": "internal_error",
    }  # fmt: skip


async def test_large_answers_are_read_a_few_at_a_time(
    team: BatchTeam, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "_PIECE_BYTES", 5_000)
    pieces = list[int]()
    whole = results._piece

    def counted(store: Any, lines: Any) -> Any:
        piece = whole(store, lines)
        pieces.append(len(piece))
        return piece

    monkeypatch.setattr(results, "_piece", counted)
    client = await team.begin()
    team.answers["/batches/"] = job("SUCCEEDED", *[said(str(i), "x" * 2_000) for i in range(7)])

    done = await client.reached(await client.started([line(str(i)) for i in range(7)]), "completed")

    assert pieces == [3, 3, 1, 0]
    assert [each["custom_id"] for each in await client.content(done["output_file_id"])] == list("0123456")
