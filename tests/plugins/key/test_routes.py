"""`GET /v1/key`: what the holder of a key sees, and that it costs nothing and cannot hurt the others."""

import asyncio
import json
from pathlib import Path
from time import time
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.plugin import SERVICES
from tests.support.servers import Serve
from tests.support.team import Google, Team


@pytest.fixture
async def google() -> Google:
    return Google()


@pytest.fixture
async def team(serve: Serve, tmp_path: Path, google: Google, aiohttp_server: Any) -> Team:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", google.answer)
    server = await aiohttp_server(app)
    return Team(serve, tmp_path, str(server.make_url("")).rstrip("/"))


async def ask(team: Team, key: str, query: str = "", **headers: str) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}", **headers}) as http,
        http.get(f"{team.base}/v1/key{query}") as response,
    ):
        return response.status, json.loads(await response.text())


async def test_o15_the_holder_of_a_key_sees_rules_budgets_limits_and_use(team: Team, google: Google) -> None:
    key = team.issue(
        models=("gemini-*",),
        requests_per_minute=5,
        tokens_per_day=1000,
        dollars={"month": 20.0},
        tokens={"total": 100_000},
    )
    await team.start("a")
    assert (await team.ask(key, max_tokens=9))[0] == 200
    await team.settled()
    status, shown = await ask(team, key)

    assert (status, shown["object"], shown["issued"], shown["state"], shown["name"]) == (
        200,
        "key",
        True,
        "active",
        "x",
    )
    assert shown["rules"]["requests_per_minute"] == 5
    (day,) = shown["usage"]
    assert (day["model"], day["calls"], day["input_tokens"], day["output_tokens"]) == (
        "gemini-2.5-flash",
        1,
        10,
        5,
    )
    assert day["start"] <= time() < day["start"] + 86400
    budgets = {(entry["unit"], entry["period"]): entry for entry in shown["budgets"]}
    money, tokens = budgets["dollars", "month"], budgets["tokens", "total"]
    assert 0 < money["spent"] == day["dollars"] == shown["dollars"]["month"] < 0.01
    assert money["left"] == pytest.approx(20 - money["spent"])
    assert (tokens["spent"], tokens["left"], tokens["resets"]) == (15, 99_985, None)
    assert money["resets"] > time()
    limits = {(entry["counted"], entry["seconds"]): entry for entry in shown["limits"]}
    assert (limits["requests", 60]["limit"], limits["requests", 60]["left"]) == (5, 4)
    assert limits["tokens", 86400]["left"] == 985
    assert time() < limits["requests", 60]["resets"] < time() + 121
    assert key not in json.dumps(shown)


async def test_o15_asking_takes_nothing_and_works_at_the_limit(team: Team) -> None:
    key = team.issue(requests_per_minute=1)
    await team.start("a")
    for _ in range(3):
        assert (await ask(team, key))[1]["limits"][0]["left"] == 1
    assert (await team.ask(key))[0] == 200
    assert (await team.ask(key))[0] == 429

    status, shown = await ask(team, key)
    assert (status, shown["limits"][0]["left"]) == (200, 0)


async def test_a_holder_sees_only_the_own_key(team: Team) -> None:
    first, second = team.issue(streams=3), team.issue(streams=4)
    await team.start("a")
    await team.ask(first)
    await team.settled()
    answers = [(await ask(team, key))[1] for key in (first, second)]

    assert [answer["rules"]["streams"] for answer in answers] == [3, 4]
    assert [len(answer["usage"]) for answer in answers] == [1, 0]


async def test_o15_a_client_with_a_gemini_key_is_told_why_there_is_nothing(team: Team) -> None:
    await team.start("a")
    status, shown = await ask(team, "AIza-own")

    assert (status, shown["issued"], shown["budgets"], shown["usage"]) == (200, False, [], [])
    assert "not a key of this gateway: it is passed through to Google" in shown["message"]


async def test_the_same_without_a_ledger(serve: Serve) -> None:
    base = await serve("")
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{base}/v1/key", headers={"x-goog-api-key": "AQ.own"}) as response:
            assert (response.status, (await response.json())["issued"]) == (200, False)
        async with http.get(f"{base}/v1/key") as response:
            assert (response.status, (await response.json())["error"]["code"]) == (401, "invalid_api_key")


async def test_a_key_that_is_unknown_is_refused(team: Team) -> None:
    await team.start("a")

    assert (await ask(team, "sk-gw-unknown"))[0] == 401


@pytest.mark.parametrize("days", ["0", "32", "-1", "x", "1.5", "٣", "9" * 5000])
async def test_days_are_checked(team: Team, days: str) -> None:
    key = team.issue()
    await team.start("a")
    status, answer = await ask(team, key, f"?days={days}")

    assert (status, answer["error"]["param"]) == (400, "days")
    assert answer["error"]["message"] == "Invalid 'days': expected a whole number from 1 to 31."


async def test_a_report_is_read_once_a_second_however_often_it_is_asked_for(
    team: Team, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = team.issue()
    await team.start("a", "plugins: {key: {seconds: 60}}\n")
    services = serve.app[SERVICES]
    read: list[int] = []

    async def report(key_id: str, days: int) -> dict[str, Any]:
        read.append(days)
        return {"id": key_id}

    monkeypatch.setattr(services, "key_report", report)
    await asyncio.gather(*(ask(team, key) for _ in range(8)))
    await ask(team, key, "?days=1")

    assert read == [31, 1]


async def test_a_database_that_fails_is_a_503(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    key = team.issue()
    await team.start("a")

    def broken(*_: object) -> None:
        raise OSError("disk gone")

    monkeypatch.setattr("gateway.store.ledger.key_reports.key_reports", broken)
    status, answer = await ask(team, key)

    assert (status, answer["error"]["code"]) == (503, "ledger_unavailable")
    assert "cannot read its ledger" in answer["error"]["message"]
