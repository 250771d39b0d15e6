"""The other processes, asked over a real Redis where one is installed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import web

from gateway.config.admin import AdminConfig
from gateway.config.secret import Secret
from gateway.console import fleet as fleets
from gateway.console.app import Admin
from gateway.console.fleet import Fleet, Parts
from gateway.console.process import Process
from gateway.plugin import SERVICES
from gateway.store.redis import Redis
from tests.support.redis_server import RedisServer, needs_redis
from tests.support.servers import Serve
from tests.support.team import Team
from tests.support.waiting import eventually

pytestmark = needs_redis


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@asynccontextmanager
async def running(fleet: Fleet) -> AsyncIterator[Fleet]:
    steps = fleet.run(web.Application())
    await anext(steps)
    try:
        yield fleet
    finally:
        await anext(steps, None)


@pytest.fixture
async def three(server: RedisServer, tmp_path: Path) -> AsyncIterator[list[Fleet]]:
    """Three processes that answer with their name."""
    async with AsyncExitStack() as stack:
        prefix = f"{tmp_path.name}:"
        members = [Fleet(lambda: Redis(server.url, None, print, prefix), f"vps{i}") for i in (1, 2, 3)]
        for member in members:

            async def name(values: dict[str, Any], member: Fleet = member) -> Any:
                return f"{values['text']} {member.name}"

            member.on("name", name)
            await stack.enter_async_context(running(member))

        async def all_are_known() -> bool:
            return len((await members[0].ask("name", text="")).data) == 2

        async with asyncio.timeout(20):
            while not await all_are_known():
                pass
        yield members


async def test_each_other_process_answers_under_its_name(three: list[Fleet]) -> None:
    assert await three[0].ask("name", text="hello") == Parts({"vps2": "hello vps2", "vps3": "hello vps3"}, [])


async def test_one_that_does_not_answer_is_named(three: list[Fleet], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleets, "_WAIT", 0.2)

    async def never(_: dict[str, Any]) -> Any:
        await asyncio.sleep(60)

    three[1].on("name", never)
    parts = await three[0].ask("name", text="a")

    assert (parts.silent, parts.data) == (["vps2"], {"vps3": "a vps3"})


async def test_what_is_told_and_remembered_reaches_all(three: list[Fleet]) -> None:
    heard: list[str] = []
    for member in three:

        async def hear(values: dict[str, Any], member: Fleet = member) -> Any:
            heard.append(f"{member.name} {values['number']}")

        member.on("ended", hear)
    await three[0].tell("ended", number=7)
    await three[0].remember("ended", "7", 4e9)
    await three[0].remember("ended", "6", 1.0)
    await eventually(lambda: len(heard) == 2)

    assert sorted(heard) == ["vps2 7", "vps3 7"]
    assert "7" in await three[2].remembered("ended")
    assert await three[2].remembered("ended") == {"7": 4e9}


async def test_processes_of_one_machine_have_different_names(
    three: list[Fleet], server: RedisServer, tmp_path: Path
) -> None:
    again = Fleet(lambda: Redis(server.url, None, print, f"{tmp_path.name}:"), "vps2")
    async with running(again):
        assert again.name.startswith("vps2#")


async def test_a_process_without_redis_is_alone() -> None:
    async with running(Fleet(lambda: None)) as fleet:
        assert await fleet.ask("name") == Parts()
        assert await fleet.remembered("ended") == {}
        await fleet.tell("ended")
        await fleet.remember("ended", "7", 4e9)


async def test_a_redis_that_is_down_is_no_error() -> None:
    messages: list[str] = []
    async with running(Fleet(lambda: Redis("redis://127.0.0.1:9", None, messages.append))) as fleet:
        parts = await fleet.ask("name")

    assert (parts.data, parts.silent) == ({}, ["other instances (Redis cannot be used)"])


OWN = {"X-Console": "1", "Sec-Fetch-Site": "same-origin"}
BEARER = {"Authorization": "Bearer hush"}


@pytest.fixture
async def consoles(
    team: Team,
    serve: Serve,
    server: RedisServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    aiohttp_client: Any,
) -> list[Any]:
    """The admin APIs of two processes, vps1 and vps2, and of them the applications."""
    prefix, clients = f"{tmp_path.name}:", []
    process = Process(shared=lambda: Redis(server.url, None, print, prefix))
    for name in ("vps1", "vps2"):
        await team.start("ab")
        monkeypatch.setattr(fleets, "instance", lambda name=name: name)
        services = serve.app[SERVICES]
        admin = Admin(lambda services=services: services, AdminConfig(Secret("hush")), process)  # type: ignore[misc]
        clients.append(await aiohttp_client(admin.app()))
    async with asyncio.timeout(20):
        while len((await get(clients[0], "/admin/running"))["instances"]) < 2:
            pass
    return clients


async def get(client: Any, path: str, status: int = 200) -> Any:
    async with client.get(path, headers=BEARER) as response:
        assert response.status == status
        return await response.json()


async def test_either_console_shows_both_processes(team: Team, consoles: list[Any]) -> None:
    # `team` asks the process that was started last, vps2
    for _ in range(3):
        await team.ask("sk-gw-of-nobody")
    first = await get(consoles[0], "/admin/requests?limit=2")
    rest = await get(consoles[0], f"/admin/requests?limit=2&cursor={quote(first['next'])}")
    shown = await get(consoles[0], f"/admin/requests/{first['data'][0]['request_id']}")
    summary = await get(consoles[0], "/admin/summary")
    (group,) = (await get(consoles[0], "/admin/errors"))["data"]
    await get(consoles[0], "/admin/requests/req_nobody", 404)

    assert [row["instance"] for row in first["data"] + rest["data"]] == ["vps2"] * 3
    assert [row["n"] for row in first["data"] + rest["data"]] == [3, 2, 1]
    assert shown["request"]["instance"] == "vps2"
    assert (summary["now"]["requests"], summary["instance"], len(summary["instances"])) == (3, "vps1", 2)
    assert (group["count"], group["instances"]) == (3, ["vps2"])


async def test_a_tail_follows_both_processes(team: Team, consoles: list[Any]) -> None:
    async with consoles[0].get("/admin/tail", headers=BEARER) as response:
        async with asyncio.timeout(20):
            text = b""
            while b'"instance":"vps2"' not in text:
                await team.ask("sk-gw-of-nobody")
                text += await response.content.readany()
        response.close()

    assert text.count(b"event: exchange") >= 1


async def test_a_session_that_ends_at_one_ends_at_all(consoles: list[Any]) -> None:
    begun = await consoles[0].post("/console/session", json={"token": "hush"}, headers=OWN)
    (value,) = [cookie.value for cookie in begun.cookies.values()]
    cookie = {"Cookie": f"gw_console_{consoles[1].port}={value}"}
    async with consoles[1].get("/admin/running", headers=cookie) as response:
        assert response.status == 200
    await consoles[0].delete("/console/session", headers=OWN)

    async with asyncio.timeout(20):
        while True:
            async with consoles[1].get("/admin/running", headers=cookie) as response:
                if response.status == 401:
                    break
