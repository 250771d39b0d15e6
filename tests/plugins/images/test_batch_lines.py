"""Lines of `/v1/images/generations` in `/v1/batches`: one picture each, by Google's batch."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.batches import FLASH, BatchTeam, batch_team, job, line
from tests.support.pictures import BLUE, drawn, inline, picture, pixel
from tests.support.servers import Serve

URL = "/v1/images/generations"
MODEL = "gemini-nano-banana-2.1"


@pytest.fixture
async def team(serve: Serve, tmp_path: Path) -> AsyncIterator[BatchTeam]:
    async with batch_team(serve, tmp_path) as result:
        yield result


def drawing(custom_id: str, **fields: Any) -> dict[str, Any]:
    return line(custom_id, {"prompt": "a fox", **fields}, URL)


def answer(key: str, *parts: Any, **fields: Any) -> dict[str, Any]:
    return {"response": drawn(*parts, **fields), "metadata": {"key": key}}


async def test_each_line_is_a_picture_at_half_the_price(team: BatchTeam) -> None:
    client = await team.begin()
    blue = inline(picture(colour=BLUE))
    team.answers["/batches/"] = job("SUCCEEDED", answer("1", blue), answer("0"))
    converted = {"output_format": "webp", "response_format": "url", "size": "1536x1024", "stream": True}

    started = await client.started([drawing("a", model="gpt-image-1", n=1), drawing("b", **converted)], URL)
    done = await client.reached(started, "completed")

    ((_, path, _, sent),) = team.calls(":batchGenerateContent")
    assert path.endswith(f"/models/{MODEL}:batchGenerateContent")
    requests = [each["request"] for each in sent["batch"]["inputConfig"]["requests"]["requests"]]
    assert [each["contents"][0]["parts"] for each in requests] == [[{"text": "a fox"}]] * 2
    assert [each["generationConfig"].get("imageConfig") for each in requests] == [
        None,
        {"aspectRatio": "3:2", "imageSize": "1K"},
    ]
    assert done["model"] == MODEL
    assert done["usage"]["output_tokens"] == 2 * 1330
    first, second = [each["response"]["body"] for each in await client.content(done["output_file_id"])]
    assert base64.b64decode(first["data"][0]["b64_json"]) == picture()
    kind, _, data = second["data"][0]["url"].partition(";base64,")
    assert (kind, second["output_format"]) == ("data:image/webp", "webp")
    assert pixel(base64.b64decode(data))[2] > 200
    (row,) = [row for row in await team.team.settled() if row.surface == "batch"]
    assert row.model == MODEL
    assert row.micros == pytest.approx(35_181, abs=1)  # of two pictures, each 35,181 outside of a batch


async def test_a_picture_that_google_refuses_is_in_the_error_file(team: BatchTeam) -> None:
    client = await team.begin()
    blocked = answer("0", {"text": ""}, finish="IMAGE_SAFETY")
    team.answers["/batches/"] = job("SUCCEEDED", blocked, answer("1"))

    done = await client.reached(await client.started([drawing("a"), drawing("b")], URL), "completed")

    (error,) = await client.content(done["error_file_id"])
    assert (error["custom_id"], error["response"]["status_code"]) == ("a", 400)
    assert error["response"]["body"]["error"]["code"] == "moderation_blocked"
    assert done["request_counts"] == {"total": 2, "completed": 1, "failed": 1}


async def test_a_line_with_a_fault_fails_the_batch_by_its_number(team: BatchTeam) -> None:
    client = await team.begin()
    lines = [
        drawing("a"), drawing("b", n=2), drawing("c", model=FLASH), drawing("d", prompt=""),
    ]  # fmt: skip

    failed = await client.reached(await client.started(lines, URL), "failed")

    faults = [(each["line"], each["code"], each["param"]) for each in failed["errors"]["data"]]
    assert faults == [
        (2, "integer_above_max_value", "n"),
        (3, "model_not_supported", "model"),
        (4, "missing_required_parameter", "prompt"),
    ]
    assert not team.calls("models/")


async def test_a_budget_bounds_each_line_by_the_largest_picture(team: BatchTeam) -> None:
    client = await team.begin(key=team.team.issue(dollars={"month": 0.1}))

    status, refusal = await client.create([drawing(str(i)) for i in range(10)], URL)
    assert (status, refusal["error"]["code"]) == (429, "insufficient_quota")
    await client.reached(await client.started([drawing("a"), drawing("b")], URL), "completed")


async def test_pictures_are_made_here_where_the_operator_wants_it(team: BatchTeam) -> None:
    client = await team.begin(options="poll: 0.1, longest_poll: 0.1, run: here")

    done = await client.reached(await client.started([drawing("a", output_format="png")], URL), "completed")

    (result,) = await client.content(done["output_file_id"])
    assert result["response"]["body"]["output_format"] == "png"
    assert [call[1] for call in team.calls("models/")] == [f"/v1beta/models/{MODEL}:generateContent"]
