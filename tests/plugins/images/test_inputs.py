"""Pictures of a form: their order, their formats, and what is refused before Gemini is asked."""

import base64
import json
from collections.abc import Sequence
from typing import Any

import aiohttp
import pytest

from gateway.plugins.images import inputs, pillow
from tests.plugins.images.test_pillow import png_of
from tests.support.forms import BOUNDARY, Field, form
from tests.support.pictures import BLUE, JPEG, PNG, Painter, inline, picture, pixel
from tests.support.servers import Serve

SVG = b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>"


@pytest.fixture
async def painter(aiohttp_server: Any) -> Painter:
    return await Painter().start(aiohttp_server)


@pytest.fixture
async def base(serve: Serve, painter: Painter) -> str:
    return await serve("", painter.url)


async def send(
    http: aiohttp.ClientSession, base: str, *fields: Field, path: str = "edits", **headers: str
) -> tuple[int, Any]:
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", **headers}
    async with http.post(f"{base}/v1/images/{path}", data=form(fields), headers=headers) as response:
        return response.status, json.loads(await response.read())


@pytest.mark.parametrize(
    ("name", "data"),
    [("a.gif", picture("gif", colour=BLUE)), ("a.bmp", picture("bmp", colour=BLUE)), ("a", picture("tiff", colour=BLUE)),
     ("a.avif", picture("avif", colour=BLUE))],
)  # fmt: skip
async def test_a_format_that_gemini_does_not_read_becomes_png(
    http: aiohttp.ClientSession, base: str, painter: Painter, name: str, data: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    kind = "image/tiff" if data[:2] in (b"II", b"MM") else "application/octet-stream"
    fields: Sequence[Field] = [("image", data, name, kind), ("prompt", "x")]
    status, body = await send(http, base, *fields)
    sent = painter.parts[0]["inlineData"]

    assert (status, sent["mimeType"]) == (200, "image/png"), body
    assert all(abs(a - b) < 4 for a, b in zip(pixel(base64.b64decode(sent["data"])), BLUE, strict=True))

    monkeypatch.setattr(pillow, "is_installed", lambda: False)
    status, body = await send(http, base, *fields)
    assert (status, body["error"]["param"]) == (400, "image")
    assert "--extra images" in body["error"]["message"]


async def test_the_bytes_tell_the_type_whatever_the_client_says(
    http: aiohttp.ClientSession, base: str, painter: Painter
) -> None:
    await send(http, base, ("image", JPEG, "a.png", "image/png"), ("prompt", "x"))

    assert painter.parts[0] == inline(JPEG, "image/jpeg")


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ([("image", b"", "a.png")], "image", "it is empty"),
        ([("image", b"hello", "a.txt", "text/plain")], "image", "it is no png, jpeg or webp"),
        ([("image", b"hello", "a.bin", "application/octet-stream")], "image", "it is no png, jpeg or webp"),
        ([("image", SVG, "a.svg", "image/svg+xml")], "image", "it is no png, jpeg or webp"),
        ([("image", b"GIF89a", "a.gif")], "image", "it cannot be read"),
        ([("image", b"hello", "a.png", "image/png")], "image", "it is declared as image/png"),
        (
            [("image", b"%!PS-Adobe-3.0 EPSF-3.0", "a.jpg", "image/jpeg")],
            "image",
            "it is declared as image/jpeg",
        ),
        ([("image", bytes(64), "a.webp", "image/webp")], "image", "it is declared as image/webp"),
        ([("image", PNG, "a"), ("image", SVG, "b.png", "image/png")], "image", "it is declared as image/png"),
        ([("image", PNG[:20], "a.png", "image/png")], "image", "it is cut short"),
        ([("image", png_of(0, 5), "a.png")], "image", "it has no pixels"),
        ([("image", png_of(50_000, 50_000), "a.png")], "image", "50000 x 50000 pixels"),
        ([("image", png_of(16_000, 16_000), "a.png")], "image", "16000 x 16000 pixels"),
        ([("image", PNG, "a"), ("mask", png_of(30_000, 30_000), "m.png")], "mask", "30000 x 30000 pixels"),
        ([("image", PNG, "a"), ("mask", b"GIF89a", "m.png")], "mask", "it cannot be read"),
        ([("image", PNG, "a"), ("mask", PNG, "m"), ("mask", PNG, "m")], "mask", "must be one file"),
        ([("image", PNG, "a"), ("mask", PNG, "m"), ("markup", PNG, "m")], "markup", "not both"),
        ([("mask", PNG, "m")], "image", "Missing required parameter"),
    ],
)
async def test_what_is_refused(
    http: aiohttp.ClientSession, base: str, painter: Painter, fields: list[Field], param: str, words: str
) -> None:
    status, body = await send(http, base, *fields, ("prompt", "x"))

    assert (status, body["error"]["param"]) == (400, param)
    assert words in body["error"]["message"]
    assert painter.calls == []


async def test_a_file_of_more_than_50_mb_is_refused(
    http: aiohttp.ClientSession, base: str, painter: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "MOST_BYTES", len(PNG) - 1)
    status, body = await send(http, base, ("image", PNG, "a.png"), ("prompt", "x"))

    assert (status, body["error"]["param"], painter.calls) == (400, "image", [])


async def test_a_mask_stays_as_it_is_without_pillow(
    http: aiohttp.ClientSession, base: str, painter: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pillow, "is_installed", lambda: False)
    await send(http, base, ("image", PNG, "a.png"), ("mask", JPEG, "m.png"), ("prompt", "x"))

    assert painter.parts[:2] == [inline(PNG), inline(JPEG, "image/jpeg")]


async def test_a_variation_has_a_prompt_of_the_gateways(
    http: aiohttp.ClientSession, base: str, painter: Painter
) -> None:
    status, _ = await send(http, base, ("image", PNG, "a.png"), path="variations")
    assert (status, painter.parts[1]["text"][:20]) == (200, "Make another version")

    await send(http, base, ("image", PNG, "a.png"), ("prompt", "mine"), path="variations")
    assert painter.parts == [inline(PNG), {"text": "mine"}]


@pytest.mark.parametrize("path", ["edits", "variations"])
async def test_another_body_names_the_form(http: aiohttp.ClientSession, base: str, path: str) -> None:
    for kind in (
        "text/plain",
        "multipart/form-data",
        *(["application/json"] if path == "variations" else []),
    ):
        status, body = await send(http, base, ("prompt", "x"), path=path, **{"Content-Type": kind})
        assert (status, "multipart/form-data" in body["error"]["message"]) == (400, True), body
