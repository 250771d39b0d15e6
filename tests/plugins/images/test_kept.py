"""Pictures at addresses of the gateway: fetched without a key, for a while, and few of each client."""

import base64
import os
import re
from pathlib import Path
from time import time
from typing import Any

import aiohttp
import pytest

from gateway.plugins.images import kept
from gateway.plugins.images.kept import NAME, KeptPictures
from gateway.store import disk_space
from tests.support.pictures import PNG, Painter, drawn, inline
from tests.support.servers import Serve

DATA = base64.b64encode(PNG).decode()


@pytest.fixture
async def painter(aiohttp_server: Any) -> Painter:
    return await Painter().start(aiohttp_server)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the gateway's state."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    return tmp_path


async def draw(base: str, **fields: Any) -> list[dict[str, str]]:
    body = {"prompt": "x", "response_format": "url", **fields}
    async with (
        aiohttp.ClientSession(headers={"Authorization": "Bearer k"}) as http,
        http.post(f"{base}/v1/images/generations", json=body) as response,
    ):
        assert response.status == 200, await response.text()
        data: list[dict[str, str]] = (await response.json())["data"]
        return data


async def fetched(url: str) -> tuple[int, bytes, Any]:
    async with aiohttp.ClientSession() as http, http.get(url) as response:
        return response.status, await response.read(), response.headers


async def test_a_picture_is_fetched_without_a_key(serve: Serve, painter: Painter, folder: Path) -> None:
    painter.answers = [drawn(inline(PNG, "image/png"))]
    base = await serve("plugins: {images: {urls: 3600}}\n", painter.url)
    pictures = await draw(base, n=2)
    (url, other) = (picture["url"] for picture in pictures)
    status, data, headers = await fetched(url)

    assert [list(picture) for picture in pictures] == [["url"], ["url"]]
    assert re.fullmatch(rf"{base}/v1/images/{NAME}", url)
    assert url != other
    assert (status, data, headers["Content-Type"]) == (200, PNG, "image/png")
    assert re.fullmatch(r"private, max-age=3[56]\d\d", headers["Cache-Control"])
    assert headers["X-Content-Type-Options"] == "nosniff"


async def test_a_proxys_scheme_is_in_the_address(serve: Serve, painter: Painter, folder: Path) -> None:
    base = await serve("plugins: {images: {urls: 60}}\n", painter.url)
    headers = {"Authorization": "Bearer k", "X-Forwarded-Proto": "https", "Host": "llm.example"}
    body = {"prompt": "x", "response_format": "url"}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.post(f"{base}/v1/images/generations", json=body) as response,
    ):
        url = (await response.json())["data"][0]["url"]

    assert url.startswith("https://llm.example/v1/images/")


async def test_it_expires(serve: Serve, painter: Painter, folder: Path) -> None:
    base = await serve("plugins: {images: {urls: 60}}\n", painter.url)
    url = (await draw(base))[0]["url"]
    (path,) = folder.rglob(url.rpartition("/")[2])
    os.utime(path, (time() - 61, time() - 61))
    status, body, _ = await fetched(url)

    assert (status, b"expired" in body) == (404, True)


@pytest.mark.parametrize(
    "name", ["0" * 32 + ".png", "../x.png", "0" * 31 + ".png", "0" * 32 + ".svg", "..%2f" + "0" * 32 + ".png"]
)
async def test_what_is_no_picture(serve: Serve, painter: Painter, folder: Path, name: str) -> None:
    base = await serve("plugins: {images: {urls: 60}}\n", painter.url)

    assert (await fetched(f"{base}/v1/images/{name}"))[0] == 404


async def test_without_the_setting_nothing_is_kept(serve: Serve, painter: Painter, folder: Path) -> None:
    base = await serve("plugins: {images: {}}\n", painter.url)

    assert (await draw(base))[0]["url"].startswith("data:image/")
    assert (await fetched(f"{base}/v1/images/{'0' * 32}.png"))[0] == 404
    assert list(folder.rglob("*.png")) == []


async def test_a_full_disk_leaves_the_data_url(
    serve: Serve, painter: Painter, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = await serve("plugins: {images: {urls: 60}}\n", painter.url)
    monkeypatch.setattr(disk_space, "_MOST_USED", 0.0)

    assert (await draw(base))[0]["url"].startswith("data:image/")


def shown(pictures: KeptPictures, name: str) -> int | None:
    """Return the seconds left of a picture."""
    kept = pictures.open(name)
    if kept is None:
        return None
    kept[0].close()
    return kept[1]


def test_the_oldest_of_a_client_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST_COUNT", 2)
    pictures = KeptPictures(tmp_path, 60)
    names = []
    for i in range(3):
        names += pictures.keep("a", [(DATA, "png")])
        (path,) = tmp_path.glob(f"*/{names[-1]}")
        os.utime(path, (time() - 30 + i, time() - 30 + i))
    names += pictures.keep("a", [(DATA, "png")])
    (others,) = pictures.keep("b", [(DATA, "webp")])

    assert [shown(pictures, name) is not None for name in names] == [False, False, True, True]
    assert shown(pictures, others) is not None


def test_the_bytes_of_a_client_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST_BYTES", len(PNG))
    pictures = KeptPictures(tmp_path, 60)
    (old,) = pictures.keep("a", [(DATA, "png")])
    (path,) = tmp_path.glob(f"*/{old}")
    os.utime(path, (time() - 30, time() - 30))
    (new,) = pictures.keep("a", [(DATA, "png")])

    assert (shown(pictures, old), shown(pictures, new) is None) == (None, False)


def test_a_sweep_leaves_what_has_not_expired(tmp_path: Path) -> None:
    pictures = KeptPictures(tmp_path, 60)
    (old,), (new,) = pictures.keep("a", [(DATA, "png")]), pictures.keep("b", [(DATA, "png")])
    (path,) = tmp_path.glob(f"*/{old}")
    os.utime(path, (time() - 61, time() - 61))
    pictures.sweep()

    assert [path.name for path in tmp_path.rglob("*.png")] == [new]
    assert len(list(tmp_path.iterdir())) == 1
