"""What one client orders of Google does not cost other clients a project, a model or a retry."""

import json
import random
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.support.servers import Serve
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
        if "flaky" in text:
            return refused(503, "The model is overloaded.")
        return good()


@pytest.fixture
def google() -> Upstream:
    return Upstream()


@pytest.fixture
async def team(serve: Serve, tmp_path: Path, google: Upstream, aiohttp_server: Any) -> Team:
    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{path:.*}", google.answer)
    server = await aiohttp_server(app)
    return Team(serve, tmp_path, str(server.make_url("")).rstrip("/"))


async def send(
    team: Team, key: str, path: str, body: Any, headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    async with (
        aiohttp.ClientSession(headers={"x-goog-api-key": key, **(headers or {})}) as http,
        http.post(team.base + path, json=body) as response,
    ):
        return response.status, await response.read()


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
