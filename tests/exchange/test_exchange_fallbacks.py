"""Fallback models over HTTP: the order of calls, their translation, and what the client is told."""

import json
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.errors import (
    ConfigError,
)
from gateway.plugin import SERVICES
from tests.support.servers import Serve

CHAIN = "models: {fallbacks: {gemini-3-pro-preview: [gemini-2.5-pro, gemini-2.5-flash]}}"
PRO, OLD, FLASH = "gemini-3-pro-preview", "gemini-2.5-pro", "gemini-2.5-flash"
QUOTA = {
    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
    "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel"}],
}


class Models:
    """An upstream whose models each answer a status of their own."""

    def __init__(self) -> None:
        self.statuses: dict[str, int] = {}
        self.asked: list[str] = []
        self.bodies: list[Any] = []
        self.named = True
        """Answers say which model they are of."""

    async def answer(self, request: web.Request) -> web.Response:
        model = request.path.rpartition("/")[2].partition(":")[0]
        self.asked.append(model)
        self.bodies.append(await request.json())
        status = self.statuses.get(model, 200)
        if status != 200:
            details = [QUOTA] if status == 429 else []
            expected = f"models/{model} is not found for API version v1beta" if status == 404 else "no"
            return web.json_response(
                {"error": {"code": status, "message": expected, "details": details}}, status=status
            )
        message: dict[str, Any] = {
            "candidates": [{"content": {"parts": [{"text": f"by {model}"}]}, "finishReason": "STOP"}]
        }
        if self.named:
            message["modelVersion"] = model
        if "stream" in request.path:
            body = b"data: " + json.dumps(message).encode() + b"\r\n\r\n"
            return web.Response(body=body, headers={"Content-Type": "text/event-stream"})
        return web.json_response(message)


@pytest.fixture
async def models() -> Models:
    return Models()


@pytest.fixture
async def upstream(models: Models, aiohttp_server: Any) -> str:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", models.answer)
    return str((await aiohttp_server(app)).make_url("")).rstrip("/")


async def ask(http: aiohttp.ClientSession, base: str, path: str = "chat/completions", **body: Any) -> Any:
    body = {"model": PRO, "messages": [{"role": "user", "content": "hello"}], **body}
    async with http.post(f"{base}/v1/{path}", json=body) as response:
        return response.status, response.headers, await response.text()


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("status", [429, 404, 503])
async def test_the_next_model_answers_where_one_cannot(
    http: aiohttp.ClientSession, serve: Serve, models: Models, upstream: str, status: int, streamed: bool
) -> None:
    models.statuses = {PRO: status, OLD: status}
    got, headers, text = await ask(http, await serve(CHAIN, upstream), stream=streamed)

    assert got == 200
    assert f"by {FLASH}" in text
    assert f'"model":"{FLASH}"' in text.replace(" ", "")
    assert list(dict.fromkeys(models.asked)) == [PRO, OLD, FLASH]
    assert headers["x-gateway-model"] == FLASH
    assert "model" in headers["x-gateway-notes"].split(",")
    trail = [step.split()[0] for step in headers["x-gateway-fallback"].split(", ")]
    assert trail == [PRO, OLD]


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_that_names_no_model_is_the_asked_ones(
    http: aiohttp.ClientSession, serve: Serve, models: Models, upstream: str, streamed: bool
) -> None:
    models.statuses, models.named = {PRO: 429}, False
    _, headers, text = await ask(http, await serve(CHAIN, upstream), stream=streamed)

    assert headers["x-gateway-model"] == OLD
    assert f'"model":"{OLD}"' in text.replace(" ", "")


async def test_each_model_is_asked_in_its_own_way(
    http: aiohttp.ClientSession, serve: Serve, models: Models, upstream: str
) -> None:
    models.statuses = {PRO: 429}
    await ask(http, await serve(CHAIN, upstream), reasoning_effort="low")

    first, second = (body["generationConfig"]["thinkingConfig"] for body in models.bodies)
    assert "thinkingLevel" in first
    assert "thinkingBudget" in second


async def test_choices_keep_their_seeds(
    http: aiohttp.ClientSession, serve: Serve, models: Models, upstream: str
) -> None:
    models.statuses = {PRO: 429}
    _, _, text = await ask(http, await serve(CHAIN, upstream), n=2, seed=7)

    assert len(json.loads(text)["choices"]) == 2
    seeds = [
        b["generationConfig"]["seed"] for m, b in zip(models.asked, models.bodies, strict=True) if m == OLD
    ]
    assert sorted(seeds) == [7, 8]


@pytest.mark.parametrize("status", [400, 403])
async def test_a_clients_own_fault_is_answered_at_once(
    http: aiohttp.ClientSession, serve: Serve, models: Models, upstream: str, status: int
) -> None:
    models.statuses = {PRO: status}
    got, headers, _ = await ask(http, await serve(CHAIN, upstream))

    assert (got, models.asked) == (status, [PRO])
    assert "x-gateway-fallback" not in headers


async def test_where_all_fail_the_error_is_that_of_the_requested_model(
    http: aiohttp.ClientSession, serve: Serve, models: Models, upstream: str
) -> None:
    models.statuses = {PRO: 503, OLD: 503, FLASH: 429}
    got, headers, _ = await ask(http, await serve(CHAIN, upstream))

    assert got == 503
    assert headers["x-gateway-fallback"].startswith(PRO)
    totals = serve.app[SERVICES].statistics
    assert totals.calls == {model: models.asked.count(model) for model in (PRO, OLD, FLASH)}
    assert serve.app[SERVICES].statistics.fallbacks == {"overloaded": 2}


async def test_messages_and_responses_fall_back_too(
    http: aiohttp.ClientSession, serve: Serve, models: Models, upstream: str
) -> None:
    models.statuses = {PRO: 429}
    base = await serve(CHAIN, upstream)
    message = json.loads((await ask(http, base, "messages", max_tokens=10))[2])
    response = json.loads((await ask(http, base, "responses", input="hello"))[2])

    assert (message["model"], response["model"]) == (OLD, OLD)


async def test_an_outage_of_all_models_is_no_storm(
    http: aiohttp.ClientSession, serve: Serve, models: Models, upstream: str
) -> None:
    models.statuses = dict.fromkeys((PRO, OLD, FLASH), 503)
    base = await serve(CHAIN, upstream)
    for _ in range(200):
        assert (await ask(http, base))[0] == 503

    assert len(models.asked) <= 1.2 * 200


@pytest.mark.parametrize("status", [404, 503])
async def test_a_lasting_failure_of_one_model_is_made_good_for_ever(
    http: aiohttp.ClientSession, serve: Serve, models: Models, upstream: str, status: int
) -> None:
    models.statuses = {PRO: status}
    base = await serve(CHAIN, upstream)
    for _ in range(100):
        got, headers, _ = await ask(http, base)
        assert (got, headers["x-gateway-model"]) == (200, OLD)
        assert headers["x-gateway-fallback"].startswith(PRO)

    if status == 503:  # a model that fails and fails is left alone; one that is not there says so at once
        assert models.asked.count(PRO) < 20


async def test_a_model_that_has_recovered_is_asked_again(
    http: aiohttp.ClientSession, serve: Serve, models: Models, upstream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("gateway.exchange.calls.recovery.monotonic", lambda: now)
    models.statuses = {PRO: 503, OLD: 503}
    base = await serve(CHAIN, upstream)
    for _ in range(10):
        await ask(http, base)
    assert (await ask(http, base))[1]["x-gateway-fallback"] == f"{PRO} cooling_down, {OLD} cooling_down"
    models.statuses = {}
    now += 61

    assert (await ask(http, base))[1]["x-gateway-model"] == PRO
    assert "x-gateway-fallback" not in (await ask(http, base))[1]


@pytest.mark.parametrize(
    ("models_section", "expected"),
    [
        ("fallbacks: {gemini-3-*: [fast]}, aliases: {fast: gemini-2.5-flash}", "'fast' is an alias"),
        ("fallbacks: {gemini-3-*: [gpt-4o]}", "'gpt-4o' begins with none of models.prefixes"),
        ("fallbacks: {gemini-3-*: ['a b']}", "'a b' is not a model name"),
    ],
)
async def test_a_chain_that_cannot_be_is_named_with_its_place(
    serve: Serve, models_section: str, expected: str
) -> None:
    with pytest.raises(ConfigError, match=expected) as failed:
        await serve(f"models: {{{models_section}}}")
    assert "test.yaml:2:" in str(failed.value)
