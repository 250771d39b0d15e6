"""Caches of prompts' beginnings, on the emulator, which keeps, refuses and ends cached contents as Google does."""

import asyncio
from pathlib import Path
from time import time
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.plugin import SERVICES
from tests.support.servers import Fake, Serve, upstream_of
from tests.support.team import Team, good
from tests.support.vertex import vertex_team
from tests.support.waiting import eventually

MODEL = "gemini-3.8-flash"
LONG = "The rules of the house are long and stay as they are. " * 400
"""About 21,600 bytes: more than Google's least of 4,096 tokens."""
SMALL = "plugins: {chat: {}, responses: {}, messages: {}, caching: {least: 4096"


@pytest.fixture
async def team(serve: Serve, tmp_path: Path, fake: Fake) -> Team:
    """A gateway with a pool on the emulator."""
    return Team(serve, tmp_path, fake.url)


def messages(*turns: str, system: str = LONG) -> list[dict[str, str]]:
    roles = ("user", "assistant")
    spoken = [{"role": roles[i % 2], "content": turn} for i, turn in enumerate(turns)]
    return [{"role": "system", "content": system}, *spoken]


async def ask(team: Team, key: str, *turns: str, **more: Any) -> int:
    """Return the cached tokens of an answer."""
    status, _, answer = await team.ask(key, MODEL, messages=messages(*turns), **more)
    assert status == 200, answer
    details = answer["usage"].get("prompt_tokens_details") or {}
    return int(details.get("cached_tokens", 0))


def events(serve: Serve) -> dict[str, int]:
    counted = serve.app[SERVICES].statistics.plugin_events
    return {event: count for (plugin, event), count in counted.items() if plugin == "caching"}


async def google(fake: Fake, method: str, path: str = "", body: Any = None) -> Any:
    """Ask the emulator about the caches of project a."""
    async with (
        aiohttp.ClientSession(headers={"x-goog-api-key": "AIza-a"}) as http,
        http.request(method, f"{fake.url}/v1beta/cachedContents{path}", json=body) as response,
    ):
        return await response.json()


async def test_a_long_beginning_that_comes_again_is_cached_and_paid(
    team: Team, serve: Serve, fake: Fake
) -> None:
    key = team.issue()
    await team.start("a", SMALL + "}}")

    assert await ask(team, key, "one") == 0
    assert await ask(team, key, "two") == 0
    await eventually(lambda: events(serve) == {"made": 1})
    (cache,) = (await google(fake, "GET"))["cachedContents"]
    tokens = cache["usageMetadata"]["totalTokenCount"]
    assert await ask(team, key, "three", tools=None) == tokens
    assert await ask(team, key, "three", "four", "five") == tokens
    body = fake.last.body
    assert "systemInstruction" not in body
    assert (body["cachedContent"], len(body["contents"])) == (cache["name"], 3)
    assert events(serve) == {"made": 1, "used": 2}
    rows = await team.settled()
    paid = next(row for row in rows if row.surface == "caching")
    stored = -(-tokens // 6)  # hours of ten minutes, at a dollar for a million tokens
    assert (paid.prompt, paid.micros) == (tokens, -(-tokens * 3 // 4) + stored)
    assert [row.cached for row in rows if row.surface == "chat"] == [0, 0, tokens, tokens]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_cache_that_google_has_lost_is_done_without_in_the_same_request(
    team: Team, serve: Serve, fake: Fake, stream: bool
) -> None:
    key = team.issue()
    await team.start("a", SMALL + "}}")
    for turn in ("one", "two"):
        await ask(team, key, turn)
    await eventually(lambda: events(serve) == {"made": 1})
    (cache,) = (await google(fake, "GET"))["cachedContents"]
    past = {"expireTime": "2026-01-01T00:00:00Z"}
    await google(fake, "PATCH", cache["name"].removeprefix("cachedContents"), past)

    status, _, answer = await team.ask(key, MODEL, messages=messages("three"), stream=stream)

    assert status == 200, answer
    assert "three" in str(answer)
    assert "systemInstruction" in fake.last.body
    await eventually(lambda: events(serve) == {"made": 2, "lost": 1})


async def test_clients_do_not_share_caches(team: Team, serve: Serve) -> None:
    keys = [team.issue(), team.issue()]
    await team.start("a", SMALL + "}}")
    for turn in ("one", "two"):
        await ask(team, keys[0], turn)
    await eventually(lambda: events(serve) == {"made": 1})

    assert await ask(team, keys[1], "three") == 0


async def test_a_growing_conversation_gets_a_longer_cache_in_place_of_the_first(
    team: Team, serve: Serve, fake: Fake
) -> None:
    key = team.issue()
    await team.start("a", SMALL + "}}")
    for turn in ("one", "two"):
        await ask(team, key, turn)
    await eventually(lambda: events(serve) == {"made": 1})
    turns = (LONG * 2, "I see.", "x")
    await ask(team, key, *turns)
    await ask(team, key, *turns, "y", "z")
    await eventually(lambda: events(serve).get("made") == 2)

    async def names() -> list[str]:
        return [cache["name"] for cache in (await google(fake, "GET")).get("cachedContents", ())]

    assert await ask(team, key, *turns, "y", "w") > 10_000
    assert len(fake.last.body["contents"]) in (1, 3)
    for _ in range(100):
        if len(await names()) == 1:
            break
    assert len(await names()) == 1, "the first one was deleted"


@pytest.mark.parametrize(
    ("options", "event"),
    [("least: 4096, dollars: 0", "ceiling"), ("least: 1024", "refused")],
)
async def test_no_cache_is_made_over_the_ceiling_or_after_a_refusal(
    team: Team, serve: Serve, options: str, event: str
) -> None:
    key = team.issue()
    await team.start("a", SMALL.partition("least")[0] + options + "}}")
    system = LONG if event == "ceiling" else LONG[:4100]
    model = MODEL if event == "ceiling" else "gemini-3.1-pro-preview"
    for turn in ("one", "two", "three"):
        status, _, answer = await team.ask(key, model, messages=messages(turn, system=system))
        assert status == 200, answer

    await eventually(lambda: event in events(serve))
    assert "made" not in events(serve)
    assert events(serve)[event] == (2 if event == "ceiling" else 1)


@pytest.mark.parametrize(("own_keys", "expected"), [("", {}), (", own_keys: true", {"made": 1, "used": 1})])
async def test_a_key_of_the_clients_own_pays_for_caches_only_where_that_is_set(
    serve: Serve, fake: Fake, own_keys: str, expected: dict[str, int]
) -> None:
    base = await serve(SMALL + own_keys + "}}", fake.url)
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer AIza-own"}) as http:
        for turn in ("one", "two", "three"):
            body = {"model": MODEL, "messages": messages(turn)}
            async with http.post(f"{base}/v1/chat/completions", json=body) as response:
                assert response.status == 200
            if turn == "two" and expected:
                await eventually(lambda: events(serve) == {"made": 1})

    await eventually(lambda: events(serve) == expected)


async def test_a_cache_in_use_is_put_off(
    team: Team, serve: Serve, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = team.issue()
    await team.start("a", SMALL + "}}")
    for turn in ("one", "two"):
        await ask(team, key, turn)
    await eventually(lambda: events(serve) == {"made": 1})
    (before,) = (await google(fake, "GET"))["cachedContents"]
    monkeypatch.setattr("gateway.plugins.caching.caches.time", lambda: time() + 400)
    await ask(team, key, "three")
    await eventually(lambda: events(serve) == {"made": 1, "used": 1, "renewed": 1})

    (after,) = (await google(fake, "GET"))["cachedContents"]
    assert after["expireTime"] > before["expireTime"]
    renewed = next(row for row in await team.settled() if row.surface == "caching" and not row.prompt)
    assert renewed.micros == -(-before["usageMetadata"]["totalTokenCount"] // 6)


@pytest.mark.parametrize(
    "answer",
    [
        {"name": ""},
        {"name": "cachedContents/../files/x"},
        {"name": "cachedContents/a/b"},
        {"name": "files/x"},
        {"name": "cachedContents/x?updateMask=model"},
        {"name": 7},
        {"name": "cachedContents/x", "usageMetadata": {"totalTokenCount": -5}},
        {"name": "cachedContents/x", "usageMetadata": {"totalTokenCount": 10**30}},
    ],
)
async def test_an_answer_that_is_none_makes_no_cache(
    serve: Serve, tmp_path: Path, aiohttp_server: Any, answer: Any
) -> None:
    paths = []

    async def upstream(request: web.Request) -> web.Response:
        paths.append(request.path)
        return web.json_response(answer) if request.path.endswith("/cachedContents") else good()

    team = Team(serve, tmp_path, await upstream_of(aiohttp_server, upstream))
    key = team.issue()
    await team.start("a", SMALL + "}}")
    for turn in ("one", "two", "three"):
        assert await ask(team, key, turn) == 0

    await eventually(lambda: events(serve) == {"refused": 1})
    assert paths.count("/v1beta/cachedContents") == 1
    assert all(path.endswith(("/cachedContents", ":generateContent")) for path in paths)
    assert all(row.micros >= 0 for row in await team.settled())


@pytest.mark.parametrize(("projects", "expected"), [("express", {}), ("express gemini", {"made": 1})])
async def test_a_project_on_vertex_ai_is_not_asked_for_a_cache(
    serve: Serve, tmp_path: Path, aiohttp_server: Any, projects: str, expected: dict[str, int]
) -> None:
    vertex = await vertex_team(serve, tmp_path, aiohttp_server)
    key = vertex.issue()
    await vertex.start(projects, SMALL + "}}")

    for turn in ("one", "two", "three", "four", "five", "six"):
        await ask(vertex, key, turn)
        await eventually(lambda: all(task.get_name() != "caching" for task in asyncio.all_tasks()))

    assert {event: count for event, count in events(serve).items() if event != "used"} == expected
