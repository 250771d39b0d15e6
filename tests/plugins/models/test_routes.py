"""Model lists over HTTP."""

from pathlib import Path
from typing import Any

import aiohttp
import aiohttp.web
import pytest

from tests.support.servers import RawUpstream, Serve, ok
from tests.support.vertex import vertex_team

PAGES = [
    {"models": [{"name": "models/gemini-2.5-pro", "displayName": "Pro", "inputTokenLimit": 10, "thinking": True}],
     "nextPageToken": "n"},
    {"models": [{"name": "models/gemini-embedding-001"}]},
]  # fmt: skip


@pytest.fixture
async def base(serve: Serve, raw_upstream: RawUpstream) -> str:
    return await serve("models: {aliases: {gpt-4o: gemini-2.5-pro}}", raw_upstream.url)


async def test_two_pages_are_one_list(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [ok(page) for page in PAGES]
    async with http.get(f"{base}/v1/models") as response:
        result = await response.json()
    async with http.get(f"{base}/models") as response:
        assert await response.json() == result

    assert [entry["id"] for entry in result["data"]] == ["gemini-2.5-pro", "gemini-embedding-001", "gpt-4o"]
    assert result["data"][0]["context_window"] == 10
    assert all(isinstance(entry["created"], int) for entry in result["data"])
    assert [request.split()[1] for request in raw_upstream.requests] == [
        b"/v1beta/models?pageSize=1000", b"/v1beta/models?pageSize=1000&pageToken=n",
    ]  # fmt: skip


async def test_one_model_by_any_spelling_and_an_unknown_one(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [ok(page) for page in PAGES]
    for name in ("gemini-2.5-pro", "models/gemini-2.5-pro", "google/gemini-2.5-pro"):
        async with http.get(f"{base}/v1/models/{name}") as response:
            assert (await response.json())["id"] == "gemini-2.5-pro"
    async with http.get(f"{base}/v1/models/gpt-9") as response:
        assert (response.status, (await response.json())["error"]["code"]) == (404, "model_not_found")


async def test_anthropics_clients_get_anthropics_shape(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [ok(page) for page in PAGES]
    headers = {"anthropic-version": "2023-06-01"}
    async with http.get(f"{base}/v1/models", headers=headers) as response:
        result = await response.json()
    async with http.get(f"{base}/v1/models/gemini-2.5-pro", headers=headers) as response:
        assert await response.json() == result["data"][0]

    assert result["data"][0]["type"] == "model"
    assert result["data"][0]["display_name"] == "Pro"
    assert (result["first_id"], result["last_id"], result["has_more"]) == ("gemini-2.5-pro", "gpt-4o", False)


async def test_a_list_is_not_another_keys(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [ok(PAGES[1])]
    for key in ("a", "b", "a"):
        async with http.get(f"{base}/v1/models", headers={"Authorization": f"Bearer {key}"}) as response:
            assert response.status == 200

    assert len(raw_upstream.requests) == 2


async def test_without_googles_list_it_is_the_names_of_the_configuration(
    http: aiohttp.ClientSession,
    serve: Serve,
    tmp_path: Path,
    aiohttp_server: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All projects are on Vertex AI, which has no list for keys."""
    vertex = await vertex_team(serve, tmp_path, aiohttp_server)
    key = vertex.issue()
    project = vertex._project("express").replace(
        "name: express", "name: express, models: [gemini-2.5-pro, 'gemini-3*']"
    )
    monkeypatch.setattr(vertex, "_project", lambda _: project)
    await vertex.start("express")

    async with http.get(f"{vertex.base}/v1/models", headers={"Authorization": f"Bearer {key}"}) as response:
        names = [entry["id"] for entry in (await response.json())["data"]]

    assert response.status == 200
    assert "gemini-2.5-pro" in names
    assert len(names) > 2
    assert not any("*" in name for name in names)
