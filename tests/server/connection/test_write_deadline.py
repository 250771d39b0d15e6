"""Clients that do not read are cut off, whatever they asked for, and nothing of theirs is held any longer."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from gateway.plugin import SERVICES, Services
from tests.support.servers import Serve
from tests.support.waiting import eventually

MODEL = "gemini-2.5-flash"
TEXT = [{"role": "user", "content": "hi"}]
NATIVE = {"contents": [{"parts": [{"text": "hi"}]}]}
SURFACES: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"model": MODEL, "messages": TEXT}),
    "chat stream": ("/v1/chat/completions", {"model": MODEL, "messages": TEXT, "stream": True}),
    "responses": ("/v1/responses", {"model": MODEL, "input": "hi"}),
    "responses stream": ("/v1/responses", {"model": MODEL, "input": "hi", "stream": True}),
    "messages": ("/v1/messages", {"model": MODEL, "max_tokens": 9, "messages": TEXT}),
    "messages stream": ("/v1/messages", {"model": MODEL, "max_tokens": 9, "messages": TEXT, "stream": True}),
    "completions": ("/v1/completions", {"model": MODEL, "prompt": "hi"}),
    "native": (f"/v1beta/models/{MODEL}:generateContent", NATIVE),
    "native stream": (f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse", NATIVE),
    "native file": ("/v1beta/files/abc:download?alt=media", {}),
}


class Flood:
    """An upstream that writes as much as it can: a large answer, or a stream without end."""

    def __init__(self) -> None:
        self.url = ""
        self.open = 0
        self.sent = 0
        self.size = 12_000_000
        """Bytes of a whole answer."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        self.open += 1
        try:
            if "stream" in request.path:
                return await self._stream(request)
            response = web.StreamResponse(headers={"Content-Type": "application/json"})
            await response.prepare(request)
            text = "x" * self.size
            answer = {"candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}]}
            await response.write(json.dumps(answer).encode())
            return response
        finally:
            self.open -= 1

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        event = {"candidates": [{"content": {"parts": [{"text": "x" * 10_000}]}}]}
        data = b"data: %s\r\n\r\n" % json.dumps(event).encode()
        while True:
            await response.write(data)
            self.sent += len(data)


@pytest.fixture
async def flood() -> AsyncIterator[Flood]:
    upstream = Flood()
    app = web.Application(client_max_size=2**30)
    app.router.add_route("*", "/{path:.*}", upstream.answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    upstream.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield upstream
    await runner.cleanup()


async def start(serve: Serve, flood: Flood, timeout: float) -> tuple[int, Services]:
    base = await serve(f"stream: {{write_timeout: {timeout}, first_byte_grace: 5}}\n", flood.url)
    return int(base.rpartition(":")[2]), serve.app[SERVICES]


async def asks(port: int, surface: str) -> socket.socket:
    """Return the connection of a client that has asked, with a small buffer for what comes back."""
    path, body = SURFACES[surface]
    data = json.dumps(body).encode()
    own = socket.socket()
    own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    own.setblocking(False)
    await asyncio.get_running_loop().sock_connect(own, ("127.0.0.1", port))
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    await asyncio.get_running_loop().sock_sendall(own, head.encode() + data)
    return own


def connections(serve: Serve) -> int:
    server = serve._runners[-1].server
    assert server is not None
    return len(server.connections)


@pytest.mark.row("A11", "C04")
@pytest.mark.parametrize("surface", SURFACES)
async def test_a11_a_client_that_never_reads_is_cut(serve: Serve, flood: Flood, surface: str) -> None:
    port, services = await start(serve, flood, 0.2)
    own = await asks(port, surface)
    await eventually(lambda: flood.open)
    await eventually(lambda: services.memory.unsent or not connections(serve))
    await eventually(lambda: not connections(serve))
    await eventually(lambda: not (flood.open or services.running or services.admission.in_progress))
    await eventually(lambda: not (services.memory.used or services.memory.unsent))
    own.close()


@pytest.mark.row("A11")
@pytest.mark.parametrize("surface", ["chat", "chat stream", "native stream"])
async def test_a11_a_client_that_reads_slowly_is_not_cut(serve: Serve, flood: Flood, surface: str) -> None:
    port, _ = await start(serve, flood, 0.4)
    own = await asks(port, surface)
    loop = asyncio.get_running_loop()
    end = loop.time() + 1.2
    while loop.time() < end:
        assert await loop.sock_recv(own, 65536)
        await asyncio.sleep(0.02)
    assert connections(serve) == 1
    own.close()
    await eventually(lambda: not connections(serve))


@pytest.mark.row("C04")
async def test_c04_the_upstream_is_not_read_while_the_client_does_not_read(
    serve: Serve, flood: Flood
) -> None:
    port, services = await start(serve, flood, 60)
    own = await asks(port, "chat stream")
    await eventually(lambda: services.memory.unsent)
    sent = -1
    while sent != flood.sent:  # until the buffers of the kernel are full
        sent = flood.sent
        await asyncio.sleep(0.1)
    assert services.memory.unsent < 100_000
    own.close()
    await eventually(lambda: not flood.open)


async def test_the_rest_of_an_answer_is_cut_on_a_closed_connection(serve: Serve, flood: Flood) -> None:
    """A connection that is closed for the gateway still holds what its client has not read."""
    port, services = await start(serve, flood, 0.3)
    flood.size = 3_000_000
    own = await asks(port, "chat")
    await eventually(lambda: services.memory.unsent)
    server = serve._runners[-1].server
    assert server is not None
    for connection in server.connections:
        assert connection.transport is not None
        connection.transport.close()
    await asyncio.sleep(0.05)
    assert connections(serve) == 1
    await eventually(lambda: not connections(serve))
    own.close()


async def test_nothing_is_looked_at_after_the_end(serve: Serve, flood: Flood) -> None:
    port, services = await start(serve, flood, 60)
    own = await asks(port, "native stream")
    await eventually(lambda: services.memory.unsent)
    await serve.stop()
    assert services.memory.unsent == 0
    own.close()
