"""Lines as requests of Gemini: choices, files, blocked prompts."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.plugin import SERVICES
from tests.support.batches import FLASH, BatchTeam, batch_team, chat_body, job, line, said
from tests.support.servers import Serve


@pytest.fixture
async def team(serve: Serve, tmp_path: Path) -> AsyncIterator[BatchTeam]:
    async with batch_team(serve, tmp_path) as result:
        yield result


async def test_a_file_in_a_line_is_copied_to_the_project_of_the_batch(team: BatchTeam) -> None:
    client = await team.begin("ab")
    file = (await client.upload())["id"]
    content = [{"type": "text", "text": "What is it?"}, {"type": "file", "file": {"file_id": file}}]
    body = {"model": FLASH, "messages": [{"role": "user", "content": content}]}

    await client.reached(await client.started([line("a", body), line("b", body)]), "completed")

    (project,) = team.uploads()
    ((_, _, key, sent),) = team.calls(":batchGenerateContent")
    assert key == project
    listed = sent["batch"]["inputConfig"]["requests"]["requests"]
    assert all(
        "/files/" in each["request"]["contents"][0]["parts"][1]["fileData"]["fileUri"] for each in listed
    )


async def test_ba6_n_choices_are_one_line(team: BatchTeam) -> None:
    client = await team.begin()
    team.answers["/batches/"] = job("SUCCEEDED", said("0.1", "second"), said("0.0", "first"))

    done = await client.reached(await client.started([line("a", chat_body(n=2))]), "completed")

    listed = team.calls(":batchGenerateContent")[0][3]["batch"]["inputConfig"]["requests"]["requests"]
    assert [each["metadata"]["key"] for each in listed] == ["0.0", "0.1"]
    (answer,) = await client.content(done["output_file_id"])
    choices = answer["response"]["body"]["choices"]
    assert [(choice["index"], choice["message"]["content"]) for choice in choices] == [
        (0, "first"),
        (1, "second"),
    ]


async def test_ba12_a_blocked_prompt_is_an_answer(team: BatchTeam) -> None:
    client = await team.begin()
    blocked = {"response": {"promptFeedback": {"blockReason": "SAFETY"}}, "metadata": {"key": "0"}}
    team.answers["/batches/"] = job("SUCCEEDED", blocked)

    done = await client.reached(await client.started([line("a")]), "completed")

    (answer,) = await client.content(done["output_file_id"])
    assert answer["response"]["status_code"] == 200
    assert answer["response"]["body"]["choices"][0]["finish_reason"] == "content_filter"


@pytest.mark.parametrize("run", ["google", "here"])
async def test_fields_that_are_not_honoured_are_counted_and_shown(
    team: BatchTeam, serve: Serve, caplog: pytest.LogCaptureFixture, run: str
) -> None:
    caplog.set_level("INFO", "gateway.batches")
    client = await team.begin(options=f"poll: 0.1, longest_poll: 0.1, run: {run}")
    lines = [
        line("a", chat_body(stream=True, service_tier="flex")),
        line("b", chat_body(stream=True, logit_bias={"50256": -100})),
        line("c", chat_body(stream=False, service_tier="auto")),
    ]

    batch = await client.started(lines)
    await client.reached(batch, "completed")

    expected = {"stream": 2, "logit_bias": 1} | ({"service_tier": 1} if run == "google" else {})
    assert await client.notes(f"/v1/batches/{batch}") == set(expected)
    (logged,) = [message for message in caplog.messages if " is completed " in message]
    counted = dict(part.split(" with the note ")[::-1] for part in logged.rstrip(")").split(", ")[4:])
    assert counted == {name: str(count) for name, count in expected.items()}
    assert serve.app[SERVICES].statistics.plugin_events["batches", "noted"] == 1


async def test_a_batch_without_notes_has_no_such_header(team: BatchTeam) -> None:
    client = await team.begin()
    batch = await client.started([line("a")])
    await client.reached(batch, "completed")

    assert await client.notes(f"/v1/batches/{batch}") == {""}
