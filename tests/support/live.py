"""Clients of the Live API, as plain WebSockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import WSMsgType

from tests.support.certificates import Authority

M = "gemini-3.8-live"
PATH = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
SETUP: dict[str, Any] = {"setup": {"model": f"models/{M}"}}


@asynccontextmanager
async def connected(
    base: str, key: str = "k", path: str = PATH, **options: Any
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A connection with a key in the header that Google's SDK uses."""
    headers = {"x-goog-api-key": key, **options.pop("headers", {})}
    async with aiohttp.ClientSession() as session:
        socket = await session.ws_connect(base + path, headers=headers, max_msg_size=2**26, **options)
        async with socket:
            yield socket


async def setup(socket: aiohttp.ClientWebSocketResponse, **fields: Any) -> dict[str, Any]:
    """Send the first message, and return the answer."""
    await socket.send_json({"setup": {**SETUP["setup"], **fields}})
    message = await socket.receive(timeout=10)
    assert message.type is WSMsgType.BINARY, message
    answer: dict[str, Any] = json.loads(message.data)
    assert "setupComplete" in answer
    return answer


async def received(socket: aiohttp.ClientWebSocketResponse) -> list[dict[str, Any]]:
    """Return the messages of a turn, to its end."""
    messages: list[dict[str, Any]] = []
    while not messages or not messages[-1].get("serverContent", {}).get("turnComplete"):
        messages.append(json.loads(await socket.receive_bytes(timeout=10)))
    return messages


async def closed(socket: aiohttp.ClientWebSocketResponse) -> tuple[int | None, str]:
    """Return code and reason of the close frame, after any other messages."""
    while True:
        message = await socket.receive(timeout=10)
        if message.type is WSMsgType.CLOSE:
            return message.data, message.extra or ""
        assert message.type in (WSMsgType.BINARY, WSMsgType.TEXT), message


@asynccontextmanager
async def encrypted(base: str, folder: Path) -> AsyncIterator[dict[str, Any]]:
    """Google's SDK for Python opens WebSockets over TLS only: the `http_options` for a proxy of `base` that ends TLS."""
    authority, port = Authority(folder), int(base.rpartition(":")[2])
    tasks: set[asyncio.Task[None]] = set()

    async def copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(2**16):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        for work in (copied(reader, inner_writer), copied(inner_reader, writer)):
            task = asyncio.ensure_future(work)
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(forward, "127.0.0.1", 0, ssl=authority.server("127.0.0.1"))
    address = server.sockets[0].getsockname()
    try:
        yield {
            "base_url": f"https://127.0.0.1:{address[1]}",
            "async_client_args": {"ssl": authority.trusting()},
        }
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
