"""What one client orders of Google does not cost other clients a project, a model or a retry."""

import asyncio
import io
import json
import random
import time
from collections import Counter
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.exchange.calls import accounting, attempt, recovery
from tests.support.team import Google, Team, good, refused

M = "gemini-2.5-flash"
PLUGINS = "plugins: {chat: {}, responses: {}, messages: {}, native: {}, embeddings: {}}\n"
LARGE = "X" * 300_000
SURFACES: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"model": M, "messages": [{"role": "user", "content": "evil"}]}),
    "stream": (
        "/v1/chat/completions",
        {"model": M, "stream": True, "messages": [{"role": "user", "content": "evil"}]},
    ),
    "responses": ("/v1/responses", {"model": M, "input": "evil", "store": False}),
    "messages": (
        "/v1/messages",
        {"model": M, "max_tokens": 9, "messages": [{"role": "user", "content": "evil"}]},
    ),
    "native": (f"/v1beta/models/{M}:generateContent", {"contents": [{"parts": [{"text": "evil"}]}]}),
    "embeddings": ("/v1/embeddings", {"model": "gemini-embedding-001", "input": "evil"}),
}


class Upstream(Google):
    """Fails as `evil` says when the prompt has that word, and answers everything else."""

    evil: Any = None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        if "evil" in text and self.evil is not None:
            self.calls["evil"] += 1
            result: web.StreamResponse = self.evil()
            return result
        self.calls[request.headers["x-goog-api-key"]] += 1
        return good()


@pytest.fixture
def google() -> Upstream:
    return Upstream()


class Clock:
    """A clock that the waits before other attempts move on at once."""

    slept = 0.0

    def time(self) -> float:
        return time.time() + self.slept

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds
        await asyncio.sleep(0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(recovery, "asyncio", clock)
    for module in (accounting, attempt):
        monkeypatch.setattr(module, "time", clock.time)
    return clock


async def send(
    team: Team, key: str, path: str, body: Any, headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    async with (
        aiohttp.ClientSession(
            headers={"x-goog-api-key": key, "Content-Type": "application/json", **(headers or {})}
        ) as http,
        http.post(team.base + path, data=io.BytesIO(json.dumps(body).encode())) as response,
    ):
        return response.status, await response.read()


async def used_projects(team: Team, google: Upstream, key: str) -> set[str]:
    """Return the keys that answer twelve conversations, which all succeed."""
    before = Counter(google.calls)
    for i in range(12):
        assert (await team.ask(key, messages=[{"role": "user", "content": f"conversation {i}"}]))[0] == 200
    return set(google.calls - before)


def large_refusal() -> web.Response:
    """Google's 400 for an invalid value, which it repeats twice."""
    message = f"Invalid value at 'generation_config.response_modalities[0]' (Modality), \"{LARGE}\""
    return refused(400, message, BadRequest={"fieldViolations": [{"field": "x", "description": message}]})


@pytest.mark.row("A1")
@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("own", [False, True])
async def test_a01_a_refusal_that_is_too_large_to_be_read_is_still_a_refusal(
    team: Team, google: Upstream, surface: str, *, own: bool
) -> None:
    issued = team.issue()
    await team.start("ab", PLUGINS)
    google.evil = large_refusal
    path, body = SURFACES[surface]
    for _ in range(6):
        status, answer = await send(team, "AIzaSyAStrangersOwnKey0000000000" if own else issued, path, body)
        assert status == 400, answer[:300]
        assert b"Invalid value at" in answer
        assert len(answer) < 10_000
        json.loads(answer)

    assert google.calls["evil"] == 6


CHAIN = f"models: {{fallbacks: {{{M}: [gemini-2.5-flash-lite]}}}}\n"


@pytest.mark.parametrize("own", [False, True])
async def test_failures_of_one_client_skip_no_model_for_another(
    team: Team, google: Upstream, monkeypatch: pytest.MonkeyPatch, *, own: bool
) -> None:
    monkeypatch.setattr(random, "random", lambda: 0.0)  # no back-off
    ada, eve = team.issue(), team.issue()
    await team.start("a", CHAIN)
    google.evil = lambda: refused(500, "An internal error has occurred.")
    path, body = SURFACES["chat"]
    for _ in range(4):
        await send(team, "AIzaSyAStrangersOwnKey0000000000" if own else eve, path, body)

    status, headers, _ = await team.ask(ada)
    assert (status, headers.get("x-gateway-fallback")) == (200, None)


@pytest.mark.row("A7")
@pytest.mark.parametrize("own", [False, True])
async def test_failures_of_one_client_take_no_retries_from_another(
    team: Team, google: Upstream, monkeypatch: pytest.MonkeyPatch, *, own: bool
) -> None:
    monkeypatch.setattr(random, "random", lambda: 0.0)  # no back-off
    ada, eve = team.issue(), team.issue()
    await team.start("a")
    google.evil = lambda: refused(500, "An internal error has occurred.")
    path, body = SURFACES["chat"]
    for _ in range(8):
        await send(team, "AIzaSyAStrangersOwnKey0000000000" if own else eve, path, body)
    used = google.calls["evil"]
    assert used == 8 + 20  # the whole budget of eve

    for _ in range(2):
        await send(team, ada, path, body)
    assert google.calls["evil"] == used + 10


def spent_tokens() -> web.Response:
    """Google's 429 for a prompt that is larger than the project's tokens per minute."""
    quota = "GenerateContentInputTokensPerModelPerMinute-FreeTier"
    return refused(
        429,
        "You exceeded your current quota.",
        QuotaFailure={"violations": [{"quotaId": quota, "quotaValue": "250000"}]},
        RetryInfo={"retryDelay": "41s"},
    )


async def test_failures_that_one_client_orders_leave_a_project_to_others(
    team: Team, google: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "random", lambda: 0.0)
    ada, eve = team.issue(), team.issue()
    await team.start("ab", PLUGINS)
    google.evil = lambda: refused(500, "An internal error has occurred.")
    path, body = SURFACES["chat"]
    for _ in range(20):
        await send(team, eve, path, body)

    assert await used_projects(team, google, ada) == {"AIza-a", "AIza-b"}


@pytest.mark.parametrize("status", [504, 499])
async def test_a_client_s_own_deadline_says_nothing_about_a_project(
    team: Team, google: Upstream, status: int
) -> None:
    ada, *eves = (team.issue() for _ in range(3))
    await team.start("ab", PLUGINS)
    google.evil = lambda: refused(status, "Deadline expired before operation could complete.")
    path, body = SURFACES["native"]
    for i in range(20):
        answer = await send(team, eves[i % 2], path, body, {"X-Server-Timeout": "1"})
        assert answer[0] in (500, 504)

    assert await used_projects(team, google, ada) == {"AIza-a", "AIza-b"}


@pytest.mark.parametrize("surface", ["chat", "stream", "native", "embeddings"])
async def test_a_429_for_what_one_client_alone_uses_leaves_the_model_to_others(
    team: Team, google: Upstream, clock: Clock, surface: str
) -> None:
    ada, eve = team.issue(), team.issue()
    await team.start("ab", PLUGINS)
    google.evil = lambda: refused(429, "You exceeded your current quota.", Help={"links": []})
    path, body = SURFACES[surface]
    if surface == "native":
        body = {**body, "tools": [{"google_search": {}}]}
    elif surface != "embeddings":
        body = {**body, "model": M + ":search"}
    for _ in range(3):
        assert (await send(team, eve, path, body))[0] == 429
        for _ in range(2):
            assert (await team.ask(ada))[0] == 200
    assert clock.slept > 0 or surface == "native"  # eve's calls were tried again when a project was free


async def test_a_429_for_cached_contents_leaves_the_model_to_others(team: Team, google: Upstream) -> None:
    ada, eve = team.issue(), team.issue()
    await team.start("ab", PLUGINS)
    google.evil = lambda: refused(429, "TotalCachedContentStorageTokensPerModelFreeTier limit exceeded")
    for _ in range(6):
        body = {"model": f"models/{M}", "contents": [{"parts": [{"text": "evil"}]}]}
        assert (await send(team, eve, "/v1beta/cachedContents", body))[0] == 429
        assert (await team.ask(ada))[0] == 200


@pytest.mark.parametrize("surface", ["chat", "stream", "responses", "messages", "native"])
@pytest.mark.parametrize("size", [1_200_000, 600_000])
async def test_a_prompt_that_is_larger_than_the_tokens_per_minute_costs_only_itself(
    team: Team, google: Upstream, surface: str, size: int
) -> None:
    ada, eve = team.issue(), team.issue()
    await team.start("ab", PLUGINS)
    google.evil = spent_tokens
    path, body = SURFACES[surface]
    body = json.loads(json.dumps(body).replace("evil", "evil " + "x" * size))
    for _ in range(3):
        status, answer = await send(team, eve, path, body)
        assert status == 429, answer
        assert surface == "native" or b"Request too large for" in answer
        assert (await team.ask(ada))[0] == 200
    # a prompt that is too large by any count is not sent to a project that has said so
    assert google.calls["evil"] == (2 if size > 1_000_000 else 3 if surface == "native" else 6)
