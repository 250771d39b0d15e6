"""Batches under way: cancelled, across restarts, and with a client's own key."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import time

import pytest
import sqlalchemy as sa

from gateway.policy.clients.kept_batches import Batch
from gateway.store.batches.batch_store import BatchStore
from gateway.store.ledger import client_keys
from gateway.store.ledger.tables import client_key, open_engine
from tests.support.batches import BatchTeam, batch_team, job, line
from tests.support.servers import Serve
from tests.support.team import refused
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


async def test_a_batch_of_a_key_that_is_revoked_asks_for_nothing_more(
    team: BatchTeam, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.exchange.batches.parts._UNSURE", 0.0)
    client = await team.begin(options="poll: 3600, longest_poll: 3600")
    team.answers[":batchGenerateContent"] = refused(503)
    await client.started([line("a")])
    await eventually(lambda: looks(team) == 1)
    engine = open_engine(str(team.team.file), None)
    with engine.connect() as connection:
        key = connection.execute(sa.select(client_key.c.id)).scalar_one()
    assert client_keys.revoke(engine, key, time())
    engine.dispose()

    await team.begin(key=team.team.issue())  # it looks at all batches, ten times a second
    await eventually(lambda: looks(team) > 3)
    assert len(team.calls(":batchGenerateContent")) == 1


def looks(team: BatchTeam) -> int:
    """Return how often the only batch was looked at without a change."""
    with closing(sqlite3.connect(team.folder.parent / "batches" / "batches.db")) as database:
        return int(database.execute("SELECT looks FROM batch").fetchone()[0])


async def test_a_batch_that_cannot_be_saved_waits(team: BatchTeam, caplog: pytest.LogCaptureFixture) -> None:
    client = await team.begin(options="poll: 3600, longest_poll: 3600")
    await client.call("GET", "/v1/batches")
    with closing(sqlite3.connect(team.folder.parent / "batches" / "batches.db")) as database:
        database.execute(
            "CREATE TRIGGER t BEFORE UPDATE ON batch BEGIN SELECT RAISE(ABORT, 'as of a full disk'); END"
        )
        database.commit()

    await client.started([line("a")])
    await eventually(lambda: "full disk" in caplog.text)
    await asyncio.sleep(0.3)
    assert caplog.text.count("waits after an unexpected error") == 1


async def test_a_batch_that_another_process_holds_is_left_alone(
    team: BatchTeam, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Counter[str]()

    @contextmanager
    def locked(_: BatchStore, batch: Batch) -> Iterator[bool]:
        held[batch.id] += 1
        yield False

    monkeypatch.setattr(BatchStore, "locked", locked)
    client = await team.begin()
    batch = (await client.started([line("a")])).removeprefix("batch_")
    await eventually(lambda: held[batch] > 0)
    await asyncio.sleep(0.3)
    assert held[batch] == 1


async def test_clients_own_keys_take_no_place_of_issued_ones(team: BatchTeam) -> None:
    client = await team.begin()
    team.holds["own"] = asyncio.Event()
    for _ in range(20):
        await team.of("AIza-own").started([line("a")])
    await eventually(lambda: sum(call[2] == "own" for call in team.seen) == 16)

    await client.reached(await client.started([line("a")]), "completed", seconds=10)
    assert sum(call[2] == "own" for call in team.seen) == 16
    team.holds.pop("own").set()


async def test_a_client_has_a_number_of_batches_that_have_not_ended(team: BatchTeam) -> None:
    client = await team.begin(options="poll: 0.1, longest_poll: 0.1, count: 2")
    other = team.of("AIza-own")
    team.holds["a"] = asyncio.Event()
    kept = [await client.started([line("a")]) for _ in range(2)]

    status, answer = await client.create([line("a")])
    assert (status, answer["error"]["code"]) == (429, "rate_limit_exceeded")
    assert "2 batches" in answer["error"]["message"]
    await other.started([line("a")])
    team.holds.pop("a").set()
    await client.reached(kept[0], "completed")
    await client.reached(kept[1], "completed")
    await client.started([line("a")])
