"""Files and cached contents: created, read, changed and deleted by their owner alone."""

import asyncio
import io
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from google import genai

from tests.support.servers import Fake

OWNER = {"x-goog-api-key": "owner"}
OTHER = {"x-goog-api-key": "other"}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def send(
    http: aiohttp.ClientSession, method: str, url: str, headers: dict[str, str], **body: Any
) -> tuple[int, Any]:
    async with http.request(method, url, headers=headers, **body) as response:
        return response.status, await response.json()


async def upload(http: aiohttp.ClientSession, fake: Fake) -> dict[str, Any]:
    """Upload five bytes in two pieces, the second without a key."""
    start = {**OWNER, "X-Goog-Upload-Command": "start"}
    fields = {"file": {"mime_type": "text/plain", "display_name": "d"}}
    async with http.post(f"{fake.url}/upload/v1beta/files", headers=start, json=fields) as response:
        url = response.headers["X-Goog-Upload-URL"]
        assert response.headers["X-Goog-Upload-Status"] == "active"
    async with http.post(url, headers={"X-Goog-Upload-Command": "upload"}, data=b"abc") as response:
        assert await response.json() == {}
    async with http.post(url, headers={"X-Goog-Upload-Command": "upload, finalize"}, data=b"de") as response:
        assert response.headers["X-Goog-Upload-Status"] == "final"
        file: dict[str, Any] = (await response.json())["file"]
    return file


async def test_a_resumable_upload_makes_a_file(http: aiohttp.ClientSession, fake: Fake) -> None:
    file = await upload(http, fake)

    assert (file["sizeBytes"], file["mimeType"], file["displayName"]) == ("5", "text/plain", "d")
    assert (file["state"], file["uri"].rpartition("/v1beta/")[2]) == ("ACTIVE", file["name"])
    assert await send(http, "GET", f"{fake.url}/v1beta/{file['name']}", OWNER) == (200, file)
    assert await send(http, "GET", f"{fake.url}/v1beta/files", OWNER) == (200, {"files": [file]})


async def test_a_file_belongs_to_its_key(http: aiohttp.ClientSession, fake: Fake) -> None:
    name = (await upload(http, fake))["name"]

    for method in ("GET", "DELETE"):
        status, answer = await send(http, method, f"{fake.url}/v1beta/{name}", OTHER, json={})
        assert (status, answer["error"]["status"]) == (403, "PERMISSION_DENIED")
    assert await send(http, "GET", f"{fake.url}/v1beta/files", OTHER) == (200, {})
    prompt = {"contents": [{"parts": [{"fileData": {"fileUri": name}}]}]}
    url = f"{fake.url}/v1beta/models/gemini-2.5-flash:generateContent"
    assert (await send(http, "POST", url, OTHER, json=prompt))[0] == 403
    assert (await send(http, "POST", url, OWNER, json=prompt))[0] == 200


async def test_a_deleted_file_is_gone(http: aiohttp.ClientSession, fake: Fake) -> None:
    url = f"{fake.url}/v1beta/{(await upload(http, fake))['name']}"

    assert await send(http, "DELETE", url, OWNER) == (200, {})
    assert (await send(http, "GET", url, OWNER))[0] == 403


async def test_an_unknown_upload_is_refused(http: aiohttp.ClientSession, fake: Fake) -> None:
    status, _ = await send(http, "POST", f"{fake.url}/upload/v1beta/files?upload_id=1", OWNER, data=b"x")

    assert status == 404


@pytest.mark.parametrize("path", ["upload/v1beta/files", "v1beta/files"])
async def test_a_key_is_needed(http: aiohttp.ClientSession, fake: Fake, path: str) -> None:
    assert (await send(http, "POST", f"{fake.url}/{path}", {}, json={}))[0] == 403


@pytest.mark.row("N1")
@pytest.mark.parametrize("version", ["v1", "v1beta"])
async def test_n1_a_generated_file_is_downloaded_by_a_redirect(
    http: aiohttp.ClientSession, fake: Fake, gateway: str, version: str
) -> None:
    path = f"/{version}/files/generated:download?alt=media"
    async with http.get(fake.url + path, headers=OWNER, allow_redirects=False) as response:
        assert response.status == 302
        assert response.headers["Location"] == f"https://generativelanguage.googleapis.com/download{path}"
    async with http.get(gateway + path, headers=OWNER) as response:
        assert (response.status, await response.read()) == (200, b"generated")
        assert str(response.url) == f"{gateway}/download{path}"
    own = (await upload(http, fake))["name"]
    for headers, status in ((OWNER, 400), (OTHER, 403)):
        async with http.get(f"{fake.url}/{version}/{own}:download", headers=headers) as response:
            assert response.status == status


async def test_a_name_is_kept_and_a_malformed_one_refused(http: aiohttp.ClientSession, fake: Fake) -> None:
    start = {**OWNER, "X-Goog-Upload-Command": "start"}
    for name, status in (("files/my-name", 200), ("files/-x", 400), ("files/" + "a" * 41, 400), ("x", 400)):
        body = {"file": {"name": name}}
        async with http.post(f"{fake.url}/upload/v1/files", headers=start, json=body) as response:
            assert response.status == status
            url = response.headers.get("X-Goog-Upload-URL")
        if url is not None:
            async with http.post(url, headers={"X-Goog-Upload-Command": "upload, finalize"}) as response:
                assert (await response.json())["file"]["name"] == name


async def test_googles_sdk_uploads_and_finds_its_files(fake: Fake) -> None:
    def use() -> Any:
        client = genai.Client(api_key="k", http_options={"base_url": fake.url})
        config: Any = {"mime_type": "text/plain", "display_name": "d"}
        file = client.files.upload(file=io.BytesIO(b"hello"), config=config)
        listed = [entry.name for entry in client.files.list(config={"page_size": 1})]
        with pytest.raises(ValueError, match="Only generated files"):
            client.files.download(file=file)
        client.files.delete(name=str(file.name))
        return file, listed, list(client.files.list())

    file, listed, left = await asyncio.to_thread(use)
    assert (file.size_bytes, file.mime_type, file.state, file.source) == (
        5,
        "text/plain",
        "ACTIVE",
        "UPLOADED",
    )
    assert (listed, left) == ([file.name], [])


async def sent(http: aiohttp.ClientSession, fake: Fake, data: bytes, name: str) -> Any:
    """Return a file whose type only the header names, as in Google's examples with curl."""
    start = {**OWNER, "X-Goog-Upload-Command": "start", "X-Goog-Upload-Header-Content-Type": "video/mp4"}
    about = {"file": {"displayName": name}}
    async with http.post(f"{fake.url}/upload/v1beta/files", headers=start, json=about) as response:
        url = response.headers["X-Goog-Upload-URL"]
    async with http.post(
        url, headers={"X-Goog-Upload-Command": "upload, finalize"}, data=io.BytesIO(data)
    ) as response:
        return (await response.json())["file"]


@pytest.mark.parametrize(("name", "end"), [("a.mp4", "ACTIVE"), ("broken.mp4", "FAILED")])
async def test_a_video_is_processed_before_it_can_be_used(
    http: aiohttp.ClientSession, fake: Fake, name: str, end: str
) -> None:
    file = await sent(http, fake, b"video", name)
    data = {"fileUri": file["uri"], "mimeType": file["mimeType"]}
    body = {"contents": [{"parts": [{"fileData": data}]}]}
    url = f"{fake.url}/v1beta/models/gemini-2.5-flash:generateContent"
    status, answer = await send(http, "POST", url, OWNER, json=body)

    assert (status, answer["error"]["status"]) == (400, "FAILED_PRECONDITION")
    states = [
        (await send(http, "GET", f"{fake.url}/v1beta/{file['name']}", OWNER))[1]["state"] for _ in range(3)
    ]
    assert states == ["PROCESSING", "PROCESSING", end]
    assert (await send(http, "POST", url, OWNER, json=body))[0] == (200 if end == "ACTIVE" else 400)


async def test_of_a_large_file_only_the_size_is_kept(http: aiohttp.ClientSession, fake: Fake) -> None:
    """It is larger than what aiohttp's `request.read` takes."""
    assert (await sent(http, fake, bytes(40 * 2**20), "a.mp4"))["sizeBytes"] == str(40 * 2**20)
