"""The real google-genai, which uses `/v1` since its version 3 and `/v1beta` on request, through the gateway."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from time import time
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from google import genai
from google.genai import types

from gateway.plugin import SERVICES
from tests.support.servers import Serve
from tests.support.team import Team

M = "gemini-2.5-flash"
OPERATION = {"name": f"models/{M}/operations/o1", "done": True, "response": {}}
BATCH = {"name": "batches/b1", "metadata": {"name": "batches/b1", "model": f"models/{M}", "state": "BATCH_STATE_PENDING",
                                           "createTime": "2026-11-01T00:00:00Z"}}  # fmt: skip
FILE = {"name": "files/abc", "mimeType": "video/mp4", "sizeBytes": "9", "source": "GENERATED", "state": "ACTIVE",
        "downloadUri": "https://generativelanguage.googleapis.com/v1beta/files/abc:download?alt=media"}  # fmt: skip
BYTES = bytes(range(256)) * 1000


class Google:
    """Google's side: answers by the path, and redirects a download as Google does."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str]] = []
        """Method, path with its query, and key."""
        self.location = "https://generativelanguage.googleapis.com/download{path}?alt=media"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append((request.method, request.path_qs, request.headers.get("x-goog-api-key", "")))
        path = request.path
        if path.endswith(":download") and not path.startswith("/download/"):
            location = self.location.format(path=path, key=request.headers["x-goog-api-key"])
            return web.Response(status=302, headers={"Location": location})
        if path.startswith("/download/"):
            return web.Response(
                body=BYTES, content_type="video/mp4", headers={"Content-Disposition": "attachment"}
            )
        answers: tuple[tuple[str, Any], ...] = (
            ("/operations", OPERATION), ("/batches", BATCH), (":batchGenerateContent", BATCH), ("/files", FILE),
            ("/models", {"models": [{"name": f"models/{M}"}], "name": f"models/{M}"}),
            ("/fileSearchStores", {"name": "fileSearchStores/s1"}), ("/auth_tokens", {"name": "auth_tokens/t1"}),
            ("/cachedContents", {"name": "cachedContents/c1", "model": f"models/{M}"}), ("/voices", {"voices": []}),
            ("", {"name": "x"}),
        )  # fmt: skip
        return web.json_response(next(answer for part, answer in answers if part in path))


@pytest.fixture
async def google() -> Google:
    return Google()


async def with_sdk(base: str, key: str, version: str, use: Callable[[Any], Any]) -> Any:
    """Use the SDK in a thread, with the version of the API that it takes by itself, or another."""
    options: Any = {"base_url": base} | ({"api_version": version} if version != "v1" else {})
    return await asyncio.to_thread(lambda: use(genai.Client(api_key=key, http_options=options)))


USES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "batches.create": (lambda c: c.batches.create(model=M, src=[{"contents": [{"parts": [{"text": "hi"}]}]}]), f"POST /{{v}}/models/{M}:batchGenerateContent"),
    "batches.get": (lambda c: c.batches.get(name="batches/b1"), "GET /{v}/batches/b1"),
    "batches.cancel": (lambda c: c.batches.cancel(name="batches/b1"), "POST /{v}/batches/b1:cancel"),
    "batches.list": (lambda c: list(c.batches.list())[:0], "GET /{v}/batches"),
    "batches.delete": (lambda c: c.batches.delete(name="batches/b1"), "DELETE /{v}/batches/b1"),
    "operations.get": (lambda c: c.operations.get(types.GenerateVideosOperation.model_validate({"name": f"models/{M}/operations/o1"})), f"GET /{{v}}/models/{M}/operations/o1"),
    "models.list": (lambda c: list(c.models.list())[:0], "GET /{v}/models"),
    "models.get": (lambda c: c.models.get(model=M), f"GET /{{v}}/models/{M}"),
    "files.list": (lambda c: list(c.files.list())[:0], "GET /{v}/files"),
    "files.get": (lambda c: c.files.get(name="files/abc"), "GET /{v}/files/abc"),
    "files.delete": (lambda c: c.files.delete(name="files/abc"), "DELETE /{v}/files/abc"),
    "caches.get": (lambda c: c.caches.get(name="cachedContents/c1"), "GET /{v}/cachedContents/c1"),
    "file_search_stores.create": (lambda c: c.file_search_stores.create(config={"display_name": "x"}), "POST /{v}/fileSearchStores"),
    "file_search_stores.get": (lambda c: c.file_search_stores.get(name="fileSearchStores/s1"), "GET /{v}/fileSearchStores/s1"),
    "interactions.get": (lambda c: c.interactions.get(id="v1_x"), "GET /{v}/interactions/v1_x"),
    "interactions.delete": (lambda c: c.interactions.delete(id="v1_x"), "DELETE /{v}/interactions/v1_x"),
}  # fmt: skip


@pytest.mark.row("N2")
@pytest.mark.parametrize("version", ["v1", "v1beta"])
async def test_n2_every_method_reaches_google_as_it_was_sent(
    team: Team, google: Google, version: str
) -> None:
    await team.start("a")
    for name, (use, expected) in USES.items():
        google.seen.clear()
        await with_sdk(team.base, "AIza-own", version, use)
        method, path, key = google.seen[-1]
        assert f"{method} {path.partition('?')[0]}" == expected.format(v=version), name
        assert key == "AIza-own"


@pytest.mark.row("N2")
@pytest.mark.parametrize("base", ["/v1", "/v1beta", "/api/v1", "/google", "//"])
async def test_n2_a_base_url_with_a_version_does_no_harm(team: Team, google: Google, base: str) -> None:
    await team.start("a")
    for name in ("batches.get", "models.get", "files.get", "operations.get"):
        use, expected = USES[name]
        await with_sdk(team.base + base, "AIza-own", "v1", use)
        assert google.seen[-1][1].partition("?")[0] == expected.format(v="v1").split(" ")[1]


PATHS = (
    "batches", "batches/b1/x", "operations/o", f"models/{M}/operations/o", "interactions/i", "fileSearchStores",
    "fileSearchStores/s/documents", "voices", "agents", "environments", "triggers", "webhooks", "credentials",
    "decisions", "tunedModels", "files", f"models/{M}:predictLongRunning",
)  # fmt: skip


@pytest.mark.row("N2")
@pytest.mark.parametrize("version", ["v1", "v1beta", "v1alpha"])
async def test_n2_what_issued_keys_may_not_reach_stays_refused(
    team: Team, google: Google, version: str
) -> None:
    key = team.issue()
    await team.start("a")
    async with aiohttp.ClientSession(headers={"x-goog-api-key": key}) as http:
        for path in PATHS:
            for method in ("GET", "POST", "DELETE"):
                if (method, path) == ("POST", "files"):
                    continue
                async with http.request(method, f"{team.base}/{version}/{path}", json={}) as response:
                    error = (await response.json())["error"]
                    assert (response.status, error["status"]) == (403, "PERMISSION_DENIED"), (method, path)
    assert google.seen == []


@pytest.mark.row("N2")
async def test_n2_the_three_families_under_one_path(team: Team, google: Google) -> None:
    await team.start("a")
    bearer = {"Authorization": "Bearer AIza-own"}
    async with aiohttp.ClientSession() as http:
        for headers, path, field in (
            ({"x-goog-api-key": "AIza-own"}, "/v1/models", "models"),
            ({**bearer, "x-goog-api-client": "google-genai-sdk/3.6.1"}, "/v1/models", "models"),
            ({**bearer, "x-goog-api-key": "AIza-own"}, "/v1/models", "models"),
            ({}, "/v1/models?key=AIza-own", "models"),
            ({**bearer, "anthropic-version": "2023-06-01"}, "/v1/models", "first_id"),
            ({**bearer, "anthropic-beta": "x"}, "/v1/models", "first_id"),
            (bearer, "/v1/models", "object"),
            ({"x-goog-api-key": "AIza-own"}, "/v1/files", "name"),
            ({"x-goog-api-key": "AIza-own"}, f"/v1/models/{M}", "name"),
            (bearer, f"/v1/models/{M}", "object"),
            ({**bearer, "anthropic-version": "1"}, f"/v1/models/{M}", "type"),
        ):
            async with http.get(team.base + path, headers=headers) as response:
                assert field in await response.json(), (headers, path)
        async with http.get(
            f"{team.base}/v1/models/none", headers={**bearer, "anthropic-version": "1"}
        ) as response:
            assert (response.status, (await response.json())["error"]["type"]) == (404, "not_found_error")


@pytest.mark.row("N1")
@pytest.mark.parametrize("version", ["v1", "v1beta"])
async def test_n1_googles_sdk_downloads_a_file(
    team: Team, google: Google, version: str, tmp_path: Path
) -> None:
    await team.start("a")
    data = await with_sdk(team.base, "AIza-own", version, lambda c: c.files.download(file="files/abc"))
    assert data == BYTES
    target = tmp_path / "x.mp4"
    await with_sdk(
        team.base,
        "AIza-own",
        version,
        lambda c: c.files.download(file=types.File(name="files/abc", download_uri=FILE["downloadUri"])),
    )
    await with_sdk(
        team.base, "AIza-own", version, lambda c: target.write_bytes(c.files.download(file="files/abc"))
    )
    assert target.read_bytes() == BYTES
    paths = [f"/{version}/files/abc:download?alt=media", f"/download/{version}/files/abc:download?alt=media"]
    assert google.seen == [("GET", path, "AIza-own") for path in paths * 3]


@pytest.mark.row("N1")
@pytest.mark.parametrize("version", ["v1", "v1beta"])
async def test_n1_an_issued_key_downloads_what_it_owns(
    team: Team, google: Google, serve: Serve, version: str
) -> None:
    mine, other = team.issue(), team.issue()
    await team.start("ab")
    google.location += "&key={key}"
    async with aiohttp.ClientSession(team.base, headers={"x-goog-api-key": mine}) as http:
        async with http.get("/v1beta/files/abc") as response:
            assert response.status == 404
        owners = serve.app[SERVICES].file_owners
        scope = next(iter(serve.app[SERVICES].access.issued.values())).id
        await owners.keep(scope, ["files/abc"], "b", time())
        for key in (mine, other):
            headers, path = {"x-goog-api-key": key}, f"/{version}/files/abc:download?alt=media"
            google.seen.clear()
            async with http.get(path, headers=headers, allow_redirects=False) as response:
                owned = response.status == 302
                if owned:
                    assert (
                        response.headers["Location"]
                        == f"{team.base}/download/{version}/files/abc:download?alt=media"
                    )
                    assert "AIza" not in str(response.headers)
                else:
                    assert (response.status, google.seen) == (404, [])
            async with http.get(f"/download{path}", headers=headers) as response:
                assert (response.status, await response.read() == BYTES) == (
                    (200, True) if owned else (404, False)
                )
                assert not owned or response.headers["Content-Disposition"] == "attachment"
            assert {seen[2] for seen in google.seen} == ({"AIza-b"} if owned else set())
        async with http.post(f"/download/{version}/files/abc:download") as response:
            assert response.status == 403


@pytest.mark.row("N1")
@pytest.mark.parametrize(
    ("location", "own", "issued"),
    [
        ("/download{path}?alt=media", "/download", "/download"),
        ("https://generativelanguage.googleapis.com:443/download{path}?$key={key}", "/download", "/download"),
        ("//generativelanguage.googleapis.com/download{path}?x={key}", "/download", "/download"),
        ("https://storage.example/signed?x=1", None, None),
        ("https://generativelanguage.googleapis.com.evil.example/x", None, None),
        ("//evil.example/x", None, None),
        ("https://evil.example/generativelanguage.googleapis.com/x", None, None),
    ],
)  # fmt: skip
async def test_n1_a_redirect_goes_through_the_gateway_or_nowhere(
    team: Team, google: Google, serve: Serve, location: str, own: str | None, issued: str | None
) -> None:
    mine = team.issue()
    await team.start("a")
    google.location = location
    (entry,) = serve.app[SERVICES].access.issued.values()
    await serve.app[SERVICES].file_owners.keep(entry.id, ["files/abc"], "a", time())
    async with aiohttp.ClientSession(team.base) as http:
        for key, expected in (("AIza-own-key-of-a-client", own), (mine, issued)):
            async with http.get(
                "/v1beta/files/abc:download", headers={"x-goog-api-key": key}, allow_redirects=False
            ) as response:
                text = str(response.headers)
                if expected is None:
                    assert (response.status, "Location" in response.headers) == (502, False)
                    assert json.loads(await response.read())["error"]["status"]
                    continue
                got = response.headers["Location"]
                assert (response.status, got.removeprefix(team.base).startswith(expected)) == (302, True)
                assert got.startswith(team.base) == expected.startswith("/download")
                assert "AIza" not in text


@pytest.mark.parametrize("version", ["v1", "v1beta"])
async def test_files_of_an_environment_are_uploaded_with_put(
    team: Team, google: Google, version: str
) -> None:
    issued = team.issue()
    await team.start("a")
    path = f"/upload/{version}/environments/e1/files/folder/a.txt"
    for key, status in (("AIza-own", 200), (issued, 403)):
        async with (
            aiohttp.ClientSession(headers={"x-goog-api-key": key}) as http,
            http.put(team.base + path, data=b"hello") as response,
        ):
            assert response.status == status
    assert google.seen == [("PUT", path, "AIza-own")]
