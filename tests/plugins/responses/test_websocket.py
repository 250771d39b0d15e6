"""WebSockets on `GET /v1/responses`: the events of a POST, turns that continue, errors, and the end of connections."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType
from msgspec import Raw

from gateway.errors import BadRequest
from gateway.exchange.incoming.request_body import Body, parse
from gateway.observability.request_log import RequestLog
from gateway.plugin import SERVICES
from gateway.plugins.responses import websocket
from gateway.server.process.lifecycle import DRAIN
from tests.support.frames import frames
from tests.support.servers import Fake, RawUpstream, Serve, chunked
from tests.support.team import Team
from tests.support.waiting import eventually

M = "gemini-2.5-flash"
BEGIN = b'data: {"candidates":[{"content":{"parts":[{"text":"Once"}]}}]}\r\n\r\n'
ENDS = ("response.completed", "response.incomplete", "response.failed", "error")


@asynccontextmanager
async def connected(base: str, **headers: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A connection as Codex makes it."""
    headers = {"Authorization": "Bearer k", "OpenAI-Beta": "responses_websockets=2026-02-06", **headers}
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{base}/v1/responses", headers=headers, compress=15) as socket,
    ):
        yield socket


async def send(socket: aiohttp.ClientWebSocketResponse, **body: Any) -> None:
    await socket.send_json({"type": "response.create", "model": M, **body})


async def ask(socket: aiohttp.ClientWebSocketResponse, **body: Any) -> list[Any]:
    """Return the events of one response, to its end."""
    await send(socket, **body)
    return await events(socket)


async def events(socket: aiohttp.ClientWebSocketResponse) -> list[Any]:
    received: list[Any] = []
    while not received or received[-1]["type"] not in ENDS:
        received.append(json.loads(await socket.receive_str(timeout=60)))
    return received


def text_of(received: list[Any]) -> str:
    assert received[-1]["type"] == "response.completed", received[-1]
    texts: list[str] = [
        part["text"] for item in received[-1]["response"]["output"] for part in item["content"]
    ]
    return "".join(texts)


@pytest.mark.row("G9")
async def test_g09_a_message_has_the_events_of_a_post(gateway: str, http: aiohttp.ClientSession) -> None:
    body = {"model": M, "input": "hello there", "store": False}
    async with http.post(f"{gateway}/v1/responses", json={**body, "stream": True}) as response:
        posted = frames(await response.text())
    async with connected(gateway) as socket:
        received = await ask(socket, input="hello there", store=False)

    assert [event["type"] for event in received] == [event["type"] for event in posted]
    assert [event["sequence_number"] for event in received] == list(range(len(received)))
    last, expected = received[-1]["response"], posted[-1]["response"]
    assert last.keys() == expected.keys()
    assert (last["usage"], text_of(received)) == (expected["usage"], "You said: hello there")


@pytest.mark.row("G9")
async def test_g09_turns_continue_although_nothing_is_stored(gateway: str, fake: Fake) -> None:
    async with connected(gateway) as socket:
        first = await ask(socket, input="one", store=False)
        second = await ask(
            socket, input=[{"role": "user", "content": "two"}], store=False,
            previous_response_id=first[-1]["response"]["id"],
        )  # fmt: skip
        third = await ask(
            socket, input="three", store=False, previous_response_id=second[-1]["response"]["id"]
        )
        forgotten = await ask(socket, input="x", previous_response_id=first[-1]["response"]["id"])
    async with connected(gateway) as socket:
        elsewhere = await ask(socket, input="x", previous_response_id=third[-1]["response"]["id"])

    said = [content["parts"][0]["text"] for content in fake.last.body["contents"]]
    assert said == ["one", "You said: one", "two", "You said: two", "three"]
    for refused in (forgotten, elsewhere):
        assert (refused[0]["status"], refused[0]["error"]["code"]) == (400, "previous_response_not_found")


@pytest.mark.row("G9")
async def test_g09_a_message_without_output_is_continued(gateway: str, fake: Fake) -> None:
    async with connected(gateway) as socket:
        warm = await ask(
            socket, input=[{"role": "developer", "content": "Be brief."}], store=False, generate=False
        )
        calls = fake.calls
        empty = await ask(socket, input=[], generate=False, previous_response_id=warm[-1]["response"]["id"])
        await ask(socket, input="hi", store=False, previous_response_id=empty[-1]["response"]["id"])

    assert [event["type"] for event in warm] == [
        "response.created", "response.in_progress", "response.completed",
    ]  # fmt: skip
    assert (warm[-1]["response"]["status"], warm[-1]["response"]["output"]) == ("completed", [])
    assert warm[-1]["response"]["usage"]["total_tokens"] == 0
    assert (calls, fake.calls) == (0, 1)
    assert fake.last.body["systemInstruction"]["parts"][0]["text"] == "Be brief."


async def test_a_stored_response_is_found_by_every_way(gateway: str, http: aiohttp.ClientSession) -> None:
    async with connected(gateway, Authorization="Bearer test-key") as socket:
        name = (await ask(socket, input="one"))[-1]["response"]["id"]
    async with http.get(f"{gateway}/v1/responses/{name}") as response:
        assert (await response.json())["status"] == "completed"
    async with connected(gateway, Authorization="Bearer test-key") as socket:
        answer = await ask(socket, input="two", previous_response_id=name, background=True, stream=False)
    assert (text_of(answer), answer[-1]["response"]["background"]) == ("You said: two", False)


@pytest.mark.parametrize(
    ("message", "param", "code"),
    [
        ("{", None, "invalid_json"),
        ("[]", None, "invalid_type"),
        ('{"model": "x"}', "type", "invalid_value"),
        ('{"type": 5}', "type", "invalid_value"),
        ('{"type": "response.cancel"}', "type", "invalid_value"),
        ('{"type": "response.create", "stream_id": "a"}', "stream_id", "unsupported_parameter"),
        ('{"type": "response.create", "model": "gemini-2.5-flash", "input": 5}', "input", "invalid_type"),
        ('{"type": "response.create", "model": "gemini-2.5-flash"}', "input", None),
    ],
)
async def test_an_error_is_a_message_and_the_connection_goes_on(
    gateway: str, message: str, param: str | None, code: str | None
) -> None:
    async with connected(gateway) as socket:
        await socket.send_str(message)
        (error,) = await events(socket)
        assert (error["type"], error["status"], error["error"]["param"]) == ("error", 400, param)
        assert code is None or error["error"]["code"] == code
        assert error["headers"]["x-request-id"].endswith(".1")
        assert text_of(await ask(socket, input="hi")) == "You said: hi"


async def test_failures_of_gemini_have_their_status_and_when_to_come_again(serve: Serve, fake: Fake) -> None:
    base = await serve("", fake.url)
    async with connected(base) as socket:
        (limited,) = await ask(socket, input="[[429]]")
        (long,) = await ask(socket, input="[[too long]]")
        middle = await ask(socket, input="[[error midstream]]")

    assert (limited["status"], int(limited["headers"]["retry-after"]) > 0) == (429, True)
    assert (long["status"], long["error"]["code"]) == (400, "context_length_exceeded")
    assert "response.failed" in [event["type"] for event in middle]


@pytest.mark.row("G9")
async def test_g09_each_message_has_its_line_in_the_log(
    gateway: str, request_lines: list[RequestLog], event_lines: list[Any]
) -> None:
    async with connected(gateway, **{"x-request-id": "req_7"}) as socket:
        await ask(socket, input="one")
        await ask(socket, input="[[400]]", model="nobody/knows:this")
    await eventually(lambda: len(request_lines) == 3)

    first, second, connection = request_lines
    assert (first.request_id, first.status, first.stream, first.surface, first.model) == (
        "req_7.1", 200, True, "responses", M,
    )  # fmt: skip
    assert first.path == "/v1/responses (websocket)"
    assert first.completion_tokens
    assert first.first_byte_ms is not None
    assert (second.request_id, second.status) == ("req_7.2", second.status)
    assert (connection.request_id, connection.status, connection.path) == ("req_7", 101, "/v1/responses")
    assert event_lines == []


async def test_a_handshake_needs_a_key_and_an_upgrade(serve: Serve, http: aiohttp.ClientSession) -> None:
    base = await serve("plugins: {responses: {websockets: 0}, hello: {}}")
    for headers in (HANDSHAKE, {**HANDSHAKE, "Connection": "close"}, {**HANDSHAKE, "Sec-WebSocket-Key": "x"}):
        async with http.get(f"{base}/v1/responses", headers=headers) as response:
            assert (response.status, response.headers["Upgrade"]) == (426, "HTTP/1.1")
    base = await serve("plugins: {responses: {}}")
    async with (
        aiohttp.ClientSession() as nobody,
        nobody.get(f"{base}/v1/responses", headers=HANDSHAKE) as response,
    ):
        assert response.status == 401
    async with http.get(f"{base}/v1/responses") as response:
        assert (response.status, "POST" in response.headers["Allow"]) == (405, True)


HANDSHAKE = {
    "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
}  # fmt: skip


async def test_further_connections_are_told_to_use_post(serve: Serve, fake: Fake) -> None:
    base = await serve("plugins: {responses: {websockets: 1}}", fake.url)
    async with connected(base):
        with pytest.raises(aiohttp.WSServerHandshakeError) as raised:
            async with connected(base):
                pass
        assert raised.value.status == 426
    async with connected(base) as socket:
        assert text_of(await ask(socket, input="hi")) == "You said: hi"


async def test_a_page_of_another_origin_is_refused(serve: Serve, fake: Fake) -> None:
    base = await serve("cors: {origins: ['https://chat.example']}", fake.url)
    with pytest.raises(aiohttp.WSServerHandshakeError) as raised:
        async with connected(base, Origin="https://evil.example"):
            pass
    assert raised.value.status == 403
    async with connected(base, Origin="https://chat.example") as socket:
        assert text_of(await ask(socket, input="hi")) == "You said: hi"


async def test_a_browser_gets_the_first_subprotocol(gateway: str, event_lines: list[Any]) -> None:
    async with connected(
        gateway, **{"Sec-WebSocket-Protocol": "realtime, openai-insecure-api-key.k"}
    ) as socket:
        assert socket.protocol is None or socket.protocol == "realtime"
    assert event_lines == []


async def test_limits_of_a_key_hold_for_each_message(serve: Serve, fake: Fake, tmp_path: Path) -> None:
    team = Team(serve, tmp_path, fake.url)
    await team.start()
    key = team.issue(requests_per_minute=2)
    await serve.app[SERVICES].refresh_keys()
    async with connected(team.base, Authorization=f"Bearer {key}") as socket:
        for _ in range(2):
            text_of(await ask(socket, input="hi"))
        (error,) = await ask(socket, input="hi")
        assert (error["status"], error["error"]["code"]) == (429, "rate_limit_exceeded")


@pytest.mark.parametrize("politely", [True, False])
async def test_a_client_that_leaves_ends_the_call(
    serve: Serve, raw_upstream: RawUpstream, request_lines: list[RequestLog], politely: bool
) -> None:
    raw_upstream.scripts = [[*chunked(BEGIN), None]]
    base = await serve("", raw_upstream.url)
    async with aiohttp.ClientSession() as session:
        socket = await session.ws_connect(f"{base}/v1/responses", headers={"Authorization": "Bearer k"})
        await send(socket, input="hi")
        while "delta" not in json.loads(await socket.receive_str(timeout=60)):
            pass
        if politely:
            await socket.close()
        else:
            socket._response.connection.transport.abort()  # type: ignore[union-attr]
        await asyncio.wait_for(raw_upstream.left.wait(), 60)
    await eventually(lambda: len(request_lines) == 2)
    assert [line.status for line in request_lines] == [499, 499]
    assert serve.app[SERVICES].memory.used == 0


async def test_a_client_that_vanishes_between_two_messages_is_no_failure(
    serve: Serve, fake: Fake, request_lines: list[RequestLog], event_lines: list[Any]
) -> None:
    base = await serve("", fake.url)
    async with aiohttp.ClientSession() as session:
        socket = await session.ws_connect(f"{base}/v1/responses", headers={"Authorization": "Bearer k"})
        await ask(socket, input="hi")
        socket._response.connection.transport.abort()  # type: ignore[union-attr]
    await eventually(lambda: len(request_lines) == 2)
    assert [line.status for line in request_lines] == [200, 101]
    assert event_lines == []
    assert serve.app[SERVICES].memory.used == 0


async def test_messages_are_answered_in_their_order(gateway: str) -> None:
    async with connected(gateway) as socket:
        for number in range(5):
            await send(socket, input=f"n{number}")
        answers = [text_of(await events(socket)) for _ in range(5)]
    assert answers == [f"You said: n{number}" for number in range(5)]


async def test_silence_is_filled_with_events(serve: Serve, fake: Fake) -> None:
    base = await serve("stream: {first_byte_grace: 0.1, keep_alive: 0.1}", fake.url)
    async with connected(base) as socket:
        received = await ask(socket, input="[[slow 1]] hi")
    kinds = [event["type"] for event in received]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds.count("response.in_progress") > 2
    assert [event["sequence_number"] for event in received] == list(range(len(received)))


async def test_a_drain_closes_idle_connections_and_waits_for_the_others(
    serve: Serve, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "_LOOK", 0.05)
    base = await serve("", fake.url)
    drain = serve.app[DRAIN]
    async with connected(base) as idle, connected(base) as busy:
        await send(busy, input="[[slow 1]] hi")
        await eventually(lambda: fake.calls == 1)
        assert len(drain.tasks) == 1
        drain.draining = True
        message = await idle.receive(timeout=60)
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)
        assert text_of(await events(busy)) == "You said: [[slow 1]] hi"
        assert (await busy.receive(timeout=60)).data == 1001
    await eventually(lambda: not drain.tasks)


async def test_an_old_connection_is_closed_after_its_response(
    gateway: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "_LOOK", 0.05)
    monkeypatch.setattr(websocket, "MAX_AGE", 0.3)
    async with connected(gateway) as socket:
        assert text_of(await ask(socket, input="[[slow 1]] hi")) == "You said: [[slow 1]] hi"
        message = await socket.receive(timeout=60)
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)


async def test_memory_is_held_while_it_is_used(serve: Serve, fake: Fake) -> None:
    base = await serve("limits: {body: 2000000, memory: 40000000}", fake.url)
    memory = serve.app[SERVICES].memory
    async with connected(base) as socket:
        await ask(socket, input="x" * 300_000, store=False)
        assert 300_000 <= memory.used < 1_000_000
        assert memory.kept >= 300_000
        await ask(socket, input="y", store=False)
        assert memory.used < 10_000
        await socket.send_str("z" * 2_000_001)
        assert (await socket.receive(timeout=60)).data == 1009
    await eventually(lambda: memory.used == 0)


async def test_a_message_without_memory_cuts_its_connection_before_it_is_complete(
    serve: Serve, fake: Fake
) -> None:
    base = await serve("limits: {body: 20000000, memory: 2000000}", fake.url)
    services = serve.app[SERVICES]
    other = services.memory.open()
    other.take(1_000_000)
    async with connected(base) as socket:
        with pytest.raises(ConnectionError):
            await socket.send_str("x" * 5_000_000)
    await eventually(lambda: services.memory.used == 1_000_000)


async def test_no_memory_for_the_last_response_forgets_it(serve: Serve, fake: Fake) -> None:
    base = await serve("", fake.url)
    services = serve.app[SERVICES]
    async with connected(base) as socket:
        first = await ask(socket, input="x" * 100_000, store=False)
        services.memory.limit = 1
        remembered = websocket.Remembered(services.memory.open())
        await remembered.put("resp_a", ["x" * 300_000], heavy=False)
        assert await remembered.items("resp_a", services.memory.open()) is None
        services.memory.limit = 10**9
        second = await ask(socket, input="y", store=False, previous_response_id=first[-1]["response"]["id"])
        assert text_of(second) == "You said: y"


@pytest.mark.row("S69")
@pytest.mark.parametrize(
    "frame",
    [
        b"\x81\xff" + b"\xff" * 8, b"\x81\xfe\xff\xff", b"\x83\x80" + bytes(4), b"\xf1\x80" + bytes(4), b"\x89\xfe\x01\x00",
        b"\x80\x80" + bytes(4), b"\x01\x80" + bytes(4) + b"\x81\x80" + bytes(4), b"\x81\x82" + bytes(4) + b"\xff\xfe",
        b"\x88\x81" + bytes(5), b"\x88\x82" + bytes(4) + b"\x00\x01", Random(69).randbytes(64), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)  # fmt: skip
async def test_s69_a_broken_frame_ends_its_connection_alone(
    serve: Serve, fake: Fake, event_lines: list[Any], frame: bytes
) -> None:
    base = await serve("", fake.url)
    host, _, port = base.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = "".join(f"{name}: {value}\r\n" for name, value in HANDSHAKE.items())
    writer.write(f"GET /v1/responses HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n{lines}\r\n".encode())
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    writer.write(frame * 20)
    writer.write_eof()
    await asyncio.wait_for(reader.read(), 60)
    writer.close()
    async with connected(base) as socket:
        assert text_of(await ask(socket, input="hi")) == "You said: hi"
    assert [line for line in event_lines if line["event"] == "crash"] == []
    await eventually(lambda: serve.app[SERVICES].memory.used == 0)


async def test_a_fault_of_the_gateway_is_told_and_logged(
    gateway: str, event_lines: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.plugins.responses.routes.new_name", lambda: 1 / 0)
    async with connected(gateway) as socket:
        (error,) = await ask(socket, input="hi")
        monkeypatch.undo()
        assert text_of(await ask(socket, input="hi")) == "You said: hi"
    assert error["status"] == 500
    assert "division" not in json.dumps(error)


def test_only_the_body_of_a_message_counts() -> None:
    message = parse(
        b'{"type": "response.create", "generate": false, "stream": false, "background": true, "model": "m"}'
    )
    assert websocket.unwrapped(message).fields == {"model": Raw(b'"m"')}
    assert not websocket.generates(message)
    assert websocket.generates(Body(b"{}", {}))
    with pytest.raises(BadRequest, match=r"response\.create"):
        websocket.unwrapped(Body(b"{}", {}))


def test_events_are_found_in_frames() -> None:
    sent = b'event: a\ndata: {"x": "1\\n\\n2"}\n\n: keep-alive\n\nevent: b\ndata: {}\n\n'
    assert list(websocket.events(sent)) == [b'{"x": "1\\n\\n2"}', b"{}"]
