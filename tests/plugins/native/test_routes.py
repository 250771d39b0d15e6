"""Gemini's own API through the gateway: bytes as they are, the key in its header, errors in Google's shape."""

import asyncio
import gzip
import json
from typing import Any
from urllib.parse import quote

import aiohttp
import aiohttp.web
import pytest
from yarl import URL

from tests.support.servers import Fake, RawUpstream, Serve

BODY = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
MODEL = "gemini-3-flash-preview"


@pytest.mark.parametrize(
    "path", [f"/v1beta/models/{MODEL}:generateContent", f"/v1/models/{MODEL}:generateContent"]
)
@pytest.mark.parametrize("where", ["header", "bearer", "query"])
async def test_an_answer_comes_as_it_is(gateway: str, fake: Fake, path: str, where: str) -> None:
    headers = {"header": {"x-goog-api-key": "k"}, "bearer": {"Authorization": "Bearer k"}, "query": {}}[where]
    url = f"{gateway}{path}" + ("?key=k" if where == "query" else "")
    async with aiohttp.ClientSession() as session, session.post(url, json=BODY, headers=headers) as response:
        answer = await response.json()

    assert response.status == 200
    assert "You said: hi" in json.dumps(answer)
    assert fake.last.headers["x-goog-api-key"] == "k"
    assert fake.last.path.startswith(path.split("?")[0])
    assert fake.last.body == BODY


async def test_a_stream_comes_as_it_is(http: aiohttp.ClientSession, gateway: str) -> None:
    url = f"{gateway}/v1beta/models/{MODEL}:streamGenerateContent?alt=sse"
    async with http.post(url, json=BODY) as response:
        text = await response.text()

    assert response.headers["Content-Type"].startswith("text/event-stream")
    assert text.count("data: ") > 1
    assert "\r\n\r\n" in text


async def test_the_answer_to_a_head_request_has_no_body_to_wait_for(
    http: aiohttp.ClientSession, serve: Serve, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [
        [b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\n", None]
    ]
    base = await serve(upstream=raw_upstream.url, idle=5)
    async with (
        asyncio.timeout(4),
        http.head(f"{base}/v1beta/models") as response,
    ):
        assert response.status == 200
        assert await response.read() == b""


@pytest.mark.parametrize(
    ("method", "path", "status", "name"),
    [
        ("POST", "/v1beta/models/gemini-9:generateContent", 404, "NOT_FOUND"),
        ("GET", "/v1beta/../secret", 404, None), ("POST", "/v1beta/x%2e%2e/models", 400, "INVALID_ARGUMENT"),
    ],
)  # fmt: skip
async def test_failures_are_googles(
    http: aiohttp.ClientSession, gateway: str, method: str, path: str, status: int, name: str | None
) -> None:
    async with http.request(method, gateway + path, json=BODY) as response:
        if name is not None:
            assert (response.status, (await response.json())["error"]["status"]) == (status, name)


async def test_without_a_key_google_would_not_be_asked(gateway: str, fake: Fake) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{gateway}/v1beta/models/{MODEL}:generateContent", json=BODY) as response,
    ):
        assert (response.status, (await response.json())["error"]["code"]) == (401, 401)
    assert fake.calls == 0


async def test_googles_list_for_googles_clients(gateway: str) -> None:
    async with aiohttp.ClientSession(headers={"x-goog-api-key": "k"}) as session:
        for path in ("/v1/models?pageSize=2", "/v1beta/models?pageSize=2"):
            async with session.get(gateway + path) as response:
                result = await response.json()
                assert result["models"][0]["name"].startswith("models/")
                assert len(result["models"]) == 2
                assert result["nextPageToken"]


async def test_openais_path_below_is_still_ours(http: aiohttp.ClientSession, gateway: str) -> None:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}
    async with http.post(f"{gateway}/v1beta/openai/chat/completions", json=body) as response:
        assert (await response.json())["object"] == "chat.completion"


async def test_uploads_go_on_through_us(
    http: aiohttp.ClientSession, serve: Serve, aiohttp_server: Any
) -> None:
    seen: list[tuple[str, str, bytes, str | None]] = []

    async def upload(request: aiohttp.web.Request) -> aiohttp.web.Response:
        data = await request.read()
        seen.append(
            (
                request.path,
                request.headers.get("X-Goog-Upload-Command", ""),
                data,
                request.headers.get("Content-Length"),
            )
        )
        headers = {"X-Goog-Upload-URL": "https://generativelanguage.googleapis.com/upload/v1beta/files?upload_id=x",
                   "Set-Cookie": "a=b"}  # fmt: skip
        return aiohttp.web.json_response({"file": {"name": "files/a"}}, headers=headers)

    app = aiohttp.web.Application()
    app.router.add_post("/{path:.*}", upload)
    server = await aiohttp_server(app)
    base = await serve("", str(server.make_url("")).rstrip("/"))
    start = {"X-Goog-Upload-Protocol": "resumable", "X-Goog-Upload-Command": "start"}
    async with http.post(f"{base}/upload/v1beta/files", json={"file": {}}, headers=start) as response:
        url = response.headers["X-Goog-Upload-URL"]
        assert "Set-Cookie" not in response.headers
    async with http.post(
        url, data=b"x" * 100_000, headers={"X-Goog-Upload-Command": "upload, finalize"}
    ) as response:
        assert (await response.json())["file"]["name"] == "files/a"

    assert url.startswith(f"{base}/upload/v1beta/files?")
    assert (seen[1][1], len(seen[1][2]), seen[1][3]) == ("upload, finalize", 100_000, "100000")


@pytest.mark.row("A18")
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd", "br", "x-unknown"])
@pytest.mark.parametrize("path", [f"/v1beta/models/{MODEL}:generateContent", "/upload/v1beta/files"])
@pytest.mark.parametrize("intact", [True, False])
async def test_a18_a_compressed_body_is_refused_on_every_path(
    http: aiohttp.ClientSession, gateway: str, fake: Fake, encoding: str, path: str, intact: bool
) -> None:
    body = gzip.compress(json.dumps(BODY).encode()) if intact else b"\x1f\x8b\xff broken"
    headers = {"Content-Encoding": encoding, "Content-Type": "application/json"}
    async with asyncio.timeout(60):
        try:
            async with http.post(gateway + path, data=body, headers=headers) as response:
                answer = await response.json()
        except aiohttp.ClientConnectionError:  # a body that cannot be decompressed ends the connection
            assert not intact or encoding != "gzip"
            return

    assert response.status in (400, 415)
    assert answer["error"]["message"]
    assert fake.calls == 0


@pytest.mark.row("A18")
async def test_a18_an_uncompressed_body_says_so(http: aiohttp.ClientSession, gateway: str) -> None:
    url = f"{gateway}/v1beta/models/{MODEL}:generateContent"
    async with http.post(url, json=BODY, headers={"Content-Encoding": "identity"}) as response:
        assert response.status == 200


@pytest.mark.row("A22")
@pytest.mark.parametrize("status", [b"000", b"099", b"101", b"600", b"999"])
async def test_a22_a_status_that_is_none_is_a_502(
    http: aiohttp.ClientSession, serve: Serve, raw_upstream: RawUpstream, status: bytes
) -> None:
    raw_upstream.scripts = [
        [b"HTTP/1.1 " + status + b" Odd\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"]
    ]
    base = await serve("plugins: {native: {}}", raw_upstream.url)
    async with http.get(base + "/v1beta/models") as response:
        body = await response.json()

    assert response.status == 502
    assert body["error"]["code"] == 502


@pytest.mark.row("A23")
@pytest.mark.parametrize("key", ["sk-gw-abcdefgh", '"gw-abcdefgh"', "SK-GW-abcdefgh", "%73k-gw-abcdefgh"])
@pytest.mark.parametrize(
    "place", ["x-goog-user-project", "x-goog-apikey", "X-Goog-Api-Client", "?access_token", "?KEY", "?key"]
)
async def test_a23_an_issued_key_in_another_place_is_refused_and_never_sent(
    http: aiohttp.ClientSession, serve: Serve, raw_upstream: RawUpstream, place: str, key: str
) -> None:
    base = await serve("plugins: {native: {}}", raw_upstream.url)
    url = URL(f"{base}/v1beta/models{f'{place}={quote(key)}' if place[0] == '?' else ''}", encoded=True)
    headers = {place: key} if place[0] != "?" else {}
    if place == "?key":
        http = aiohttp.ClientSession()
    async with http.get(url, headers=headers) as response:
        status = response.status
    if place == "?key":
        await http.close()

    assert status == 401
    assert not raw_upstream.requests
