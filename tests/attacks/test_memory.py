"""Memory of bodies: none outlives its request, whatever goes wrong, and without the help of the garbage collector."""

import asyncio
import gc
import json
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from aiohttp import web

from gateway.plugin import SERVICES
from gateway.policy.load.memory import MemoryAccount
from tests.support.servers import Serve
from tests.support.waiting import eventually

SIZE = 1_000_000
"""Bytes of a body."""
FILL = "a" * SIZE
MODEL = "gemini-2.5-flash"
SURFACES: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"model": MODEL, "messages": [{"role": "user", "content": FILL}]}),
    "chat-n": (
        "/v1/chat/completions",
        {"model": MODEL, "n": 2, "messages": [{"role": "user", "content": FILL}]},
    ),
    "chat-stream": (
        "/v1/chat/completions",
        {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": FILL}]},
    ),
    "responses": ("/v1/responses", {"model": MODEL, "store": False, "input": FILL}),
    "responses-stream": ("/v1/responses", {"model": MODEL, "store": False, "stream": True, "input": FILL}),
    "messages": (
        "/v1/messages",
        {"model": MODEL, "max_tokens": 5, "messages": [{"role": "user", "content": FILL}]},
    ),
    "count_tokens": (
        "/v1/messages/count_tokens",
        {"model": MODEL, "messages": [{"role": "user", "content": FILL}]},
    ),
    "completions": ("/v1/completions", {"model": MODEL, "prompt": FILL}),
    "embeddings": ("/v1/embeddings", {"model": "gemini-embedding-001", "input": FILL}),
    "native": (f"/v1beta/models/{MODEL}:generateContent", {"contents": [{"parts": [{"text": FILL}]}]}),
    "native-stream": (
        f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse",
        {"contents": [{"parts": [{"text": FILL}]}]},
    ),
}
BROKEN: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "a model of the wrong type": lambda body: {**body, "model": 5},
    "a value of the wrong type at the end": lambda body: {
        **body,
        "messages": [*body.get("messages", []), {"role": 5}],
    },
    "a text in place of a number": lambda body: {**body, "temperature": FILL},
    "an unknown role": lambda body: {**body, "messages": [{"role": "nobody", "content": FILL}]},
}
UPSTREAM = ("refuses", "fails", "talks", "lies", "leaves", "is silent", "leaves midway")


class Upstream:
    """Fails in the way that `mood` says."""

    def __init__(self) -> None:
        self.mood = "talks"
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        async for _ in request.content.iter_any():
            pass
        if self.mood == "refuses":
            error = {"code": 400, "message": "no", "status": "INVALID_ARGUMENT"}
            return web.json_response({"error": error}, status=400)
        if self.mood == "fails":
            return web.json_response({"error": {"code": 503, "message": "busy"}}, status=503)
        if self.mood == "lies":
            return web.json_response(["not an answer"])
        if self.mood in ("leaves", "leaves midway"):
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            if self.mood == "leaves midway":
                await response.prepare(request)
                await response.write(b'data: {"candidates":[{"content":{"parts":[{"text":"hi"}]}}]}\r\n\r\n')
            assert request.transport is not None
            request.transport.close()
            return response
        if self.mood == "is silent":
            await asyncio.sleep(60)
        return web.json_response({})


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    result = Upstream()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", result.answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    result.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield result
    await runner.cleanup()


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Posting:
    """Sends bodies that are encoded once, so that only the gateway's copies of them are measured."""

    def __init__(self, base: str, account: MemoryAccount) -> None:
        self._port = int(base.rpartition(":")[2])
        self.account = account

    async def send(self, path: str, body: bytes, patience: float | None = None) -> bytes:
        """Return what comes back; with `patience`, leave after so many seconds."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nConnection: close\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
        writer.write(body)
        try:
            async with asyncio.timeout(patience):
                return await reader.read()
        except TimeoutError:
            return b""
        finally:
            writer.close()

    async def kept_of(self, path: str, body: bytes, patience: float | None = None) -> int:
        """Return the bytes that are allocated after a request, over those before it."""
        await self.send(path, body, patience)
        await eventually(lambda: not self.account.used)
        await asyncio.sleep(0)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(2):
            await self.send(path, body, patience)
            await eventually(lambda: not self.account.used)
        grown = 0
        for _ in range(200):  # threads and transports end a little later than the answer
            grown = tracemalloc.get_traced_memory()[0] - before
            if grown < SIZE / 4:
                break
            await asyncio.sleep(0.005)
        return grown


@pytest.fixture
async def posting(serve: Serve, upstream: Upstream) -> AsyncIterator[Posting]:
    base = await serve.text(
        f"upstream: {{base_url: '{upstream.url}', timeouts: {{idle: 0.1}}, retry: {{backoff: 0}}}}\n"
        "limits: {body: 2097152}\nstream: {first_byte_grace: 5}\n"
    )
    tracemalloc.start()
    yield Posting(base, serve.app[SERVICES].memory)
    tracemalloc.stop()


@pytest.mark.row("A5")
@pytest.mark.parametrize("surface", SURFACES)
async def test_a05_no_refused_body_is_kept(no_collector: None, posting: Posting, surface: str) -> None:
    path, body = SURFACES[surface]
    kept = {}
    for name, spoil in BROKEN.items():
        kept[name] = await posting.kept_of(path, json.dumps(spoil(body)).encode())
    whole = json.dumps(body).encode()
    kept["not JSON"] = await posting.kept_of(path, whole[:-1] + b",]")
    kept["not an object"] = await posting.kept_of(path, b"[" + whole + b"]")
    kept["too large"] = await posting.kept_of(path, whole * 3)
    assert {name: size for name, size in kept.items() if size > SIZE / 4} == {}


@pytest.mark.row("A5")
@pytest.mark.parametrize("surface", SURFACES)
async def test_a05_no_body_is_kept_whose_call_failed(
    no_collector: None, posting: Posting, upstream: Upstream, surface: str
) -> None:
    path, body = SURFACES[surface]
    data, kept = json.dumps(body).encode(), {}
    for upstream.mood in UPSTREAM:
        kept[upstream.mood] = await posting.kept_of(path, data)
    upstream.mood = "is silent"
    kept["the client leaves"] = await posting.kept_of(path, data, patience=0.05)
    assert {name: size for name, size in kept.items() if size > SIZE / 4} == {}
