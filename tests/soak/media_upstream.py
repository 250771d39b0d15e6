"""Google's side for soaks of media: takes uploads, writes recordings down, draws, echoes Live messages. Argument: port."""

import asyncio
import base64
import json
import os
import sys

from aiohttp import WSMsgType, web

_FILE = {"name": "files/abc", "uri": "https://generativelanguage.googleapis.com/v1beta/files/abc", "state": "ACTIVE"}  # fmt: skip
_CONTENT = [{"type": "text", "text": "Hello world."}]
_INTERACTION = {
    "id": "v1_x", "status": "completed", "steps": [{"type": "model_output", "content": _CONTENT}],
    "usage": {"total_input_tokens": 35, "total_output_tokens": 4, "total_tokens": 39},
}  # fmt: skip
_PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x08\0\0\0\x08\0\x08\2\0\0\0" + os.urandom(20_000_000)
_PICTURE = (
    b'{"candidates":[{"content":{"parts":[{"inlineData":{"mimeType":"image/png","data":"%b"}}]},"finishReason":"STOP"}]}'
    % base64.b64encode(_PNG)
)
_THINKS = 0.5
"""Seconds until an answer."""


async def upload(request: web.Request) -> web.Response:
    """Take a file, in two requests."""
    async for _ in request.content.iter_any():
        pass
    if "upload_id" in request.query:
        return web.json_response({"file": _FILE})
    return web.json_response({}, headers={"X-Goog-Upload-URL": str(request.url.with_query(upload_id="1"))})


async def interactions(request: web.Request) -> web.Response:
    """Write a recording down."""
    async for _ in request.content.iter_any():
        pass
    await asyncio.sleep(_THINKS)
    return web.json_response(_INTERACTION)


async def draw(request: web.Request) -> web.Response:
    """Answer with a picture of 20 MB."""
    async for _ in request.content.iter_any():
        pass
    await asyncio.sleep(_THINKS)
    return web.Response(body=_PICTURE, content_type="application/json")


async def delete(_: web.Request) -> web.Response:
    """Delete a file."""
    return web.json_response({})


async def live(request: web.Request) -> web.WebSocketResponse:
    """Answer the first message, and each other with itself."""
    socket = web.WebSocketResponse(max_msg_size=2**24, compress=False)
    await socket.prepare(request)
    await socket.receive()
    await socket.send_bytes(json.dumps({"setupComplete": {}}).encode())
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_bytes(message.data.encode())
    return socket


def app() -> web.Application:
    """Return the upstream."""
    result = web.Application(client_max_size=2**30)
    result.router.add_post("/upload/v1beta/files", upload)
    result.router.add_post("/v1beta/interactions", interactions)
    result.router.add_post("/v1beta/models/{model}", draw)
    result.router.add_delete("/v1beta/files/{id}", delete)
    result.router.add_get("/ws/{method}", live)
    return result


async def serve(port: int) -> None:
    """Serve until terminated."""
    runner = web.AppRunner(app(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve(int(sys.argv[1])))
