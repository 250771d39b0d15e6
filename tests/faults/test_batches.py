"""A gateway that is killed while it works on a batch: nothing is lost, and nothing is asked for twice."""

from collections.abc import AsyncIterator
from pathlib import Path
from time import time

import pytest

from tests.support.batches import line
from tests.support.gateway_process import Gateway
from tests.support.killed_batches import Google, KilledBatches, google_that_hangs

KILLED_AT = {
    "before the submission arrives": (":batchGenerateContent", False),
    "after the submission, before its answer": (":batchGenerateContent", True),
    "before the answers are read": ("/v1beta/batches/", False),
    "after the answers are sent": ("/v1beta/batches/", True),
    "before a line is asked for": (":generateContent", False),
    "after a line is answered": (":generateContent", True),
}
"""Path of the call during which the gateway is killed, and whether Google has done it."""


@pytest.fixture
async def google(request: pytest.FixtureRequest) -> AsyncIterator[Google]:
    path, is_done = KILLED_AT[request.param]
    async with google_that_hangs(path, is_done=is_done) as upstream:
        yield upstream


@pytest.mark.slow
@pytest.mark.parametrize("google", list(KILLED_AT)[:4], indirect=True)
async def test_a_batch_survives_kill_9(
    start: list[Gateway], tmp_path: Path, google: Google, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY_A", "AIza-a")
    gateway = KilledBatches(tmp_path, google, f"chat: {{}}, files: {{path: {tmp_path}/files}}")
    batch = await (await gateway.client(start)).started([line("a", None), line("b", None)])

    client = await gateway.killed(start)
    began = time()
    done = await client.reached(batch, "completed", seconds=60)

    assert time() - began < 60
    assert google.count(":batchGenerateContent") == 1
    assert [each["custom_id"] for each in await client.content(done["output_file_id"])] == ["a", "b"]
    assert done["error_file_id"] is None


@pytest.mark.slow
@pytest.mark.parametrize("google", list(KILLED_AT)[4:], indirect=True)
async def test_a_line_that_the_gateway_asks_for_itself_is_not_paid_for_twice(
    start: list[Gateway], tmp_path: Path, google: Google, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line of the cut call ends in an error, and so may those that were asked for at the same time."""
    monkeypatch.setenv("KEY_A", "AIza-a")
    gateway = KilledBatches(tmp_path, google, f"chat: {{}}, files: {{path: {tmp_path}/files}}", ", run: here")
    lines = [line(str(number), None) for number in range(20)]
    batch = await (await gateway.client(start)).started(lines)

    client = await gateway.killed(start)
    done = await client.reached(batch, "completed", seconds=60)

    answered = [each["custom_id"] for each in await client.content(done["output_file_id"])]
    errors = await client.content(done["error_file_id"])
    assert 1 <= len(errors) <= 4, errors
    assert {error["response"]["body"]["error"]["code"] for error in errors} == {"batch_line_interrupted"}
    names = answered + [error["custom_id"] for error in errors]
    assert sorted(names, key=int) == [entry["custom_id"] for entry in lines]
    assert len(answered) <= google.count(":generateContent") <= 20
