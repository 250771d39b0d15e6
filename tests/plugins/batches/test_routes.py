"""`/v1/batches` of OpenAI's clients, in front of the emulator."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.batches import FLASH, BatchTeam, batch_team, chat_body, line
from tests.support.servers import Serve


@pytest.fixture
async def team(serve: Serve, tmp_path: Path) -> AsyncIterator[BatchTeam]:
    async with batch_team(serve, tmp_path) as result:
        yield result


async def test_ba1_two_lines_are_a_batch_of_googles(team: BatchTeam) -> None:
    client = await team.begin()
    bodies = [chat_body("one", max_tokens=50), chat_body("two", temperature=0.5, stream=True)]

    batch = await client.started([line("b", bodies[0]), line("a", bodies[1])], metadata={"job": "1"})
    done = await client.reached(batch, "completed")

    ((_, path, key, sent),) = team.calls(":batchGenerateContent")
    assert (path, key) == (f"/v1beta/models/{FLASH}:batchGenerateContent", "a")
    listed = sent["batch"]["inputConfig"]["requests"]["requests"]
    assert [each["metadata"]["key"] for each in listed] == ["0", "1"]
    for each, body in zip(listed, bodies, strict=True):
        status, dry = await client.call("POST", "/v1/translate", json={**body, "stream": False})
        assert status == 200, dry
        assert each["request"] == dry["body"]
    assert done["request_counts"] == {"total": 2, "completed": 2, "failed": 0}
    assert (done["error_file_id"], done["metadata"], done["model"]) == (None, {"job": "1"}, FLASH)
    assert done["expires_at"] - done["created_at"] == 48 * 3600
    output = await client.content(done["output_file_id"])
    assert [each["custom_id"] for each in output] == ["b", "a"]
    answers = [each["response"]["body"] for each in output]
    assert {answer["object"] for answer in answers} == {"chat.completion"}
    totals = [answer["usage"]["total_tokens"] for answer in answers]
    assert done["usage"]["total_tokens"] == sum(totals) > 0


async def test_ba14_googles_header_is_googles_batch(team: BatchTeam) -> None:
    client = await team.begin()

    await client.call("GET", "/v1/batches", headers={"x-goog-api-key": "AIza-own", "Authorization": ""})
    assert [call[1] for call in team.seen][-1] == "/v1/batches"


async def test_batches_are_listed_page_by_page_for_their_client_alone(team: BatchTeam) -> None:
    other = team.team.issue()
    client = await team.begin()
    ids = [await client.started([line("a")]) for _ in range(3)]

    _, page = await client.call("GET", "/v1/batches?limit=2")
    assert ([each["id"] for each in page["data"]], page["has_more"]) == (ids[:0:-1], True)
    _, page = await client.call("GET", f"/v1/batches?limit=2&after={ids[1]}")
    assert ([each["id"] for each in page["data"]], page["has_more"]) == (ids[:1], False)
    stranger = team.of(other)
    assert (await stranger.call("GET", "/v1/batches"))[1]["data"] == []
    for method, path in (("GET", ids[0]), ("POST", f"{ids[0]}/cancel"), ("GET", "batch_x"), ("GET", "..%2f")):
        assert (await stranger.call(method, f"/v1/batches/{path}"))[0] == 404
    assert (await client.call("GET", "/v1/batches?limit=0"))[0] == 400


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"completion_window": "1h"}, 400, "completion_window"),
        ({"endpoint": "/v1/videos"}, 400, "endpoint"),
        ({"endpoint": "/v1/x"}, 400, "endpoint"),
        ({"input_file_id": "file-" + "0" * 24}, 404, "input_file_id"),
        ({"input_file_id": "../x"}, 404, "input_file_id"),
        ({"metadata": {str(i): "x" for i in range(17)}}, 400, "metadata"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 5}}, 400, "output_expires_after.seconds"),
    ],
)  # fmt: skip
async def test_what_cannot_be_asked_for_is_refused(
    team: BatchTeam, fields: Any, status: int, param: str
) -> None:
    client = await team.begin()

    result, answer = await client.create([line("a")], **fields)
    assert (result, answer["error"]["param"]) == (status, param), answer
