"""Batches under way: cancelled, across restarts, and with a client's own key."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.batches import BatchTeam, batch_team, job, line
from tests.support.servers import Serve
from tests.support.waiting import eventually


@pytest.fixture
async def team(serve: Serve, tmp_path: Path) -> AsyncIterator[BatchTeam]:
    async with batch_team(serve, tmp_path) as result:
        yield result


async def test_ba8_a_cancelled_batch_keeps_what_was_answered(team: BatchTeam) -> None:
    client = await team.begin()
    batch = await client.started([line("a"), line("b")])
    await client.reached(batch, "in_progress")
    await eventually(lambda: team.calls(":batchGenerateContent"))
    for _ in range(3):
        team.answers["/batches/"] = job("RUNNING")

    status, shown = await client.call("POST", f"/v1/batches/{batch}/cancel")
    assert (status, shown["status"]) == (200, "cancelling")
    assert shown["cancelling_at"]
    ended = await client.reached(batch, "cancelled")

    assert team.calls(":cancel")
    assert ended["cancelled_at"]
    errors = await client.content(ended["error_file_id"])
    assert errors[0]["response"] is None
    assert errors[0]["error"]["code"] == "batch_cancelled"
    assert (await client.call("POST", f"/v1/batches/{batch}/cancel"))[0] == 409


async def test_ba9_a_batch_goes_on_after_a_restart_without_its_client(team: BatchTeam) -> None:
    client = await team.begin(options="poll: 3600, longest_poll: 3600")
    batch = await client.started([line("a")])
    await eventually(lambda: team.calls(":batchGenerateContent"))
    await asyncio.sleep(0)
    client = await team.begin()
    team.team.base = client.base

    done = await client.reached(batch, "completed")
    assert len(team.calls(":batchGenerateContent")) == 1
    assert len(await client.content(done["output_file_id"])) == 1


async def test_ba11_a_clients_own_key_is_asked_with_when_it_looks(team: BatchTeam) -> None:
    await team.begin()
    client = team.of("AIza-own")
    batch = await client.started([line("a")])
    await eventually(lambda: team.calls(":batchGenerateContent"))
    await asyncio.sleep(0.3)  # three polls of an issued key's batch
    assert [call[2] for call in team.seen] == ["own"]

    await client.reached(batch, "completed")
    assert {call[2] for call in team.seen} == {"own"}
    folder = team.folder.parent / "batches"
    kept = b"".join(path.read_bytes() for path in folder.iterdir())
    assert b"AIza-own" not in kept


async def test_an_old_batch_is_forgotten(team: BatchTeam, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await team.begin()
    batch = await client.started([line("a")])
    await client.reached(batch, "completed")
    monkeypatch.setattr("gateway.exchange.batches.engine._KEPT", -4 * 24 * 3600)
    client = await team.begin()

    async def is_gone() -> bool:
        return (await client.call("GET", f"/v1/batches/{batch}"))[0] == 404

    async with asyncio.timeout(20):
        while not await is_gone():
            await asyncio.sleep(0.02)
