"""Numbers of any size, from a client or the upstream: the ledger writes the rows of everyone."""

import asyncio
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.plugin import SERVICES
from gateway.store.ledger.reports import usage
from gateway.store.ledger.writer import Ledger
from tests.support.servers import Serve
from tests.support.team import Google, Team
from tests.support.waiting import eventually

pytestmark = pytest.mark.row("A7")
M = "gemini-2.5-flash"
CHAT, NATIVE = "/v1/chat/completions", f"/v1beta/models/{M}:generateContent"
HI = [{"role": "user", "content": "hi"}]
CONTENTS = [{"role": "user", "parts": [{"text": "hi"}]}]
WIDE = {
    "maxOutputTokens": 999999999, "candidateCount": 999999999, "thinkingConfig": {"thinkingBudget": 999999999},
}  # fmt: skip


async def check(serve: Serve, team: Team, key: str) -> None:
    """Check that the ledger works: a small request is served, all rows are written, and the report has sums."""
    ledger = serve.app[SERVICES].exchange.accounting.ledger
    assert isinstance(ledger, Ledger)
    await serve.app[SERVICES].refresh_keys()
    async with (
        aiohttp.ClientSession(headers={"x-goog-api-key": key}) as http,
        http.post(team.base + CHAT, json={"model": M, "messages": HI}) as response,
    ):
        assert response.status == 200
    await eventually(lambda: not ledger.waiting or ledger.is_stuck(30))
    assert (ledger.waiting, ledger.errors, ledger.dropped, ledger.is_stuck(30)) == (0, 0, 0, False)
    assert sum(row.calls for row in usage(ledger.engine, 0, 1e11)) >= 1


@pytest.mark.parametrize("leaves", [False, True])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, {"google": {"generation_config": {"max_output_tokens": 2**64 - 1}}}),
        (
            CHAT,
            {"google": {"generation_config": {"max_output_tokens": 2**31 - 1, "candidate_count": 2**31 - 1}}},
        ),
        (CHAT, {"google": {"thinking_config": {"thinking_budget": 2**64 - 1}}}),
        (CHAT, {"max_tokens": 2**63 - 1}),
        (NATIVE, {"generationConfig": WIDE}),
    ],
)
async def test_a07_a_limit_of_any_size_is_charged(
    serve: Serve, team: Team, google: Google, path: str, body: dict[str, Any], leaves: bool
) -> None:
    google.hold.clear()
    key = team.issue()
    await team.start("a")
    content = {"model": M, "messages": HI} if path == CHAT else {"contents": CONTENTS}

    async def ask(http: aiohttp.ClientSession) -> int:
        async with http.post(team.base + path, json={**content, **body}) as response:
            return response.status

    async with aiohttp.ClientSession(headers={"x-goog-api-key": key}) as http:
        asks = [asyncio.create_task(ask(http)) for _ in range(3)]
        await eventually(lambda: google.calls.total() == 3 or all(task.done() for task in asks))
        if leaves:
            for task in asks:
                task.cancel()
            await asyncio.gather(*asks, return_exceptions=True)
        google.hold.set()
        results = await asyncio.gather(*asks, return_exceptions=True)
    statuses = {result for result in results if isinstance(result, int)}
    assert statuses <= ({200} if google.calls else {400})
    await check(serve, team, key)


async def test_a07_reservations_of_any_size_are_added_up(serve: Serve, team: Team) -> None:
    key = team.issue(tokens={"month": 1_000_000}, dollars={"total": 1e9})
    await team.start("a")
    async with aiohttp.ClientSession(headers={"x-goog-api-key": key}) as http:

        async def ask() -> int:
            async with http.post(
                team.base + NATIVE, json={"contents": CONTENTS, "generationConfig": WIDE}
            ) as response:
                return response.status

        assert set(await asyncio.gather(*(ask() for _ in range(20)))) == {429}
    await check(serve, team, team.issue())


@pytest.mark.parametrize("code", [2**31, 2**63, 2**64 - 1, -(2**63), 0])
@pytest.mark.parametrize("path", [CHAT, NATIVE])
async def test_a07_a_status_of_any_size_inside_a_200_is_written(
    serve: Serve, team: Team, google: Google, path: str, code: int
) -> None:
    google.answers["AIza-a"] = lambda: web.json_response({"error": {"code": code, "message": "x"}})
    key = team.issue()
    await team.start("a")
    body = {"model": M, "messages": HI} if path == CHAT else {"contents": CONTENTS}
    async with (
        aiohttp.ClientSession(headers={"x-goog-api-key": key}) as http,
        http.post(team.base + path, json=body) as response,
    ):
        await response.read()
    google.answers.clear()
    await check(serve, team, key)
