"""Parts of a batch: submitted to a project that takes them, once, and what becomes of refusals."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from tests.support.batches import FLASH, BatchTeam, batch_team, chat_body, job, line, said
from tests.support.servers import Serve
from tests.support.team import refused, spent
from tests.support.waiting import eventually


@pytest.fixture
async def team(serve: Serve, tmp_path: Path) -> AsyncIterator[BatchTeam]:
    async with batch_team(serve, tmp_path) as result:
        yield result


async def test_ba5_two_models_are_two_batches_of_which_one_fails(team: BatchTeam) -> None:
    client = await team.begin()
    lines = [line("a"), line("b", chat_body(model="gemini-2.5-flash")), line("c")]
    team.answers[f"{FLASH}:batchGenerateContent"] = refused(400, "User location is not supported.")

    done = await client.reached(await client.started(lines), "completed")

    assert len(team.calls(":batchGenerateContent")) == 2
    assert [each["custom_id"] for each in await client.content(done["output_file_id"])] == ["b"]
    errors = await client.content(done["error_file_id"])
    assert [each["custom_id"] for each in errors] == ["a", "c"]
    assert "location" in errors[0]["response"]["body"]["error"]["message"]
    assert done["model"] is None


async def test_ba5_a_part_that_google_fails_leaves_the_answers_of_the_others(team: BatchTeam) -> None:
    client = await team.begin()
    lines = [line("a"), line("b", chat_body(model="gemini-2.5-flash")), line("c")]
    error = {"code": 13, "message": "Internal error encountered."}
    failed = {"name": "batches/x", "done": True, "metadata": {"state": "BATCH_STATE_FAILED"}, "error": error}
    team.answers[f"{FLASH}:batchGenerateContent"] = job("RUNNING")
    team.answers["batches/x"] = web.json_response(failed)

    done = await client.reached(await client.started(lines), "completed")

    assert done["request_counts"] == {"total": 3, "completed": 1, "failed": 2}
    assert [each["custom_id"] for each in await client.content(done["output_file_id"])] == ["b"]
    errors = await client.content(done["error_file_id"])
    assert [each["custom_id"] for each in errors] == ["a", "c"]
    assert all("Internal error" in json.dumps(each) for each in errors), errors


async def test_a_batch_all_of_whose_parts_fail_has_failed(team: BatchTeam) -> None:
    client = await team.begin()
    team.answers[":batchGenerateContent"] = refused(400, "Batches are not available.")

    failed = await client.reached(await client.started([line("a")]), "failed")

    assert "Batches are not available." in failed["errors"]["data"][0]["message"]


async def test_the_next_project_is_asked_when_the_quota_of_one_is_spent(team: BatchTeam) -> None:
    client = await team.begin("ab")
    team.answers[":batchGenerateContent"] = spent()

    await client.reached(await client.started([line("a")]), "completed")

    assert [call[2] for call in team.calls(":batchGenerateContent")] == ["a", "b"]
    assert {call[2] for call in team.calls("/batches/")} == {"b"}


@pytest.mark.parametrize(("is_done", "calls"), [(True, 1), (False, 2)])
async def test_a_submission_without_an_answer_is_looked_for_before_another(
    team: BatchTeam, monkeypatch: pytest.MonkeyPatch, is_done: bool, calls: int
) -> None:
    monkeypatch.setattr("gateway.exchange.batches.parts._UNSURE", 0.05)
    client = await team.begin()
    team.cut = [(":batchGenerateContent", is_done)]

    done = await client.reached(await client.started([line("a")]), "completed")

    assert len(team.calls(":batchGenerateContent")) == calls
    assert len(team.calls("/v1beta/batches?")) == 1
    assert len(await client.content(done["output_file_id"])) == 1
    rows = [row for row in await team.team.settled() if row.surface == "batch"]
    assert [row.outcome for row in rows] == ["error", "ok"]
    assert rows[0].micros == 0


async def test_a_part_waits_while_every_project_refuses_it(
    team: BatchTeam, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.exchange.batches.parts._AGAIN", 0.05)
    client = await team.begin("a")
    team.answers[":batchGenerateContent"] = spent(delay="0.1s")

    await client.reached(await client.started([line("a")]), "completed")

    assert [call[2] for call in team.calls(":batchGenerateContent")] == ["a", "a"]


async def test_an_answer_counts_once_whatever_google_sends(team: BatchTeam) -> None:
    client = await team.begin()
    stats = {"successfulRequestCount": "9" * 30, "failedRequestCount": -5}
    team.answers[":batchGenerateContent"] = job("RUNNING")
    team.answers["batches/x"] = job("RUNNING", batchStats=stats)
    answers = [said(key, prompt=1000, completion=100) for key in ("²", "0", "0", "1", "7" * 15)]
    batch = await client.started([line("a"), line("b")])
    await eventually(lambda: "batches/x" not in team.answers)
    team.answers["batches/x"] = job("SUCCEEDED", *answers, batchStats=stats)

    done = await client.reached(batch, "completed")

    assert done["request_counts"] == {"total": 2, "completed": 2, "failed": 0}
    (row,) = await team.team.settled()
    assert (row.prompt, row.completion) == (2000, 200)


@pytest.mark.parametrize(
    "name", ["", "batches/", "batches/../files/x", "models/x", "batches/x?alt=media", "batches/a/b"]
)
async def test_a_name_that_is_none_is_not_asked_for(team: BatchTeam, name: str) -> None:
    client = await team.begin()
    team.answers[":batchGenerateContent"] = web.json_response({"name": name})
    batch = await client.started([line("a")])
    await eventually(lambda: len(team.calls(":batchGenerateContent")) == 1 and not team.answers)
    await asyncio.sleep(0.3)  # three looks

    assert {call[1] for call in team.seen if "Content" not in call[1]} <= {"/v1beta/batches"}
    assert (await client.show(batch))["status"] == "in_progress"


async def test_a_part_goes_where_the_fewest_tokens_of_its_model_are_queued(team: BatchTeam) -> None:
    client, asked = await team.begin("ab", "poll: 60"), ":batchGenerateContent"
    bodies = [
        chat_body(max_tokens=5000), chat_body(max_tokens=50), chat_body(max_tokens=50),
        chat_body(model="gemini-2.5-flash"),
    ]  # fmt: skip

    batches = list[str]()
    for body in bodies:
        batches.append(await client.started([line("a", body)]))
        await eventually(lambda: len(team.calls(asked)) == len(batches))
    assert [call[2] for call in team.calls(asked)] == ["a", "b", "b", "a"]

    await client.call("POST", f"/v1/batches/{batches[0]}/cancel")
    await client.reached(batches[0], "cancelled")
    await client.started([line("a")])
    await eventually(lambda: len(team.calls(asked)) == 5)
    assert team.calls(asked)[4][2] == "a"


async def test_batches_that_begin_together_are_spread(team: BatchTeam) -> None:
    client = await team.begin("ab", "poll: 60")

    await asyncio.gather(*[client.started([line("a")]) for _ in range(4)])
    await eventually(lambda: len(team.calls(":batchGenerateContent")) == 4)

    assert sorted(call[2] for call in team.calls(":batchGenerateContent")) == ["a", "a", "b", "b"]
