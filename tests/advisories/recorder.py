"""An upstream that answers every method of Gemini's API and records what it was sent, and a listener for others."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from aiohttp import web

from tests.support.servers import Serve


class Sent(NamedTuple):
    """A request that arrived upstream."""

    path: str
    headers: dict[str, str]
    body: Any


class Recorder:
    """The upstream, and a second server that no request may reach."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.text = "hi"
        """Text of every answer."""
        self.url = ""
        self.elsewhere = ""
        """URL of the second server."""
        self.strays = 0
        """Connections to the second server."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Record a request and answer it."""
        data = await request.read()
        body = json.loads(data) if data else None
        self.sent.append(Sent(request.path_qs, {k.lower(): v for k, v in request.headers.items()}, body))
        parts: list[Any] = [{"text": self.text}]
        if "banana" in request.path:
            parts.append({"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}})
        candidate = {"content": {"parts": parts, "role": "model"}, "finishReason": "STOP"}
        answer = {"candidates": [candidate], "totalTokens": 3,
                  "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1},
                  "models": [{"name": "models/gemini-2.5-flash", "supportedGenerationMethods": ["generateContent"]}],
                  "embeddings": [{"values": [1.0]} for _ in (body or {}).get("requests", [{}])]}  # fmt: skip
        if "stream" in request.path:
            event = b"data: " + json.dumps(answer).encode() + b"\r\n\r\n"
            return web.Response(body=event, headers={"Content-Type": "text/event-stream"})
        return web.json_response(answer)

    async def stray(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Count a connection that must not be made."""
        self.strays += 1
        writer.close()


async def recording(serve: Serve, text: str = "") -> AsyncIterator[tuple[str, Recorder]]:
    """Yield the URL of a gateway, and its upstream."""
    recorder = Recorder()
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{path:.*}", recorder.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    recorder.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    other = await asyncio.start_server(recorder.stray, "127.0.0.1", 0)
    recorder.elsewhere = f"http://127.0.0.1:{other.sockets[0].getsockname()[1]}"
    yield await serve(text, recorder.url), recorder
    other.close()
    await runner.cleanup()
