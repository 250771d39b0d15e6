"""Every surface enters by the same door: limits, places and the ledger hold for each, whatever header brings the key."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.observability.request_log import RequestLog
from tests.support.team import Google, Team, good
from tests.support.waiting import eventually

M = "gemini-2.5-flash"
TURN = {"messages": [{"role": "user", "content": "hi"}]}
CONTENTS = {"contents": [{"parts": [{"text": "hi"}]}]}
PLUGINS = "plugins: {chat: {}, completions: {}, responses: {}, messages: {}, models: {}, embeddings: {}, moderations: {}, native: {}}\n"
SURFACES: dict[str, tuple[str, str, Any]] = {
    "chat": ("POST", "/v1/chat/completions", {"model": M, **TURN}),
    "completions": ("POST", "/v1/completions", {"model": M, "prompt": "hi"}),
    "responses": ("POST", "/v1/responses", {"model": M, "input": "hi"}),
    "messages": ("POST", "/v1/messages", {"model": M, "max_tokens": 9, **TURN}),
    "token counting": ("POST", "/v1/messages/count_tokens", {"model": M, **TURN}),
    "input tokens": ("POST", "/v1/responses/input_tokens", {"model": M, "input": "hi"}),
    "embeddings": ("POST", "/v1/embeddings", {"model": "gemini-embedding-001", "input": "hi"}),
    "moderations": ("POST", "/v1/moderations", {"input": "hi"}),
    "models": ("GET", "/v1/models", None),
    "model": ("GET", f"/v1/models/{M}", None),
    "native": ("POST", f"/v1beta/models/{M}:generateContent", CONTENTS),
    "native list": ("GET", "/v1beta/models", None),
    "native count": ("POST", f"/v1beta/models/{M}:countTokens", CONTENTS),
    "native embedding": ("POST", "/v1beta/models/gemini-embedding-001:embedContent", {"content": {"parts": [{"text": "hi"}]}}),
}  # fmt: skip
HEADERS: dict[str, Callable[[str], dict[str, str]]] = {
    "bearer": lambda key: {"Authorization": f"Bearer {key}"},
    "anthropic": lambda key: {"x-api-key": key},
    "google": lambda key: {"x-goog-api-key": key},
}


class Upstream(Google):
    """Google's answers on every path."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/models"):
            self.calls[request.headers["x-goog-api-key"]] += 1
            return web.json_response({"models": [{"name": f"models/{M}"}, {"name": "models/gemini-2.5-pro"}]})
        if "mbed" in request.path:
            self.calls[request.headers["x-goog-api-key"]] += 1
            count = len((await request.json()).get("requests", [0]))
            return web.json_response({"embeddings": [{"values": [1.0]}] * count})
        return await super().answer(request)


@pytest.fixture
async def google() -> Upstream:
    return Upstream()


async def ask(team: Team, headers: dict[str, str], method: str, path: str, body: Any) -> tuple[int, Any, Any]:
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.request(method, team.base + path, json=body) as response,
    ):
        return response.status, response.headers, await response.json(content_type=None)


@pytest.mark.row("A16", "S44")
@pytest.mark.parametrize("header", HEADERS)
async def test_a16_a_limit_of_requests_holds_on_every_surface_by_every_header(
    team: Team, google: Upstream, header: str
) -> None:
    keys = {surface: team.issue(requests_per_minute=3) for surface in SURFACES}
    await team.start("a", PLUGINS)
    refused: Counter[str] = Counter()
    for surface, (method, path, body) in SURFACES.items():
        for _ in range(4):
            status, _, answer = await ask(team, HEADERS[header](keys[surface]), method, path, body)
            assert status in (200, 429), (surface, answer)
            refused[surface] += status == 429

    assert refused == dict.fromkeys(SURFACES, 1)


@pytest.mark.row("A16")
@pytest.mark.parametrize(
    ("path", "body", "calls"),
    [
        ("/v1/chat/completions", {"model": M, "n": 8, **TURN}, 8),
        ("/v1/chat/completions", {"model": M, "n": 8, "stream": True, **TURN}, 8),
        ("/v1/completions", {"model": M, "prompt": ["hi"] * 8}, 8),
        ("/v1/completions", {"model": M, "prompt": ["hi"] * 4, "n": 2}, 8),
        ("/v1/embeddings", {"model": "gemini-embedding-001", "input": ["hi"] * 201}, 3),
        ("/v1/moderations", {"input": ["hi"] * 8}, 8),
    ],
)
async def test_a16_limits_count_the_calls_of_google(
    team: Team, google: Upstream, path: str, body: Any, calls: int
) -> None:
    enough, scarce = team.issue(requests_per_minute=calls), team.issue(requests_per_minute=calls - 1)
    await team.start("a", PLUGINS)
    async with aiohttp.ClientSession() as http:
        async with http.post(team.base + path, json=body, headers={"x-api-key": scarce}) as response:
            assert (response.status, google.calls.total()) == (429, 0)
            assert f"This request needs {calls}." in (await response.json())["error"]["message"]
            assert response.headers["x-should-retry"] == "false"
        async with http.post(team.base + path, json=body, headers={"x-api-key": enough}) as response:
            assert (response.status, response.headers["x-ratelimit-remaining-requests"]) == (200, "0")
            await response.read()

    assert google.calls.total() == calls


@pytest.mark.row("S44")
async def test_s44_a_key_sees_the_same_models_by_every_header(team: Team) -> None:
    key = team.issue(models=("gemini-2.5-flash*",))
    await team.start("a", PLUGINS)
    seen = []
    for header in HEADERS.values():
        for path in ("/v1/models", "/v1beta/models"):
            _, _, answer = await ask(team, header(key), "GET", path, None)
            names = [entry.get("id") or entry["name"] for entry in answer.get("data") or answer["models"]]
            seen.append([name.removeprefix("models/") for name in names])
        status, _, _ = await ask(team, header(key), "GET", "/v1beta/models/gemini-2.5-pro", None)
        assert status == 403

    assert seen == [[M]] * 6


@pytest.mark.row("S44")
async def test_s44_two_different_keys_are_refused(team: Team) -> None:
    first, second = team.issue(), team.issue()
    await team.start("a", PLUGINS)
    for method, path, body in SURFACES.values():
        headers = {"Authorization": f"Bearer {first}", "x-api-key": second}
        assert (await ask(team, headers, method, path, body))[0] == 400


@pytest.mark.row("A15")
async def test_a15_background_responses_take_the_clients_place_for_their_whole_life(
    team: Team, google: Upstream, request_lines: list[RequestLog]
) -> None:
    key = team.issue(streams=2)
    await team.start("a", PLUGINS)
    google.hold.clear()
    headers, body = {"x-api-key": key}, {"model": M, "input": "hi", "background": True}
    results = [await ask(team, headers, "POST", "/v1/responses", body) for _ in range(5)]
    other = await ask(team, headers, "POST", "/v1/chat/completions", {"model": M, **TURN})

    assert [status for status, _, _ in [*results, other]] == [200, 200, 429, 429, 429, 429]
    await eventually(lambda: google.calls.total() == 2)
    names = [answer["id"] for status, _, answer in results if status == 200]
    assert (await ask(team, headers, "POST", f"/v1/responses/{names[0]}/cancel", {}))[0] == 200
    assert (await ask(team, headers, "POST", "/v1/responses", body))[0] == 200
    google.hold.set()
    for row in await team.settled():
        assert (row.client[:4], row.surface, row.model) == ("key_", "responses", M)
    await eventually(lambda: sum("background" in line.path for line in request_lines) == 3)
    for line in request_lines:
        assert (str(line.key)[:4], line.surface in ("responses", "chat")) == ("key_", True)


@pytest.mark.row("A15")
async def test_a15_a_background_stream_holds_one_place(team: Team, google: Upstream) -> None:
    key = team.issue(streams=1)
    await team.start("a", PLUGINS)
    body = {"model": M, "input": "hi", "background": True, "stream": True}
    for _ in range(3):
        async with aiohttp.ClientSession(headers={"x-api-key": key}) as http:
            async with http.post(f"{team.base}/v1/responses", json=body) as response:
                text = await response.text()
            assert "response.completed" in text
            name = json.loads(text.split("data: ")[1].split("\n")[0])["response"]["id"]
            async with http.get(f"{team.base}/v1/responses/{name}?stream=true") as response:
                assert "response.completed" in await response.text()


@pytest.mark.row("A15")
async def test_a15_background_work_leaves_half_of_the_gateways_places(team: Team, google: Upstream) -> None:
    key, other = team.issue(), team.issue()
    await team.start("a", PLUGINS + "limits: {streams: 8}\n")
    google.hold.clear()
    body = {"model": M, "input": "hi", "background": True}
    results = [await ask(team, {"x-api-key": key}, "POST", "/v1/responses", body) for _ in range(8)]
    chat = asyncio.create_task(
        ask(team, {"x-api-key": other}, "POST", "/v1/chat/completions", {"model": M, **TURN})
    )
    await eventually(lambda: google.calls.total() == 5)
    google.hold.set()

    assert [status for status, _, _ in results] == [200] * 4 + [429] * 4
    assert (await chat)[0] == 200


@pytest.mark.row("A15")
async def test_a15_background_work_is_charged_to_the_clients_budget(team: Team, google: Upstream) -> None:
    key = team.issue(tokens={"total": 2000})
    await team.start("a", PLUGINS)
    google.answers = dict.fromkeys(("AIza-a",), lambda: good(prompt=500, completion=500))
    body = {"model": M, "input": "hi", "background": True, "max_output_tokens": 600}
    states = []
    for _ in range(3):
        _, _, answer = await ask(team, {"x-api-key": key}, "POST", "/v1/responses", body)
        await team.settled()

        async def ended(name: str = answer["id"]) -> Any:
            return (await ask(team, {"x-api-key": key}, "GET", f"/v1/responses/{name}", None))[2]

        async with asyncio.timeout(60):
            while (response := await ended())["status"] in ("queued", "in_progress"):
                await asyncio.sleep(0.01)
        states.append((response["status"], (response["error"] or {}).get("code")))

    assert states == [("completed", None), ("completed", None), ("failed", "rate_limit_exceeded")] or states == [
        ("completed", None), ("completed", None), ("failed", "insufficient_quota"),
    ]  # fmt: skip
    assert sum(row.prompt + row.completion for row in team.rows()) == 2000
