"""A gateway that is killed in the middle of an upload, to it or by it."""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.emulator.server import build_fake
from tests.support.forms import BOUNDARY, form
from tests.support.gateway_process import Gateway, config, ready
from tests.support.servers import Fake

HEADERS = {"Authorization": "Bearer AIza-own-key"}
FORM = {**HEADERS, "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
PLUGINS = "plugins: {{chat: {{}}, health: {{}}, files: {{path: {}}}}}\n"


@pytest.mark.slow
async def test_nothing_is_left_of_an_upload_that_was_cut_and_nothing_is_lost(
    start: list[Gateway], tmp_path: Path, fake: Fake, http: aiohttp.ClientSession
) -> None:
    folder = tmp_path / "files"
    settings = config(fake.url) + PLUGINS.format(folder)
    gateway = Gateway(tmp_path, settings)
    start.append(gateway)
    base = await ready(gateway)
    whole = form([("purpose", "vision"), ("file", bytes(3 * 2**20), "a.bin")])
    async with http.post(f"{base}/v1/files", data=io.BytesIO(whole), headers=FORM) as response:
        kept = await response.json()
    sent = asyncio.Event()

    async def half() -> AsyncIterator[bytes]:
        yield whole[: 2 * 2**20]
        sent.set()
        await asyncio.sleep(60)

    cut = asyncio.create_task(http.post(f"{base}/v1/files", data=half(), headers=FORM))
    await sent.wait()
    gateway.close()
    with pytest.raises(aiohttp.ClientError):
        await cut
    (tmp_path / "notify").unlink()
    again = Gateway(tmp_path, settings)
    start.append(again)
    base = await ready(again)

    async with http.get(f"{base}/v1/files", headers=HEADERS) as response:
        assert [file["id"] for file in (await response.json())["data"]] == [kept["id"]]
    assert [entry.name for entry in folder.iterdir() if not entry.name.startswith("files.db")] == [
        kept["id"][5:]
    ]
    async with http.get(f"{base}/v1/files/{kept['id']}/content", headers=HEADERS) as response:
        assert await response.read() == bytes(3 * 2**20)


PART = 8 * 2**20


async def restarted(killed: Gateway, start: list[Gateway], folder: Path, settings: str) -> str:
    """Kill a gateway, and return the base URL of the next."""
    killed.close()
    (folder / "notify").unlink()
    start.append(Gateway(folder, settings))
    return await ready(start[-1])


async def send_part(http: aiohttp.ClientSession, base: str, upload: str, data: bytes) -> str:
    body = io.BytesIO(form([("data", data, "upload")]))
    async with http.post(f"{base}/v1/uploads/{upload}/parts", data=body, headers=FORM) as response:
        assert response.status == 200, await response.text()
        return str((await response.json())["id"])


async def complete(http: aiohttp.ClientSession, base: str, upload: str, parts: list[str]) -> Any:
    url = f"{base}/v1/uploads/{upload}/complete"
    async with http.post(url, json={"part_ids": parts}, headers=HEADERS) as response:
        return await response.json()


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["a part arrives", "the parts are joined", "the answer is under way"])
async def test_an_upload_in_parts_survives_kill_9(
    start: list[Gateway], tmp_path: Path, fake: Fake, http: aiohttp.ClientSession, moment: str
) -> None:
    folder = tmp_path / "files"
    settings = config(fake.url) + PLUGINS.format(folder)
    start.append(Gateway(tmp_path, settings))
    base = await ready(start[-1])
    data = [bytes([i]) * PART for i in range(4)]
    about = {"bytes": 4 * PART, "filename": "a.bin", "mime_type": "application/pdf", "purpose": "user_data"}
    async with http.post(f"{base}/v1/uploads", json=about, headers=HEADERS) as response:
        upload = (await response.json())["id"]
    parts = [await send_part(http, base, upload, piece) for piece in data[:3]]
    if moment == "a part arrives":
        sending: asyncio.Task[Any] = asyncio.create_task(send_part(http, base, upload, data[3]))
        await asyncio.sleep(0)
    else:
        parts.append(await send_part(http, base, upload, data[3]))
        sending = asyncio.create_task(complete(http, base, upload, parts))
    while not sending.done() and not (is_begun := [*folder.glob("new-*")]):
        await asyncio.sleep(0)
    if moment == "the answer is under way":
        while not sending.done() and [*folder.glob("new-*")]:
            await asyncio.sleep(0)
    base = await restarted(start[-1], start, tmp_path, settings)
    await asyncio.gather(sending, return_exceptions=True)

    async with http.get(f"{base}/v1/uploads/{upload}", headers=HEADERS) as response:
        state = await response.json()
    assert is_begun
    if state["status"] == "pending":
        if moment == "a part arrives":
            parts.append(await send_part(http, base, upload, data[3]))
        state = await complete(http, base, upload, parts)
    assert state["status"] == "completed", state
    async with http.get(f"{base}/v1/files", headers=HEADERS) as response:
        assert [file["id"] for file in (await response.json())["data"]] == [state["file"]["id"]]
    async with http.get(f"{base}/v1/files/{state['file']['id']}/content", headers=HEADERS) as response:
        assert await response.read() == b"".join(data)


@pytest.mark.slow
@pytest.mark.parametrize("google", ["start", "upload, finalize"], indirect=True)
async def test_a_file_whose_copy_is_on_its_way_to_google_is_sent_again_after_kill_9(
    start: list[Gateway], tmp_path: Path, google: tuple[asyncio.Event, str], http: aiohttp.ClientSession
) -> None:
    reached, url = google
    settings = config(url) + PLUGINS.format(tmp_path / "files")
    start.append(Gateway(tmp_path, settings))
    base = await ready(start[-1])
    body = form([("purpose", "user_data"), ("file", b"%PDF-1.4 " + bytes(2**20), "a.pdf")])
    async with http.post(f"{base}/v1/files", data=io.BytesIO(body), headers=FORM) as response:
        identifier = (await response.json())["id"]
    content = [{"type": "text", "text": "hi"}, {"type": "file", "file": {"file_id": identifier}}]
    chat = {"model": "gemini-3.6-flash", "messages": [{"role": "user", "content": content}]}
    asking = asyncio.create_task(http.post(f"{base}/v1/chat/completions", json=chat, headers=HEADERS))
    await asyncio.wait_for(reached.wait(), 20)
    base = await restarted(start[-1], start, tmp_path, settings)
    with pytest.raises(aiohttp.ClientError):
        await asking

    async with http.post(f"{base}/v1/chat/completions", json=chat, headers=HEADERS) as response:
        assert response.status == 200, await response.text()


class Google:
    """The emulator, whose first call of the Files API with a command never ends."""

    def __init__(self, command: str) -> None:
        self.command = command
        self.reached = asyncio.Event()

    @web.middleware
    async def around(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.headers.get("X-Goog-Upload-Command") == self.command and not self.reached.is_set():
            self.reached.set()
            await asyncio.sleep(60)
        return await handler(request)


@pytest.fixture
async def google(request: pytest.FixtureRequest) -> AsyncIterator[tuple[asyncio.Event, str]]:
    upstream = Google(request.param)
    app = build_fake(pace=0.001)
    app.middlewares.append(upstream.around)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield upstream.reached, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()
