"""Servers for tests: the real application on a free port, the emulator, and a scripted upstream."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any
from unittest.mock import Mock

import aiohttp
import aioresponses.core
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.emulator.server import CALLS, Call
from gateway.server.application import build_app
from gateway.server.connection.protocol import Runner


class _ClientResponse(aiohttp.ClientResponse):
    """aioresponses 0.7.9 does not know the argument that aiohttp 3.14 added."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("stream_writer", Mock(output_size=0))
        super().__init__(*args, **kwargs)


aioresponses.core.ClientResponse = _ClientResponse  # type: ignore[attr-defined]


class Serve:
    """Starts gateways in this process, as `gateway serve` would."""

    def __init__(self) -> None:
        self._runners: list[Runner] = []
        self.environ: dict[str, str] = {}
        """What `{env: NAME}` finds."""
        self.app = web.Application()
        """The one that was started last."""

    async def __call__(self, text: str = "", upstream: str = "http://127.0.0.1:9", idle: float = 300) -> str:
        """Return the base URL of a running gateway.

        Its timeout for a connection is long: an SDK that builds its models holds the loop, for seconds on a busy machine.
        """
        options = f"base_url: '{upstream}', retry: {{backoff: 0}}, timeouts: {{connect: 60, idle: {idle}}}"
        return await self.text(f"upstream: {{{options}}}\n{text}")

    async def text(self, text: str) -> str:
        """The same, of a whole configuration."""
        source = Source(text, "test.yaml", self.environ)
        config = source.decode(GatewayConfig)
        self.app = build_app(config, source)
        runner = Runner(self.app, config.connections)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self._runners.append(runner)
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Stop all of them."""
        while self._runners:
            await self._runners.pop().cleanup()


async def upstream_of(
    aiohttp_server: Callable[..., Awaitable[TestServer]],
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]],
    largest: int = 2**26,
) -> str:
    """Start an upstream that answers every request, with a body of up to `largest` bytes. Return its base URL."""
    app = web.Application(client_max_size=largest)
    app.router.add_route("*", "/{path:.*}", answer)
    return str((await aiohttp_server(app)).make_url("")).rstrip("/")


class Fake:
    """The running emulator."""

    def __init__(self, app: web.Application, url: str) -> None:
        self._app = app
        self.url = url

    @property
    def last(self) -> Call:
        """What arrived last."""
        return self._app[CALLS][-1]

    @property
    def calls(self) -> int:
        return len(self._app[CALLS])


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Return the head and the body of a request. Raises IncompleteReadError at the end of the connection."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((int(h[15:]) for h in head.lower().split(b"\r\n") if h.startswith(b"content-length:")), 0)
    return head + await reader.readexactly(length)


class RawUpstream:
    """Answers each connection's first request with the next script: bytes to write, an event to wait for, None for ever.

    `tests.support.fakegem` has one that also keeps, resets and refuses connections.
    """

    def __init__(self) -> None:
        self.scripts: list[Sequence[bytes | asyncio.Event | None]] = []
        self.requests: list[bytes] = []
        self.left = asyncio.Event()
        """A client closed its connection while its script was waiting."""
        self.url = ""
        self._writers: list[asyncio.StreamWriter] = []

    async def close(self) -> None:
        """End all connections, and wait until they have ended: the loop must not end before them."""
        for writer in self._writers:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self.requests.append(await read_request(reader))
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        for piece in script:
            if piece is None:
                await reader.read()
                self.left.set()
                break
            if isinstance(piece, asyncio.Event):
                await piece.wait()
                continue
            writer.write(piece)
            await writer.drain()
        writer.close()


def chunked(*pieces: bytes, kind: bytes = b"text/event-stream") -> list[bytes | None]:
    """A 200 whose body is still open."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: " + kind + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
    return [head, *(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)]


def whole(body: bytes, status: bytes = b"200 OK", kind: bytes = b"application/json") -> list[bytes | None]:
    """A complete answer."""
    return [
        b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
        % (status, kind, len(body), body)
    ]


def ok(answer: object) -> list[bytes | None]:
    """Return a complete 200 with an answer as JSON."""
    return whole(json.dumps(answer).encode())
