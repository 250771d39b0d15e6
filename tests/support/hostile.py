"""Good bodies, spoilt in one to three places; and a gateway to send them to, in a loop of its own."""

import asyncio
import copy
import json
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any

import aiohttp
from aiohttp import web

from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.server.application import build_app
from gateway.server.connection.protocol import Runner
from gateway.server.plugin_loader import BUILT_IN, find_plugin

Path = tuple[Any, ...]

VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**64), 10**400, 1.5, 1e308, float("nan"), float("inf"), "", " ", "x",
    "\x00", "\ud800", "é\U0001f600", "a" * 5000, "{bad", "[1]", '{"a":1e999}', "[" * 150, "data:;base64,!!!",
    "data:image/png;base64,A", "http://127.0.0.1/x.png", "https://[::1]/", "../../x", "\r\nx: y", [], [[]], {}, [None],
    [{}], {"": ""}, {"$ref": "#"}, {"$ref": "#/$defs/A"}, {"type": "object", "properties": 5}, {"type": [1]},
    {"anyOf": []}, {"allOf": [{"allOf": [{}]}]}, {"enum": []}, {"const": {"a": [1]}}, {"google": 5}, {"role": "user"},
    {"role": "tool", "content": None}, {"type": "function"}, {"url": 5}, "__deep__",
]  # fmt: skip


def paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a body."""
    if at:
        yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from paths(inner, (*at, key))


def mutated(seed: dict[str, Any], changes: Iterable[tuple[Path, Any]], without: set[str]) -> bytes:
    """A body without some of its fields, and with other values in some places."""
    body = {key: value for key, value in copy.deepcopy(seed).items() if key not in without}
    for path, value in changes:
        spot: Any = body
        for step in path[:-1]:
            try:
                spot = spot[step]
            except (KeyError, IndexError, TypeError):
                break
        else:
            if isinstance(spot, dict) or (
                isinstance(spot, list) and isinstance(path[-1], int) and path[-1] < len(spot)
            ):
                spot[path[-1]] = copy.deepcopy(value)
    return json.dumps(body).encode().replace(b'"__deep__"', b"[" * 120 + b"]" * 120)


def hostile(
    seed: dict[str, Any], places: Sequence[Path], light: Sequence[str], rolls: random.Random
) -> bytes:
    """A good body with one to three of its places spoilt; `light` are fields whose absence lets more through."""
    changes = [(rolls.choice(places), rolls.choice(VALUES)) for _ in range(rolls.randint(1, 3))]
    return mutated(seed, changes, {name for name in light if rolls.random() < 0.5})


SERVED = [*(name for name in BUILT_IN if find_plugin(name).fields), "health", "hello"]
"""Every built-in plugin with request fields."""


async def _upstream(request: web.Request) -> web.Response:
    parts: list[dict[str, Any]] = [{"text": "hi"}]
    if "banana" in request.path:
        parts.append({"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}})
    answer = {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}
    if "Embed" in request.path:
        asked = (await request.json()).get("requests") or ()
        return web.json_response({"embeddings": [{"values": [1.0]} for _ in asked]})
    if "countTokens" in request.path:
        return web.json_response({"totalTokens": 3})
    if "stream" in request.path:
        text = b"data: " + json.dumps(answer).encode() + b"\r\n\r\n"
        return web.Response(body=text, headers={"Content-Type": "text/event-stream"})
    return web.json_response(answer)


Upstream = Callable[[web.Request], Awaitable[web.Response]]


class Bench:
    """A gateway, an upstream that takes everything, and a client, in a loop of their own."""

    def __init__(self, path: str = "/v1/chat/completions", upstream: Upstream = _upstream) -> None:
        self.path = path
        self._answer = upstream

    async def start(self) -> None:
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/{path:.*}", self._answer)
        self._upstream = web.AppRunner(app)
        await self._upstream.setup()
        await web.TCPSite(self._upstream, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{self._upstream.addresses[0][1]}"
        plugins = "".join(f"{name}: {{}}, " for name in SERVED)
        text = f"{{upstream: {{base_url: '{url}'}}, logging: {{exchanges: false}}, media: {{fetch: false}}, plugins: {{{plugins}}}}}"
        source = Source(text, "x", {})
        self._gateway = Runner(build_app(source.decode(GatewayConfig), source))
        await self._gateway.setup()
        await web.TCPSite(self._gateway, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._gateway.addresses[0][1]}{self.path}"
        self.http = aiohttp.ClientSession(headers={"Authorization": "Bearer k"})

    async def stop(self) -> None:
        await self.http.close()
        await self._gateway.cleanup()
        await self._upstream.cleanup()

    async def send(self, body: bytes) -> tuple[int, bytes]:
        async with self.http.post(self.url, data=body) as response:
            return response.status, await response.read()

    async def all(self, bodies: list[bytes]) -> list[tuple[int, bytes]]:
        return [await self.send(body) for body in bodies]


async def longest_absence(bench: Bench, data: bytes) -> tuple[int, float]:
    """Status, and the most seconds the loop was away while the body was worked on: of this process's own, all threads
    together, so that a busy machine changes nothing."""
    longest = 0.0

    async def probe() -> None:
        nonlocal longest
        while True:
            before = time.process_time()
            await asyncio.sleep(0.001)
            longest = max(longest, time.process_time() - before)

    host, port = bench.url.split("/")[2].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    watching = asyncio.create_task(probe())
    head = f"POST {bench.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n"
    writer.write(f"{head}Content-Length: {len(data)}\r\n\r\n".encode())
    for i in range(0, len(data), 65536):
        writer.write(data[i : i + 65536])
        await writer.drain()
    status = int((await reader.readline()).split()[1])
    await asyncio.sleep(0.002)  # the last absence is over when the probe runs again
    watching.cancel()
    writer.close()
    return status, longest
