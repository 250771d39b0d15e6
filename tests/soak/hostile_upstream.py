"""An upstream for soaks that answers by the name of the model: whole, large, without end, or as a gzip bomb.

python -m tests.soak.hostile_upstream PORT
"""

import asyncio
import gzip
import json
import random
import sys
import zlib
from collections.abc import Iterator
from functools import cache

from aiohttp import web

MODELS = ("gemini-large", "gemini-bomb", "gemini-endless", "gemini-event")
"""Models with an answer of their own: 10 MB, 200 MB in a gzip of 200 KB, one without end, events of 10 MB."""
PNG = b"\x89PNG\r\n\x1a\n"
MB = 1_000_000
_BLOCK = b"x" * 2**16


def answer(text: str) -> bytes:
    """Return an answer with a text."""
    candidate = {"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP"}
    return json.dumps({"candidates": [candidate], "modelVersion": "gemini-2.5-flash"}).encode()


def event(text: str) -> bytes:
    """Return a message in the middle of a stream."""
    return json.dumps(
        {"candidates": [{"content": {"parts": [{"text": text}]}}]}, separators=(",", ":")
    ).encode()


@cache
def zipped_texts(before: bytes, after: bytes) -> bytes:
    """Return events that are 30 times as long as they seem, in a form that may be repeated within a gzip."""
    chance = random.Random(1)
    texts = (event(f"{chance.getrandbits(128):032x}" * 60) for _ in range(10))
    squeeze = zlib.compressobj(wbits=-15)
    return squeeze.compress(b"".join(before + text + after for text in texts)) + squeeze.flush(
        zlib.Z_FULL_FLUSH
    )


def flood(path: str) -> Iterator[bytes]:
    """Yield the bodies of streams without end: long texts, single letters, pictures of 1 MB, or compressed texts."""
    before, after = b"data: ", b"\r\n\r\n"
    if "letters" in path:
        data = (before + event("x") + after) * 300
    elif "pictures" in path:
        part = {"inlineData": {"mimeType": "image/png", "data": "A" * 2**20}}
        data = before + json.dumps({"candidates": [{"content": {"parts": [part]}}]}).encode() + after
    else:
        data = (before + event("x" * 2000) + after) * 10
    if "zipped" not in path:
        while True:
            yield data
    data = zipped_texts(before, after)
    yield zlib.compressobj(wbits=31).flush(zlib.Z_FULL_FLUSH)
    while True:
        yield data


@cache
def large() -> bytes:
    """Return an answer of 10 MB."""
    return answer("x" * (10 * MB))


@cache
def bomb(before: bytes, after: bytes) -> bytes:
    """Return an answer of 200 MB, compressed."""
    return gzip.compress(before + answer("x" * (200 * MB)) + after, 6)


async def call(request: web.Request) -> web.StreamResponse:
    """Answer a call of a model."""
    async for _ in request.content.iter_any():
        pass
    stream, path = ":stream" in request.path, request.path
    kind = "text/event-stream" if stream else "application/json"
    response = web.StreamResponse(headers={"Content-Type": kind})
    before, after = (b"data: ", b"\r\n\r\n") if stream else (b"", b"")
    if "bomb" in path or "zipped" in path:
        response.headers["Content-Encoding"] = "gzip"
    await response.prepare(request)
    if "bomb" in path:
        await response.write(bomb(before, after))
    elif "flood" in path:  # not in MODELS: a client that reads it never ends
        for data in flood(path):
            await response.write(data)
    elif "endless" in path:
        await response.write(before + b'{"candidates":[{"content":{"parts":[{"text":"')
        while True:
            await response.write(_BLOCK)
    elif "large" in path:
        await response.write(before + large() + after)
    elif "event" in path:
        await response.write((before + large() + after) * (3 if stream else 1))
    else:
        await response.write(before + answer("hi") + after)
    return response


async def live(request: web.Request) -> web.WebSocketResponse:
    """Send sound without end over a connection of the Live API."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await socket.receive()
    await socket.send_bytes(b'{"setupComplete":{}}')
    part = {"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": "A" * 2000}}
    message = json.dumps({"serverContent": {"modelTurn": {"parts": [part]}}}).encode()
    while True:
        await socket.send_bytes(message)


async def picture(request: web.Request) -> web.StreamResponse:
    """Answer with a picture of the size in the path."""
    size = int(request.match_info["size"])
    response = web.StreamResponse(headers={"Content-Type": "image/png", "Content-Length": str(size)})
    await response.prepare(request)
    await response.write(PNG + bytes(56))
    sent = 64
    while sent < size:
        data = _BLOCK[: size - sent]
        await response.write(data)
        sent += len(data)
    return response


async def serve(port: int) -> None:
    """Serve until the process ends; what takes long to make is made before."""
    large()
    for frame in ((b"", b""), (b"data: ", b"\r\n\r\n")):
        bomb(*frame)
    app = web.Application()
    app.router.add_get("/media/{size}/{name}", picture)
    app.router.add_get("/ws/{method}", live)
    app.router.add_route("*", "/{path:.*}", call)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
