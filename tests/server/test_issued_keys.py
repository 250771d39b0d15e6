"""Issued keys follow the ledger's table while the gateway runs."""

import asyncio
import threading
from pathlib import Path
from time import time

import aiohttp
import pytest
import sqlalchemy as sa

from gateway.policy.clients.access import Access, AuthConfig
from gateway.policy.clients.client_rules import Rules
from gateway.server.issued_keys import IssuedKeys
from gateway.store.ledger import client_keys
from gateway.store.ledger.tables import open_engine
from tests.support.ledgers import OpenLedger, intent
from tests.support.team import Team
from tests.support.waiting import eventually


async def test_keys_revoked_expired_and_rotated(team: Team) -> None:
    key, other = team.issue(), team.issue()
    await team.start("a")
    engine = open_engine(str(team.file), None)
    ids = {entry.hash: entry.id for entry in client_keys.issued(engine)}
    assert (await team.ask(key))[0] == 200
    renewed = client_keys.rotate(engine, next(iter(ids.values())))
    assert client_keys.revoke(engine, list(ids.values())[1], time())
    engine.dispose()
    assert renewed is not None

    async with asyncio.timeout(30):  # known within a second; a loaded machine may take longer
        while (await team.ask(key))[0] == 200 or (await team.ask(other))[0] == 200:
            await asyncio.sleep(0.05)
    assert (await team.ask(renewed))[0] == 200


@pytest.fixture
def access(monkeypatch: pytest.MonkeyPatch) -> Access:
    monkeypatch.setattr("gateway.server.issued_keys._POLL", 0.0)
    return Access(AuthConfig(), pooled=True)


def names(access: Access) -> list[str]:
    return sorted(key.name for key in access.issued.values())


async def test_keys_are_loaded_at_the_start_and_after_each_change(tmp_path: Path, access: Access) -> None:
    opened = OpenLedger(f"{tmp_path}/ledger.db")
    client_keys.issue(opened.ledger.engine, "first", Rules(), time(), None)
    async with IssuedKeys(opened.ledger, access, opened.messages.append):
        assert names(access) == ["first"]
        client_keys.issue(opened.ledger.engine, "second", Rules(), time(), None)
        await eventually(lambda: names(access) == ["first", "second"])

    assert opened.messages == []


async def test_while_the_database_fails_the_last_keys_stay_valid_and_the_failure_is_reported_once(
    tmp_path: Path, access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = OpenLedger(f"{tmp_path}/ledger.db")
    client_keys.issue(opened.ledger.engine, "first", Rules(), time(), None)
    failures = 0

    def broken(_: object) -> int:
        nonlocal failures
        failures += 1
        raise OSError("disk\nand its details")

    async with IssuedKeys(opened.ledger, access, opened.messages.append):
        with monkeypatch.context() as patch:
            patch.setattr(client_keys, "revision", broken)
            await eventually(lambda: failures > 2)
        assert names(access) == ["first"]
        client_keys.issue(opened.ledger.engine, "second", Rules(), time(), None)
        await eventually(lambda: names(access) == ["first", "second"])

    assert opened.messages == [
        "issued keys cannot be read: disk. Those read last stay valid.",
        "issued keys can be read again.",
    ]


async def test_each_kind_of_failure_of_the_sums_is_reported_once_until_they_are_made(
    tmp_path: Path, access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = OpenLedger(f"{tmp_path}/ledger.db")
    errors: list[Exception | None] = [
        OSError("disk"),
        ValueError("row\n1"),
        OSError("full"),
        None,
        OSError("again"),
    ]
    monkeypatch.setattr("gateway.server.issued_keys._SUM_PAUSE", 0.0)
    monkeypatch.setattr("gateway.server.issued_keys._POLL", 60.0)

    def fail(*_: object) -> bool:
        if errors and (error := errors.pop(0)) is not None:
            raise error
        return True

    monkeypatch.setattr("gateway.store.ledger.sums.catch_up", fail)
    async with IssuedKeys(opened.ledger, access, opened.messages.append):
        await eventually(lambda: not errors and len(opened.messages) > 2)

    assert opened.messages == [
        f"calls cannot be summed: {text}. Reports read each call until they can."
        for text in ("disk", "row", "again")
    ]


async def test_o22_a_key_of_another_process_works_at_once(
    team: Team, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.server.issued_keys._POLL", 1000.0)
    await team.start("a")

    for _ in range(3):
        assert (await team.ask(team.issue()))[0] == 200
    async with http.get(
        f"{team.base}/v1/key", headers={"Authorization": f"Bearer {team.issue()}"}
    ) as response:
        assert response.status == 200


async def test_o22_made_up_keys_cost_ten_looks_a_second(
    tmp_path: Path, access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.server.issued_keys._POLL", 1000.0)
    looks = 0
    real = client_keys.revision

    def counted(engine: sa.Engine) -> int:
        nonlocal looks
        looks += 1
        return real(engine)

    opened = OpenLedger(f"{tmp_path}/ledger.db")
    async with IssuedKeys(opened.ledger, access, opened.messages.append) as keys:
        monkeypatch.setattr(client_keys, "revision", counted)
        begun = asyncio.get_running_loop().time()
        await asyncio.gather(*(keys.look_up() for _ in range(500)))
        assert looks == 1
        for _ in range(3):
            await asyncio.gather(*(keys.look_up() for _ in range(500)))
        seconds = asyncio.get_running_loop().time() - begun

    assert looks == 4
    assert seconds >= 0.3


async def test_o22_who_asks_during_a_look_waits_for_the_next(
    tmp_path: Path, access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look in progress may have read the table before the key was issued."""
    monkeypatch.setattr("gateway.server.issued_keys._POLL", 1000.0)
    opened = OpenLedger(f"{tmp_path}/ledger.db")
    real, reading, free = client_keys.revision, threading.Event(), threading.Event()

    def slow(engine: sa.Engine) -> int:
        value = real(engine)
        reading.set()
        free.wait(20)
        return value

    async with IssuedKeys(opened.ledger, access, opened.messages.append) as keys:
        monkeypatch.setattr(client_keys, "revision", slow)
        first = asyncio.create_task(keys.look_up())
        await eventually(reading.is_set)
        client_keys.issue(opened.ledger.engine, "new", Rules(), time(), None)
        second = asyncio.create_task(keys.look_up())
        await asyncio.sleep(0)
        free.set()
        await first
        await second

        assert names(access) == ["new"]


async def test_o22_a_database_that_hangs_keeps_nobody_longer_than_a_second(
    tmp_path: Path, access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.server.issued_keys._POLL", 1000.0)
    monkeypatch.setattr("gateway.server.issued_keys._LONGEST_LOOK_UP", 0.1)
    free, threads = threading.Event(), []

    def hanging(_: sa.Engine) -> int:
        threads.append(threading.current_thread())
        free.wait(20)
        raise OSError("gone")

    opened = OpenLedger(f"{tmp_path}/ledger.db")
    async with IssuedKeys(opened.ledger, access, opened.messages.append) as keys:
        monkeypatch.setattr(client_keys, "revision", hanging)
        for _ in range(5):
            await keys.look_up()
        assert len(threads) == 1
        free.set()


@pytest.mark.parametrize(("age", "lost"), [(500, 0), (700, 1)])
async def test_calls_of_a_process_that_died_are_settled_at_the_start(
    tmp_path: Path, access: Access, age: float, lost: int
) -> None:
    async with OpenLedger(f"{tmp_path}/ledger.db") as died:
        await died.ledger.begin(intent(1, at=time() - age))
        await died.written()
    opened = OpenLedger(f"{tmp_path}/ledger.db")
    async with IssuedKeys(opened.ledger, access, opened.messages.append):
        (row,) = opened.rows_now()

    assert row.outcome == ("unknown" if lost else None)
    assert (
        opened.messages
        == ["ledger: 1 calls of an earlier process have no end; their outcome is `unknown`"] * lost
    )


async def test_budgets_of_keys_in_use_are_read_oldest_first(tmp_path: Path, access: Access) -> None:
    async with OpenLedger(str(tmp_path / "ledger.db")) as opened:
        engine, now = opened.ledger.engine, time()
        for name, created in (("new", now), ("old", now - 60), ("none", now)):
            rules = Rules(tokens={"day": 10, "total": 20}) if name != "none" else Rules()
            client_keys.issue(engine, name, rules, created, None)
        async with IssuedKeys(opened.ledger, access, opened.messages.append) as keys:
            uses = await keys.budgets()

    assert [(use.key, use.budget.period, use.spent) for use in uses] == [
        ("old", "day", 0), ("old", "total", 0), ("new", "day", 0), ("new", "total", 0),
    ]  # fmt: skip
    assert uses[0].key_id.startswith("key_")
