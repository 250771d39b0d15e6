"""A body that arrives slowly holds no place: neither one of the gateway nor one of its own key."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import time
from typing import Any

import pytest

from gateway.observability.request_log import RequestLog
from gateway.plugin import SERVICES, Services
from gateway.store.ledger import client_keys
from gateway.store.ledger.tables import open_engine
from tests.attacks.test_doors import PLUGINS, SURFACES, Upstream
from tests.support.rawc import RawClient
from tests.support.servers import Serve, upstream_of
from tests.support.team import Team
from tests.support.waiting import eventually

POSTED = {name: (path, body) for name, (method, path, body) in SURFACES.items() if method == "POST"}
CHAT = POSTED["chat"][0]
ONE = "limits: {streams: 1, queue: 0}\n"


class World:
    """A gateway with one place, and two issued keys without limits."""

    def __init__(self, team: Team, serve: Serve) -> None:
        self.team = team
        self._serve = serve
        self.key, self.other = team.issue(), team.issue()

    @property
    def services(self) -> Services:
        return self._serve.app[SERVICES]

    @asynccontextmanager
    async def half(self, path: str, body: bytes, *headers: str) -> AsyncIterator[RawClient]:
        """Yield a client that has sent its headers and half of its body, which the gateway waits for."""
        before = len(self.services.running)
        async with await RawClient.open(self.team.base) as client:
            await client.send(_head(path, self.key, f"Content-Length: {len(body)}", *headers))
            await client.send(body[: len(body) // 2])
            await eventually(lambda: len(self.services.running) > before)
            yield client


def _head(path: str, key: str, *headers: str) -> bytes:
    return "\r\n".join(
        [f"POST {path} HTTP/1.1", "Host: x", f"x-goog-api-key: {key}", *headers, "", ""]
    ).encode()


def _chat(size: int = 1) -> bytes:
    message = {"role": "user", "content": "a" * size}
    return json.dumps({"model": "gemini-2.5-flash", "messages": [message]}).encode()


@pytest.fixture
async def google() -> Upstream:
    return Upstream()


@pytest.fixture
async def world(serve: Serve, tmp_path: Path, google: Upstream, aiohttp_server: Any) -> World:
    return World(Team(serve, tmp_path, await upstream_of(aiohttp_server, google.answer)), serve)


@pytest.mark.row("A16", "A27")
@pytest.mark.parametrize("surface", POSTED)
async def test_a27_a_body_under_way_holds_no_place_of_the_gateway(world: World, surface: str) -> None:
    await world.team.start("a", PLUGINS + ONE)
    path, fields = POSTED[surface]
    body = json.dumps(fields).encode()
    async with world.half(path, body) as slow:
        status, _, answer = await world.team.ask(world.other)
        assert status == 200, answer
        assert world.services.admission.in_progress == 0
        await slow.send(body[len(body) // 2 :])
        assert (await slow.response())[0] == 200

    await eventually(lambda: not world.services.running)
    assert world.services.admission.in_progress == 0


@pytest.mark.row("A16", "A27")
@pytest.mark.parametrize("coding", ["length", "chunks"])
async def test_a27_a_body_under_way_holds_no_place_of_its_key(world: World, coding: str) -> None:
    world.key = world.team.issue(streams=1)
    await world.team.start("a")
    body = _chat()
    async with await RawClient.open(world.team.base) as slow:
        announced = "Transfer-Encoding: chunked" if coding == "chunks" else f"Content-Length: {len(body)}"
        first = b"%x\r\n%b" % (len(body), body[:9]) if coding == "chunks" else body[:9]
        await slow.send(_head(CHAT, world.key, announced) + first)
        await eventually(lambda: world.services.running)
        status, _, answer = await world.team.ask(world.key)
        assert status == 200, answer
        await slow.send(body[9:] + (b"\r\n0\r\n\r\n" if coding == "chunks" else b""))
        assert (await slow.response())[0] == 200


@pytest.mark.row("A16")
async def test_a16_a_request_whose_body_has_arrived_holds_a_place(world: World, google: Upstream) -> None:
    await world.team.start("a", ONE)
    google.hold.clear()
    body = _chat()
    async with world.half(CHAT, body) as first:
        await first.send(body[len(body) // 2 :])
        await eventually(lambda: google.bodies)
        assert world.services.admission.in_progress == 1
        assert (await world.team.ask(world.other))[0] == 429
        google.hold.set()
        assert (await first.response())[0] == 200


@pytest.mark.row("A22", "A27")
@pytest.mark.parametrize(("known", "refusal"), [(True, 429), (False, 401)])
async def test_a22_without_a_free_place_no_body_is_asked_for(
    world: World, google: Upstream, known: bool, refusal: int
) -> None:
    await world.team.start("a", ONE)
    google.hold.clear()
    asking = asyncio.create_task(world.team.ask(world.other))
    await eventually(lambda: google.bodies)
    async with await RawClient.open(world.team.base) as client:
        key = world.key if known else "gw-unknown"
        await client.send(_head(CHAT, key, "Content-Length: 100", "Expect: 100-continue"))
        assert (await client.response())[0] == refusal
    google.hold.set()
    assert (await asking)[0] == 200


@pytest.mark.row("A5", "A27")
async def test_a05_a_body_under_way_counts_for_the_memory_of_its_client(world: World) -> None:
    await world.team.start("a")
    body = _chat(900_000)
    async with world.half(CHAT, body):
        memory = world.services.memory
        assert memory.used >= len(body) * 2
        assert list(memory._by_owner.values()) == [memory.used]
        assert all(owner.startswith("key_") for owner in memory._by_owner)

    await eventually(lambda: not world.services.running)
    assert world.services.memory.used == 0


@pytest.mark.row("A26", "A27")
async def test_a26_a_key_that_is_revoked_ends_its_body_under_way(world: World) -> None:
    await world.team.start("a")
    async with world.half(CHAT, _chat(100)) as slow:
        engine = open_engine(str(world.team.file), None)
        for entry in client_keys.issued(engine):
            client_keys.revoke(engine, entry.id, time())
        engine.dispose()
        status, headers, _ = await slow.response()

    assert (status, headers["connection"]) == (401, "close")


@pytest.mark.row("A16", "A27")
async def test_a27_a_client_that_leaves_within_its_body_leaves_no_place_behind(
    world: World, request_lines: list[RequestLog]
) -> None:
    await world.team.start("a", ONE)
    async with world.half(CHAT, _chat(100)) as slow:
        slow.reset()
        await eventually(lambda: not world.services.running)

    assert world.services.admission.in_progress == 0
    assert [line.status for line in request_lines] == [499]
    assert (await world.team.ask(world.other))[0] == 200


@pytest.mark.row("A27")
async def test_a27_an_upload_that_trickles_is_ended(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.server.connection.protocol._TICK", 60.0)  # there is no silence
    await world.team.start("a", PLUGINS + "connections: {body_timeout: 0.2}\n")
    async with world.half("/upload/v1beta/files", b"x" * 10_000) as slow:
        answer = asyncio.create_task(slow.response())
        async with asyncio.timeout(60):
            while not answer.done():
                await slow.send(b"x")
                await asyncio.wait([answer], timeout=0.01)
        status, headers, body = await answer

    assert (status, headers["connection"]) == (408, "close")
    assert "too slowly" in body.decode()
    await eventually(lambda: not world.services.running)
    assert world.services.admission.in_progress == 0
