"""The whole application with a pool: issued keys, exhausted projects, limits, budgets, and the ledger's rows."""

import asyncio
import json
import random
from collections import Counter
from time import time

import aiohttp
import pytest
from aiohttp import web

from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.errors import ConfigError
from gateway.plugin import SERVICES
from gateway.policy.pool.projects import PoolUpdate
from gateway.server.application import build_app
from gateway.store.ledger.reports import usage
from gateway.store.ledger.tables import open_engine
from tests.support.servers import Serve
from tests.support.team import Google, Team, good, refused, spent
from tests.support.waiting import eventually


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_issued_key_is_served_from_the_pool_and_written_down(
    team: Team, google: Google, streamed: bool
) -> None:
    key = team.issue()
    await team.start("a")
    status, headers, _ = await team.ask(key, stream=streamed)

    assert (status, headers["x-gateway-model"]) == (200, "gemini-2.5-flash")
    assert google.calls == {"AIza-a": 1}
    (row,) = await team.settled()
    assert (row.outcome, row.project, row.surface, row.prompt, row.completion) == ("ok", "a", "chat", 10, 5)
    assert (row.client[:4], row.exact, row.micros > 0, row.status) == ("key_", True, True, 200)


@pytest.mark.parametrize("streamed", [False, True])
async def test_searches_and_sound_are_written_down_and_priced(
    team: Team, google: Google, streamed: bool
) -> None:
    result = json.loads(good().body)  # type: ignore[arg-type]
    result["candidates"][0]["groundingMetadata"] = {"webSearchQueries": ["a", "b", "a", ""]}
    result["usageMetadata"]["promptTokensDetails"] = [{"modality": "AUDIO", "tokenCount": 4}]
    google.answers["AIza-a"] = lambda: web.json_response(result)
    key = team.issue()
    await team.start("a")
    await team.ask(key, stream=streamed)

    (row,) = await team.settled()
    assert (row.searches, row.prompt_audio, row.micros > 35_000) == (2, 4, True)
    engine = open_engine(str(team.file), None)
    (row,) = usage(engine, 0, time() + 9)
    engine.dispose()
    assert (row.searches, row.heard, row.spoken) == (2, 4, 0)


async def test_a_spent_project_makes_way_and_is_left_alone(team: Team, google: Google) -> None:
    key = team.issue()
    await team.start("ab")
    google.answers["AIza-a"] = google.answers["AIza-b"] = lambda: spent()
    first = (await team.ask(key))[0]
    google.answers["AIza-b"] = lambda: good()

    assert first == 429
    assert google.calls == {"AIza-a": 1, "AIza-b": 1}
    status, headers, answer = await team.ask(key)
    assert (status, answer["error"]["code"]) == (429, "rate_limit_exceeded")  # the project that is free first
    assert 25 <= int(headers["retry-after"]) <= 34
    assert sum(google.calls.values()) == 2


async def test_a_refused_key_costs_one_more_attempt_and_no_client_an_error(
    team: Team, google: Google
) -> None:
    key = team.issue()
    await team.start("ab")
    google.answers["AIza-a"] = lambda: refused(400, "API key not valid. Please pass a valid API key.")
    answers = [await team.ask(key) for _ in range(6)]

    assert [status for status, _, _ in answers] == [200] * 6
    assert google.calls["AIza-a"] <= 1


async def test_when_all_are_refused_that_is_our_fault_and_not_asked_again(team: Team, google: Google) -> None:
    key = team.issue()
    await team.start("ab")
    google.answers["AIza-a"] = google.answers["AIza-b"] = lambda: refused(
        403, "Your API key was reported as leaked."
    )
    for _ in range(3):
        status, _, answer = await team.ask(key)
        assert (status, answer["error"]["code"]) == (503, "no_usable_key")

    assert google.calls == {"AIza-a": 1, "AIza-b": 1}


@pytest.mark.row("S18")
async def test_a_clients_own_key_never_meets_the_pool(team: Team, google: Google) -> None:
    await team.start("ab")
    google.answers["AIza-own"] = lambda: spent()
    status, headers, _ = await team.ask("AIza-own")

    assert (status, headers["retry-after"]) == (429, "30")
    assert google.calls == {"AIza-own": 1}
    (row,) = team.rows()
    assert (row.client, row.project, row.outcome, row.status) == ("", "", "error", 429)


async def test_an_issued_key_never_reaches_google(team: Team, google: Google) -> None:
    await team.start("a")
    for sent in ("sk-gw-unknown", "sk-gw-"):
        status, _, answer = await team.ask(sent)
        assert (status, answer["error"]["code"]) == (401, "invalid_api_key")
    assert google.calls == {}


async def test_without_passthrough_only_issued_keys_come_in(team: Team, google: Google) -> None:
    key = team.issue()
    await team.start("a", "auth: {passthrough: false}")

    assert (await team.ask("AIza-own"))[0] == 401
    assert (await team.ask(key))[0] == 200
    assert google.calls == {"AIza-a": 1}


async def test_models_and_aliases_are_the_clients_own(team: Team) -> None:
    key = team.issue(models=("gemini-2.5-*",), aliases={"fast": "gemini-2.5-flash", "big": "gemini-3-pro"})
    await team.start("a")
    result = {
        model: await team.ask(key, model) for model in ("fast", "gemini-2.5-pro", "big", "gemini-3-flash")
    }

    assert [status for status, _, _ in result.values()] == [200, 200, 403, 403]
    assert result["big"][2]["error"]["code"] == "model_not_allowed"


async def test_limits_are_in_headers_and_are_enforced(team: Team) -> None:
    key = team.issue(requests_per_minute=3, tokens_per_day=1000)
    await team.start("a")
    answers = [await team.ask(key) for _ in range(5)]

    assert Counter(status for status, _, _ in answers) == {200: 3, 429: 2}
    headers = answers[0][1]
    assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == ("3", "2")
    assert headers["x-ratelimit-limit-tokens"] == "1000"
    assert 0 < float(answers[-1][1]["retry-after"]) <= 120
    assert "3 requests per minute" in answers[-1][2]["error"]["message"]


async def test_tokens_are_counted_as_they_were_spent(team: Team, google: Google) -> None:
    key = team.issue(tokens_per_day=75)
    await team.start("a")
    google.answers["AIza-a"] = lambda: good(prompt=60, completion=10)
    first, second = await team.ask(key), await team.ask(key)

    assert (first[0], second[0]) == (200, 429)
    assert second[2]["error"]["type"] == "tokens"


async def test_no_more_at_once_than_allowed(team: Team, google: Google) -> None:
    key = team.issue(streams=2)
    await team.start("a")
    google.hold.clear()
    tasks = [asyncio.create_task(team.ask(key)) for _ in range(5)]
    await eventually(lambda: sum(task.done() for task in tasks) >= 3)
    google.hold.set()
    answers = await asyncio.gather(*tasks)

    assert Counter(status for status, _, _ in answers) == {200: 2, 429: 3}
    assert (await team.ask(key))[0] == 200


async def test_a_budget_for_ten_lets_ten_through_of_two_hundred(team: Team, google: Google) -> None:
    google.answers["AIza-a"] = lambda: good(prompt=20, completion=60)
    key = team.issue(tokens={"total": 800})
    await team.start("a", "limits: {streams: 1000}")
    answers = await asyncio.gather(*(team.ask(key, max_tokens=60) for _ in range(200)))
    passed = sum(status == 200 for status, _, _ in answers)
    refused_ = [answer for status, _, answer in answers if status == 429]

    assert 0 < passed <= 10
    assert {answer["error"]["code"] for answer in refused_} == {"insufficient_quota"}
    assert sum(row.prompt + row.completion for row in team.rows() if row.outcome == "ok") <= 800


async def test_a_client_that_leaves_early_pays_for_the_prompt(team: Team, google: Google) -> None:
    key = team.issue(tokens={"total": 10_000_000})
    await team.start("a")
    google.hold.clear()
    task = asyncio.create_task(team.ask(key))
    await eventually(lambda: google.calls)
    task.cancel()
    await eventually(lambda: [row for row in team.rows() if row.outcome == "cancelled"])
    (row,) = team.rows()

    assert (row.exact, row.prompt > 0) == (False, True)
    google.hold.set()


async def test_random_faults_are_hidden_and_a_storm_makes_none_of_its_own(team: Team, google: Google) -> None:
    key = team.issue()
    await team.start("abc")
    rolls = random.Random(5)
    google.answers = {
        f"AIza-{name}": lambda: refused(503) if rolls.random() < 0.3 else good() for name in "abc"
    }
    good_ones = sum([(await team.ask(key))[0] == 200 for _ in range(400)])
    google.calls.clear()
    google.answers = {f"AIza-{name}": lambda: refused(503) for name in "abc"}
    stormy = [(await team.ask(key))[0] for _ in range(200)]
    during = sum(google.calls.values())
    google.answers.clear()
    after = [(await team.ask(key))[0] for _ in range(40)]

    assert good_ones >= 0.99 * 400
    assert set(stormy) == {503}
    assert during <= 1.2 * 200
    assert after.count(200) >= 38


async def test_native_calls_of_an_issued_key(team: Team, google: Google) -> None:
    key = team.issue(models=("gemini-2.5-*",))
    await team.start("a")
    async with aiohttp.ClientSession(headers={"x-goog-api-key": key}) as http:
        url = f"{team.base}/v1beta/models/gemini-2.5-flash:generateContent"
        async with http.post(url, json={"contents": []}) as response:
            assert response.status == 200
        async with http.post(f"{team.base}/v1beta/models/gemini-3-pro:generateContent", json={}) as response:
            assert (response.status, (await response.json())["error"]["status"]) == (403, "PERMISSION_DENIED")
        async with http.get(f"{team.base}/v1beta/files") as response:
            assert response.status == 403
            assert "other clients" in (await response.json())["error"]["message"]
        async with http.post(f"{team.base}/v1beta/tunedModels", json={}) as response:
            assert response.status == 403
            assert "your own" in (await response.json())["error"]["message"]
        google.answers["AIza-a"] = lambda: refused(400, "API key not valid.")
        async with http.post(url, json={"contents": []}) as response:
            assert response.status in (401, 503)
    assert google.calls == {"AIza-a": 2}
    assert [(row.surface, row.outcome, row.prompt) for row in team.rows()] == [
        ("native", "ok", 10), ("native", "error", 0),
    ]  # fmt: skip


@pytest.mark.row("S32")
async def test_one_clients_responses_and_signatures_are_not_anothers(team: Team) -> None:
    mine, other = team.issue(), team.issue()
    await team.start("a")
    async with aiohttp.ClientSession() as http:
        url = f"{team.base}/v1/responses"
        async with http.post(
            url, json={"model": "gemini-2.5-flash", "input": "x"}, headers=_bearer(mine)
        ) as response:
            name = (await response.json())["id"]
        result = []
        for key in (mine, other, "AIza-own"):
            async with http.get(f"{url}/{name}", headers=_bearer(key)) as shown:
                result.append(shown.status)
    assert result == [200, 404, 404]


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            "pool: {projects: [{name: a, keys: [{env: KEY_A}]}, {name: a, keys: [{env: KEY_B}]}]}",
            "two projects",
        ),
        (
            "pool: {projects: [{name: a, keys: [{env: KEY_A}]}, {name: b, keys: [{env: KEY_A}]}]}",
            "the same key",
        ),
        ("pool: {projects: [{name: A!, keys: [{env: KEY_A}]}]}", "name"),
        ("pool: {projects: [{name: a, keys: []}]}", "keys"),
        ("pool: {projects: [{name: a, keys: [AIza-secret]}]}", "secrets are not written in this file"),
        ("pool: {projects: [{name: a, keys: [{env: NOWHERE}]}]}", "is not set"),
        ("ledger: {url: 'mysql://x/y'}", "must be postgresql:"),
        ("admin: {port: 8080, token: {env: KEY_A}}", "is also listen.port"),
        ("models: {fallbacks: {gemini-2.5-pro: [gemini-2.5-pro]}}", "is its own fallback"),
        ("models: {fallbacks: {gpt-4o: [gemini-2.5-pro]}}", "begins with none of models.prefixes"),
        ("auth: {passthrough: false}", "pool.projects must list at least one project"),
        ("ledger: {url: /nowhere/at/all/ledger.db}", "cannot be opened"),
        ("ledger: {prices: {x: {inputs: 1}}}", "inputs"),
    ],
)
async def test_mistakes_are_reported_with_their_place(
    team: Team, serve: Serve, config: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=rf"test.yaml:2:\d+: .*{message}") as caught:
        await serve(config)
    assert "AIza-secret" not in str(caught.value)


async def test_usage_adds_up(team: Team) -> None:
    key = team.issue()
    await team.start("a")
    for _ in range(3):
        await team.ask(key)
    engine = open_engine(str(team.file), None)
    by_model = usage(engine, 0, time() + 10, ["model"])
    by_day = usage(engine, 0, time() + 10, ["client", "surface"], 86400)
    nothing = usage(engine, 0, 1)
    engine.dispose()

    assert [(row.model, row.calls, row.prompt, row.completion) for row in by_model] == [
        ("gemini-2.5-flash", 3, 30, 15)
    ]
    assert [(row.surface, row.calls, row.start % 86400) for row in by_day] == [("chat", 3, 0)]
    assert nothing == []


def test_an_application_after_a_reload_keeps_cooldowns_and_statistics() -> None:
    def build(projects: str, before: web.Application | None = None) -> web.Application:
        listed = ", ".join(f"{{name: {name}, keys: [{{env: {name.upper()}}}]}}" for name in projects)
        source = Source(f"pool: {{projects: [{listed}]}}", "g.yaml", {name: f"AQ.{name}" for name in "ABC"})
        return build_app(
            source.decode(GatewayConfig), source, before[SERVICES] if before is not None else None
        )

    first, now = build("ab"), time()
    pool = first[SERVICES].metrics.pool
    for name in "ab":
        pool.apply(PoolUpdate(name, "", "", "reported", now + 60), now)
        pool.apply(PoolUpdate(name, "", "m", "day", now + 60), now)
        (_, state), *_ = pool.known_models(name)
        state.said, state.said_at = f"{name} is over its quota", now

    second = build("bc", first)

    kept = dict(second[SERVICES].metrics.pool.known_models("b"))["m"]
    assert (kept.said, kept.said_at) == ("b is over its quota", now)
    assert {update.project for update in second[SERVICES].metrics.pool.changes(now)} == {"b"}
    assert second[SERVICES].statistics is first[SERVICES].statistics
    assert build("bc")[SERVICES].metrics.pool.changes(now) == []
