"""Clients that ask for a stream without end and never read it: each costs the gateway little, on every surface."""

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.support.apart import Apart
from tests.support.live import PATH, SETUP
from tests.support.surfaces import (
    CHAT_STREAM,
    COMPLETIONS_STREAM,
    MESSAGES_STREAM,
    NATIVE_STREAM,
    RESPONSES_STREAM,
    Surface,
)

MOST = 300
"""KB for each client."""
LIVE = 1024
"""KB for each Live session: aiohttp's WebSocket reads ahead until 512 KB of messages wait."""
ZIPPED = 100
"""KB more where the upstream compresses: zlib's window, and what waits compressed."""
LETTERS = 100
"""KB more where each letter is an event: what one read becomes is four times as large."""
_CLIENT = "Host: x\r\nAuthorization: Bearer k\r\nx-goog-api-key: k\r\n"
_UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


def post(surface: Surface, model: str) -> bytes:
    """Return a request for a stream."""
    body = surface.body()
    if "model" in body:
        body["model"] = model
    data = json.dumps(body).encode()
    path = surface.path.replace("gemini-2.5-flash", model)
    return f"POST {path} HTTP/1.1\r\n{_CLIENT}Content-Length: {len(data)}\r\n\r\n".encode() + data


def websocket(path: str, message: dict[str, Any]) -> bytes:
    """Return a handshake and a first message, masked with zeros."""
    data = json.dumps(message).encode()
    head = bytes([0x81, 0x80 | 126]) + len(data).to_bytes(2, "big") + bytes(4)
    return f"GET {path} HTTP/1.1\r\n{_CLIENT}{_UPGRADE}\r\n".encode() + head + data


def create(model: str) -> bytes:
    """Return a request over a WebSocket of the Responses API."""
    return websocket("/v1/responses", {"type": "response.create", "model": model, "input": "hi"})


@pytest.fixture
def sockets() -> Iterator[ExitStack]:
    """What closes the clients, also after a failure: other tests would be told of them."""
    with ExitStack() as stack:
        yield stack


async def floods(apart: Apart, sockets: ExitStack, request: bytes, count: int) -> float:
    """Return the KB that each client costs once the gateway grows no more."""
    loop, own = asyncio.get_running_loop(), socket.socket()
    own.close()
    for number in range(count):
        own = sockets.enter_context(socket.socket())
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        own.setblocking(False)
        await loop.sock_connect(own, ("127.0.0.1", apart.port))
        await loop.sock_sendall(own, request.replace(b" k\r\n", b" k%d\r\n" % (number // 8)))
    grown = -1.0
    while apart.grown > grown + 0.5:
        grown = apart.grown
        await asyncio.sleep(1)
    assert own.recv(12) in (b"HTTP/1.1 200", b"HTTP/1.1 101")
    return apart.grown * 1000 / count


REQUESTS: dict[str, Callable[[str], bytes]] = {
    **{
        surface.name: lambda model, surface=surface: post(surface, model)  # type: ignore[misc]
        for surface in (CHAT_STREAM, COMPLETIONS_STREAM, MESSAGES_STREAM, RESPONSES_STREAM, NATIVE_STREAM)
    },
    "responses over a WebSocket": create,
}


@pytest.mark.slow
@pytest.mark.row("C04", "C05")
@pytest.mark.parametrize("count", [20, 500])
async def test_c05_clients_that_never_read_cost_little_each(
    apart: Apart, sockets: ExitStack, count: int
) -> None:
    each = await floods(apart, sockets, post(CHAT_STREAM, "gemini-flood"), count)
    print(f"{count} clients: {each:.0f} KB each")
    assert each <= MOST
    assert await apart.ask("gemini-2.5-flash", stream=False) == 200


@pytest.mark.slow
@pytest.mark.row("C04", "C05")
@pytest.mark.parametrize("kind", ["flood", "flood-letters", "flood-zipped"])
@pytest.mark.parametrize("surface", REQUESTS)
async def test_c05_on_every_surface(apart: Apart, sockets: ExitStack, surface: str, kind: str) -> None:
    each = await floods(apart, sockets, REQUESTS[surface](f"gemini-{kind}"), 80)
    print(f"{surface} {kind}: {each:.0f} KB each")
    assert each <= MOST + ZIPPED * (kind == "flood-zipped") + LETTERS * (kind == "flood-letters")


@pytest.mark.slow
@pytest.mark.row("C04", "C05")
async def test_c05_a_live_session(apart: Apart, sockets: ExitStack) -> None:
    each = await floods(apart, sockets, websocket(PATH, SETUP), 80)
    print(f"live: {each:.0f} KB each")
    assert MOST / 10 < each <= LIVE


@pytest.mark.slow
@pytest.mark.row("C04", "C05", "U21")
@pytest.mark.parametrize("surface", ["chat", "messages", "responses", "native"])
async def test_c05_pictures_wait_one_at_a_time(apart: Apart, sockets: ExitStack, surface: str) -> None:
    each = await floods(apart, sockets, REQUESTS[surface]("gemini-flood-pictures"), 20)
    print(f"{surface} pictures: {each:.0f} KB each")
    assert each <= MOST + 4 * 1024
