"""Calls of one request: at most four at once, one after another finished, and pictures in the client's format."""

import asyncio
import base64
import json
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.plugins.images import pillow
from tests.support.pictures import JPEG, PNG, Painter, drawn, inline, picture
from tests.support.servers import Serve, upstream_of

URL = "/v1/images/generations"


async def test_four_calls_at_once_and_each_picture_when_it_is_finished(
    http: aiohttp.ClientSession, serve: Serve, aiohttp_server: Any
) -> None:
    running, most, open_ = 0, 0, asyncio.Semaphore(0)

    async def draw(request: web.Request) -> web.Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await open_.acquire()
        running -= 1
        return web.json_response(drawn())

    base = await serve("", await upstream_of(aiohttp_server, draw))
    async with asyncio.timeout(20):
        asking = asyncio.create_task(http.post(base + URL, json={"prompt": "x", "n": 6, "stream": True}))
        while running < 4:
            await asyncio.sleep(0.005)
        open_.release()
        response = await asking
        first = await response.content.readuntil(b"\n\n")
        while running < 4:
            await asyncio.sleep(0.005)
        for _ in range(5):
            open_.release()
        text = first + await response.content.read()

    assert (most, text.count(b"event: image_generation.completed")) == (4, 6)


@pytest.mark.parametrize(
    ("came", "fields", "form", "noted", "same"),
    [
        (("png", PNG), {}, "png", "", True),
        (("jpeg", JPEG), {"output_format": "jpeg"}, "jpeg", "", True),
        (("jpeg", JPEG), {"output_format": "jpeg", "output_compression": 100}, "jpeg", "", True),
        (("jpeg", picture("jpeg", (90, 90))), {"output_compression": 3}, "jpeg", "", False),
        (("png", PNG), {"output_format": "png", "output_compression": 30}, "png", "output_compression", True),
        (("png", PNG), {"output_format": "jpeg", "output_compression": 30}, "jpeg", "", False),
    ],
)  # fmt: skip
async def test_format_and_compression(
    http: aiohttp.ClientSession, serve: Serve, aiohttp_server: Any, came: tuple[str, bytes],
    fields: dict[str, Any], form: str, noted: str, same: bool, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    painter = await Painter().start(aiohttp_server)
    painter.answers = [drawn(inline(came[1], f"image/{came[0]}"))]
    base = await serve("", painter.url)

    async def ask() -> tuple[bytes, str, str]:
        async with http.post(base + URL, json={"prompt": "x", **fields}) as response:
            body = json.loads(await response.read())
            data = base64.b64decode(body["data"][0]["b64_json"])
            return data, body["output_format"], response.headers.get("x-gateway-notes", "")

    data, output, notes = await ask()
    assert (data == came[1], output, notes) == (same, form, noted)

    monkeypatch.setattr(pillow, "is_installed", lambda: False)
    data, output, notes = await ask()
    assert (data, output) == (came[1], came[0])
    assert bool(notes) is not (same and not noted)


async def test_a_picture_that_pillow_cannot_read_stays(
    http: aiohttp.ClientSession, serve: Serve, aiohttp_server: Any
) -> None:
    painter = await Painter().start(aiohttp_server)
    painter.answers = [drawn(inline(PNG[:40]))]
    base = await serve("", painter.url)
    async with http.post(base + URL, json={"prompt": "x", "output_format": "webp"}) as response:
        body = json.loads(await response.read())

    assert (body["output_format"], response.headers["x-gateway-notes"]) == ("png", "output_format")
