"""Models that others answer for: capabilities, prices, notes and metrics follow the model that answers."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.observability.request_log import RequestLog
from gateway.plugin import SERVICES
from tests.support.models import Today
from tests.support.servers import Serve
from tests.support.team import Team

PRO, FLASH, NEW = "gemini-2.5-pro", "gemini-2.5-flash", "gemini-3.8-flash"
DECEMBER = date(2026, 12, 2)
USAGE = {"promptTokenCount": 1000, "candidatesTokenCount": 100, "totalTokenCount": 1100}
SURFACES: dict[str, dict[str, Any]] = {
    "chat/completions": {"messages": [{"role": "user", "content": "hello"}], "reasoning_effort": "low"},
    "responses": {"input": "hello", "reasoning": {"effort": "low"}},
    "messages": {
        "messages": [{"role": "user", "content": "hello"}],
        "max_tokens": 3000,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
    },
}


class Upstream:
    """Answers each model's calls in the name of another, and keeps the bodies."""

    def __init__(self) -> None:
        self.version: str | None = None
        self.tier: str | None = None
        self.bodies: list[Any] = []
        self.url = ""

    @property
    def thinking(self) -> set[str]:
        """Fields of the last call's thinkingConfig that set the depth."""
        config = self.bodies[-1]["generationConfig"]["thinkingConfig"]
        return set(config) - {"includeThoughts"}

    async def answer(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.json())
        usage = USAGE if self.tier is None else {**USAGE, "serviceTier": self.tier}
        message: dict[str, Any] = {
            "candidates": [{"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}], "usageMetadata": usage,
        }  # fmt: skip
        if self.version is not None:
            message["modelVersion"] = self.version
        if "stream" in request.path:
            body = b"data: " + json.dumps(message).encode() + b"\r\n\r\n"
            return web.Response(body=body, headers={"Content-Type": "text/event-stream"})
        return web.json_response(message)


@pytest.fixture
async def upstream(aiohttp_server: Any) -> Upstream:
    result, app = Upstream(), web.Application()
    app.router.add_route("*", "/{path:.*}", result.answer)
    result.url = str((await aiohttp_server(app)).make_url("")).rstrip("/")
    return result


async def ask(
    http: aiohttp.ClientSession, base: str, surface: str = "chat/completions", **body: Any
) -> list[str]:
    """Return the notes of an answer."""
    async with http.post(f"{base}/v1/{surface}", json={**SURFACES[surface], **body}) as response:
        text = await response.text()
        assert response.status == 200, text
        return [name for name in response.headers.get("x-gateway-notes", "").split(",") if name]


@pytest.mark.row("M2")
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("surface", SURFACES)
async def test_m02_from_its_day_on_the_successors_capabilities_apply(
    http: aiohttp.ClientSession, serve: Serve, upstream: Upstream, today: Today, surface: str, streamed: bool
) -> None:
    base = await serve("", upstream.url)
    before = await ask(http, base, surface, model=PRO, stream=streamed)
    assert (upstream.thinking, "model" in before) == ({"thinkingBudget"}, False)

    today.set(DECEMBER)
    after = await ask(http, base, surface, model=PRO, stream=streamed)
    assert (upstream.thinking, "model" in after) == ({"thinkingLevel"}, True)


@pytest.mark.row("M2")
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("surface", SURFACES)
async def test_m02_an_answer_of_another_model_is_noted_counted_and_learnt(
    http: aiohttp.ClientSession, serve: Serve, upstream: Upstream, request_lines: list[RequestLog], surface: str,
    streamed: bool,
) -> None:  # fmt: skip
    base, upstream.version = await serve("", upstream.url), f"models/{NEW}"

    assert "model" in await ask(http, base, surface, model=FLASH, stream=streamed)
    assert upstream.thinking == {"thinkingBudget"}
    assert "model" in await ask(http, base, surface, model=FLASH, stream=streamed)
    assert upstream.thinking == {"thinkingLevel"}
    assert serve.app[SERVICES].statistics.successors == {(FLASH, NEW): 2}
    assert [line.model for line in request_lines] == [NEW, NEW]

    upstream.version = FLASH  # Google has taken it back
    await ask(http, base, surface, model=FLASH, stream=streamed)
    assert "model" not in await ask(http, base, surface, model=FLASH, stream=streamed)
    assert upstream.thinking == {"thinkingBudget"}


@pytest.mark.row("M2")
@pytest.mark.parametrize("version", ["gemini-3.9-flash", "gemini-3.8-flash-001", "m", None])
async def test_m02_an_alias_stands_for_any_model_without_a_note(
    http: aiohttp.ClientSession, serve: Serve, upstream: Upstream, version: str | None
) -> None:
    base, upstream.version = await serve("", upstream.url), version

    for _ in range(2):
        assert "model" not in await ask(http, base, model="gemini-flash-latest")
    assert upstream.thinking == {"thinkingLevel"}


@pytest.mark.row("M2")
async def test_m02_the_operator_names_successors_and_cancels_them(
    http: aiohttp.ClientSession, serve: Serve, upstream: Upstream, today: Today
) -> None:
    own = "{gemini-2.5-flash: {model: gemini-4-neon}, gemini-2.5-pro: {model: gemini-2.5-pro}}"
    base = await serve(f"models: {{successors: {own}}}", upstream.url)
    today.set(DECEMBER)

    assert "model" in await ask(http, base, model=FLASH)
    assert upstream.thinking == {"thinkingLevel"}
    assert "model" not in await ask(http, base, model=PRO)
    assert upstream.thinking == {"thinkingBudget"}


TURN = {"messages": [{"role": "user", "content": "hello"}]}
CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": FLASH, **TURN},
    "/v1/messages": {"model": FLASH, "max_tokens": 100, **TURN},
    f"/v1beta/models/{FLASH}:generateContent": CONTENTS,
    f"/v1beta/models/{FLASH}:streamGenerateContent?alt=sse": CONTENTS,
}


async def costs(serve: Serve, folder: Path, upstream: Upstream, path: str, **fields: Any) -> list[int]:
    """Return the cost of one call in millionths of a dollar."""
    team = Team(serve, folder, upstream.url)
    key = team.issue(dollars={"month": 5.0})
    await team.start("a", "plugins: {chat: {}, responses: {}, messages: {}, native: {}}\n")
    headers = {"x-goog-api-key": key}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.post(team.base + path, json={**BODIES[path], **fields}) as response,
    ):
        assert response.status == 200, await response.text()
        await response.read()
    return [row.micros for row in await team.settled()]


@pytest.mark.row("M2")
@pytest.mark.parametrize(
    ("version", "day", "micros"),
    [
        (None, date(2026, 11, 26), 300 + 250), (FLASH, date(2026, 11, 26), 300 + 250),
        (NEW, date(2026, 11, 26), 750 + 375), (NEW, date(2027, 1, 2), 1500 + 750),
        ("gemini-4-argon", date(2026, 11, 30), 2000 + 1000), ("gemini-4-argon", date(2026, 12, 1), 4000 + 2000),
        ("gemini-unheard-of", date(2026, 11, 26), 4000 + 2100),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", BODIES)
async def test_m02_a_call_costs_what_the_model_that_answers_costs(
    serve: Serve, tmp_path: Path, upstream: Upstream, today: Today, path: str, version: str | None, day: date, micros: int
) -> None:  # fmt: skip
    upstream.version = version
    today.set(day)

    assert await costs(serve, tmp_path, upstream, path) == [micros]


@pytest.mark.row("M3")
@pytest.mark.parametrize(
    ("asked", "named", "micros"),
    [
        (None, None, 550), ("flex", "flex", 275), ("flex", None, 275), ("priority", "priority", 990),
        ("priority", "standard", 550), ("priority", None, 1100), ("flex", "STANDARD", 550), (None, "flex", 275),
        ("flex", "tomorrow's", 275),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", [path for path in BODIES if "messages" not in path])
async def test_m03_the_tier_that_google_names_is_billed(
    serve: Serve, tmp_path: Path, upstream: Upstream, path: str, asked: str | None, named: str | None, micros: int
) -> None:  # fmt: skip
    upstream.tier = named
    if path.startswith("/v1beta"):
        fields = {"serviceTier": asked} if asked else {}
    else:
        fields = {"service_tier": asked} if asked else {}

    assert await costs(serve, tmp_path, upstream, path, **fields) == [micros]


@pytest.mark.row("M3")
async def test_m03_a_tier_in_two_spellings_is_not_cheaper(
    serve: Serve, tmp_path: Path, upstream: Upstream
) -> None:
    path = f"/v1beta/models/{FLASH}:generateContent"
    fields = {"serviceTier": "flex", "service_tier": "standard"}

    assert await costs(serve, tmp_path, upstream, path, **fields) == [550]
