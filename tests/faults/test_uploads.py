"""A gateway that is killed in the middle of an upload."""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

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
