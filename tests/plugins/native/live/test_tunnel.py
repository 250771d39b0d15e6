"""The tunnel of a Live session: how it ends, what it holds of a side that does not read, and its deadlines."""

import asyncio
import json
import socket as sockets
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from gateway.errors import Revoked
from gateway.observability.request_log import RequestLog
from gateway.plugin import SERVICES
from gateway.plugins.native.live import sessions, tunnel
from gateway.server.process.lifecycle import DRAIN
from tests.support.live import PATH, SETUP, Google, closed, connected, received, setup, turn
from tests.support.rawc import RawClient
from tests.support.servers import Fake, Serve
from tests.support.team import Team
from tests.support.waiting import eventually

MIB = 2**20


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the sessions often."""
    monkeypatch.setattr(sessions, "_LOOK", 0.02)


@pytest.mark.parametrize("code", [1000, 1007, 1008, 1011, 4321])
async def test_googles_close_frame_is_the_clients(
    serve: Serve, upstream: str, google: Google, code: int
) -> None:
    base = await serve("", upstream)
    google.answers = [[], [(code, "for a reason")]]
    async with connected(base) as socket:
        await setup(socket)
        await socket.send_json({"realtimeInput": {"text": "hi"}})
        assert await closed(socket) == (code, "for a reason")


async def test_a_clients_close_frame_is_googles_and_the_log_says_so(
    serve: Serve, upstream: str, google: Google, request_lines: list[RequestLog]
) -> None:
    base = await serve("", upstream)
    async with connected(base) as socket:
        await setup(socket)
        await socket.close(code=1000)
    await eventually(lambda: bool(google.closed))
    assert google.closed == [(1000, "")]
    await eventually(lambda: bool(request_lines))
    assert (request_lines[-1].status, request_lines[-1].error) == (101, None)


async def test_a_client_that_is_cut_off_ends_googles_side(
    serve: Serve, upstream: str, google: Google, request_lines: list[RequestLog]
) -> None:
    base = await serve("", upstream)
    async with connected(base) as socket:
        await setup(socket)
        transport = socket._response.connection.transport  # type: ignore[union-attr]
        transport.abort()  # type: ignore[union-attr]
    await eventually(lambda: bool(google.closed and request_lines))
    assert google.closed[0][0] == 1001
    assert request_lines[-1].status == 499


async def test_google_breaks_off_in_a_message(
    gateway: str, fake: Fake, request_lines: list[RequestLog]
) -> None:
    async with connected(gateway) as socket:
        await setup(socket)
        await socket.send_json({"realtimeInput": {"text": "[[cut]]"}})
        code, reason = await closed(socket)
    assert (code, reason) == (1011, "The connection to Google was lost.")
    await eventually(lambda: bool(request_lines))
    assert request_lines[-1].error == "upstream_unreachable"


async def test_google_is_not_there(serve: Serve, request_lines: list[RequestLog]) -> None:
    base = await serve("")
    async with connected(base) as socket:
        await socket.send_json(SETUP)
        assert (await closed(socket))[0] == 1011
    await eventually(lambda: bool(request_lines))
    assert request_lines[-1].error == "upstream_unreachable"


async def test_messages_that_are_too_large_end_a_session(serve: Serve, upstream: str, google: Google) -> None:
    base = await serve("plugins: {native: {live: {message: 65536}}}", upstream)
    async with connected(base) as socket:
        await setup(socket)
        await socket.send_bytes(bytes(65_537))
        assert (await closed(socket))[0] == 1009
    google.answers = [[], [bytes(65_537)]]
    async with connected(base) as socket:
        await setup(socket)
        await socket.send_bytes(bytes(65_536))
        assert (await closed(socket))[0] == 1009


async def test_the_first_message_must_be_setup(serve: Serve, upstream: str, google: Google) -> None:
    base = await serve("", upstream)
    for data in (b"", b"[]", b"\xff", b'{"realtimeInput":{}}', b'{"setup":1}', b"[" * 100_000):
        async with connected(base) as socket:
            await socket.send_bytes(data)
            assert await closed(socket) == (1007, "setup must be the first message and only the first")
    assert google.handshakes == []


async def test_large_messages_pass_in_both_directions(serve: Serve, upstream: str, google: Google) -> None:
    base = await serve("", upstream)
    large = json.dumps({"serverContent": {"modelTurn": "x" * 4 * MIB}}).encode()
    google.answers = [[], [large]]
    async with connected(base) as socket:
        await setup(socket)
        await socket.send_bytes(bytes(5 * MIB))
        assert (await socket.receive(timeout=10)).data == large
    assert len(google.received[1][1]) == 5 * MIB
    await eventually(lambda: serve.app[SERVICES].memory.used == 0)


async def test_a_client_that_does_not_read_makes_google_wait(
    serve: Serve, upstream: str, google: Google
) -> None:
    base = await serve("stream: {write_timeout: 60}", upstream)
    sent = 0

    async def flood(socket: web.WebSocketResponse) -> None:
        nonlocal sent
        for _ in range(2000):
            await socket.send_bytes(bytes(32 * 1024))
            sent += 1

    client = await quiet_client(base)
    google.serve = flood
    await client.send(frame(json.dumps(SETUP).encode()))
    await eventually(lambda: sent > 0)
    before = -1
    while before != sent:
        before = sent
        await asyncio.sleep(0.1)
    assert sent * 32 * 1024 < 16 * MIB  # most of it in the buffers of two kernels
    assert serve.app[SERVICES].memory.used < MIB
    client.writer.close()
    await eventually(lambda: serve.app[SERVICES].statistics.live_sessions == 0)


async def test_google_that_does_not_read_makes_the_client_wait(
    serve: Serve, upstream: str, google: Google
) -> None:
    base = await serve("", upstream)
    blocked = asyncio.Event()

    async def stall(socket: web.WebSocketResponse) -> None:
        await blocked.wait()

    google.serve = stall
    async with connected(base) as socket:
        await socket.send_json(SETUP)
        await socket.receive()
        sent = 0
        try:
            async with asyncio.timeout(2):
                while sent < 64 * MIB:
                    async with asyncio.timeout(0.3):
                        await socket.send_bytes(bytes(256 * 1024))
                    sent += 256 * 1024
        except TimeoutError:
            pass
        blocked.set()
        assert 0 < sent < 32 * MIB  # up to 20 are in the sockets' buffers
        assert serve.app[SERVICES].memory.used < 4 * MIB


async def quiet_client(base: str) -> RawClient:
    """A client that sends its handshake and reads nothing more than the answer to it."""
    client = await RawClient.open(base)
    lines = [
        f"GET {PATH} HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "x-goog-api-key: k", "", "",
    ]  # fmt: skip
    await client.send("\r\n".join(lines).encode())
    return client


def frame(data: bytes, kind: int = 1) -> bytes:
    """A masked frame whose mask changes nothing."""
    size = len(data)
    head = bytes([0x80 | kind, 0x80 | (size if size < 126 else 126)])
    return head + (size.to_bytes(2, "big") if size >= 126 else b"") + bytes(4) + data


async def test_deadlines(
    serve: Serve, upstream: str, google: Google, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = await serve("plugins: {native: {live: {idle: 0.1}}}", upstream)
    async with connected(base) as socket:
        await setup(socket)
        assert await closed(socket) == (1000, "No message for 0.1 seconds.")
    base = await serve("plugins: {native: {live: {total: 0.1}}}", upstream)
    async with connected(base) as socket:
        await setup(socket)
        assert await closed(socket) == (1000, "The session has lasted 0.1 seconds.")
    monkeypatch.setattr(tunnel, "TO_BEGIN", 0.1)
    base = await serve("", upstream)
    async with connected(base) as socket:
        assert await closed(socket) == (1008, "No answered `setup` within 0.1 seconds.")


async def test_a_message_that_does_not_go_on_is_cut(
    serve: Serve, upstream: str, request_lines: list[RequestLog]
) -> None:
    base = await serve("connections: {body_timeout: 0.1}", upstream)
    client = await quiet_client(base)
    await client.send(frame(json.dumps(SETUP).encode()))
    await eventually(lambda: serve.app[SERVICES].statistics.live_sessions == 1)
    await client.send(b"\x81\xfe\x7f\xff")
    await eventually(lambda: bool(request_lines))
    assert request_lines[-1].error == "request_timeout"
    client.writer.close()


async def test_a_drain_is_announced_as_google_does_and_ends_the_session(
    serve: Serve, upstream: str, google: Google
) -> None:
    base = await serve("drain: 7", upstream)
    async with connected(base) as socket:
        await setup(socket)
        state = serve.app[DRAIN]
        state.draining = True
        assert json.loads(await socket.receive_bytes(timeout=5)) == {"goAway": {"timeLeft": "7s"}}
        google.answers = [[turn()]]
        await socket.send_json({"realtimeInput": {"text": "still here"}})
        await received(socket)
        state.expire()
        assert await closed(socket) == (1001, "The gateway is restarting; please try again.")


async def test_a_revoked_key_ends_its_sessions(team: Team, serve: Serve) -> None:
    key = team.issue()
    await team.start("a")
    async with connected(team.base, key) as socket:
        await setup(socket)
        access = serve.app[SERVICES].access
        access.issued = {}
        access.cut(0)
        assert await closed(socket) == (1008, Revoked().message)


async def test_idle_sockets_cost_little_and_leave_room(serve: Serve, upstream: str) -> None:
    base = await serve(
        "plugins: {native: {live: {sessions: 100, per_client: 100}}, chat: {}}\nconnections: {per_address: 200}",
        upstream,
    )
    host, port = base.removeprefix("http://").split(":")
    head = (
        f"GET {PATH} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nx-goog-api-key: k\r\n\r\n"
    ).encode()
    loop = asyncio.get_running_loop()
    opened: list[sockets.socket] = []
    answers: list[bytes] = []
    try:
        for _ in range(120):
            sock = sockets.socket()
            sock.setblocking(False)
            opened.append(sock)
            await loop.sock_connect(sock, (host, int(port)))
            await loop.sock_sendall(sock, head)
            answers.append(await loop.sock_recv(sock, 200))
        statuses = [int(answer.split()[1]) for answer in answers]
        assert statuses.count(101) == 50  # one address has half of all
        assert set(statuses[50:]) == {503}
        services = serve.app[SERVICES]
        assert services.memory.used < 50 * 4096
        assert services.admission.in_progress == 0
    finally:
        for sock in opened:
            sock.close()
    await eventually(lambda: services.statistics.live_sessions == 0)


async def test_pings_are_answered_and_do_not_reach_google(
    serve: Serve, upstream: str, google: Google
) -> None:
    base = await serve("", upstream)
    async with (
        aiohttp.ClientSession(headers={"x-goog-api-key": "k"}) as http,
        http.ws_connect(base + PATH, autoping=False) as socket,
    ):
        await setup(socket)
        await socket.ping(b"are you there")
        message: Any = await socket.receive(timeout=5)
        assert (message.type, message.data) == (WSMsgType.PONG, b"are you there")
    assert len(google.received) == 1
