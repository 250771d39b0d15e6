"""Images over HTTP: SDKs, limits, budgets, hooks, fallbacks, time."""

import asyncio
import base64
import json
from typing import Any

import aiohttp
import openai
import pytest
from aiohttp import web

from tests.support.pictures import JPEG, PNG, Painter, drawn, failed, inline, picture, pixel
from tests.support.servers import Serve, upstream_of
from tests.support.team import Google, Team, spent

URL = "/v1/images/generations"
M21, M25 = "gemini-nano-banana-2.1", "gemini-2.5-flash-image"


@pytest.fixture
async def painter(aiohttp_server: Any) -> Painter:
    return await Painter().start(aiohttp_server)


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
async def test_the_sdk_generates_edits_and_streams(serve: Serve, painter: Painter) -> None:
    base = await serve("", painter.url)
    async with openai.AsyncOpenAI(base_url=f"{base}/v1", api_key="k", max_retries=0) as sdk:
        made = await sdk.images.generate(prompt="a cat", model="gpt-image-1", n=2, size="1024x1024")
        edited = await sdk.images.edit(
            image=[("a.png", PNG), ("b.jpg", JPEG)], mask=("m.png", PNG), prompt="a hat", n=1
        )
        varied = await sdk.images.create_variation(image=("a.png", PNG), response_format="b64_json")
        events = [
            event async for event in await sdk.images.generate(prompt="x", stream=True, model="gpt-image-1")
        ]
        edits = [
            event async for event in await sdk.images.edit(image=("a.png", PNG), prompt="x", stream=True)
        ]

    assert made.usage is not None
    assert (made.usage.total_tokens, len(made.data or ())) == (4 + 2 * 1330, 2)
    assert base64.b64decode((edited.data or [])[0].b64_json or "") == PNG
    assert base64.b64decode((varied.data or [])[0].b64_json or "") == PNG
    assert [event.type for event in events] == ["image_generation.completed"]
    assert [event.type for event in edits] == ["image_edit.completed"]
    assert events[0].usage.output_tokens_details is not None  # type: ignore[union-attr]


async def test_azures_deployment_names_the_model(
    http: aiohttp.ClientSession, serve: Serve, painter: Painter
) -> None:
    base = await serve("", painter.url)
    path = f"/openai/deployments/{M25}/images/generations?api-version=2026-01-01"
    async with http.post(base + path, json={"prompt": "x"}) as response:
        assert response.status == 200

    assert painter.models == [M25]


async def test_a_fallback_is_another_image_model(
    http: aiohttp.ClientSession, serve: Serve, painter: Painter
) -> None:
    painter.answers = [failed(429), drawn()]
    base = await serve(f"models: {{fallbacks: {{gemini-nano*: [gemini-3.8-flash, {M25}]}}}}", painter.url)
    async with http.post(base + URL, json={"prompt": "x"}) as response:
        assert (response.status, response.headers["x-gateway-model"]) == (200, M25)

    assert painter.models == [M21, M25]


async def test_a_budget_reserves_a_picture_and_pays_what_it_cost(
    team: Team, google: Google, http: aiohttp.ClientSession
) -> None:
    google.answers["AIza-a"] = lambda: web.json_response(drawn())
    rich, poor = team.issue(dollars={"day": 0.05}), team.issue(dollars={"day": 0.03})
    await team.start("a")
    statuses = []
    for key in (rich, poor, rich):
        headers = {"Authorization": f"Bearer {key}"}
        async with http.post(team.base + URL, json={"prompt": "x"}, headers=headers) as response:
            statuses.append((response.status, (await response.json()).get("error", {}).get("code")))

    assert statuses == [(200, None), (429, "insufficient_quota"), (429, "insufficient_quota")]
    paid = [row for row in await team.settled() if row.micros]
    assert [(row.micros, row.surface, row.model) for row in paid] == [(35_181, "images", M21)]


async def test_another_project_of_the_pool_draws_where_one_is_over_its_quota(
    team: Team, google: Google, http: aiohttp.ClientSession
) -> None:
    key = team.issue()
    google.answers = {"AIza-a": spent, "AIza-b": spent, "AIza-c": lambda: web.json_response(drawn())}
    await team.start()
    async with http.post(
        team.base + URL, json={"prompt": "x"}, headers={"Authorization": f"Bearer {key}"}
    ) as response:
        assert response.status == 200

    assert google.calls["AIza-c"] == 1
    assert max(google.calls.values()) == 1


async def test_requests_per_minute_count_pictures(
    team: Team, google: Google, http: aiohttp.ClientSession
) -> None:
    google.answers["AIza-a"] = lambda: web.json_response(drawn())
    key = team.issue(requests_per_minute=3)
    await team.start("a")
    headers = {"Authorization": f"Bearer {key}"}
    async with http.post(team.base + URL, json={"prompt": "x", "n": 4}, headers=headers) as response:
        assert (response.status, response.headers["x-should-retry"]) == (429, "false")

    assert not google.calls


async def test_too_much_time_is_a_504(http: aiohttp.ClientSession, serve: Serve, aiohttp_server: Any) -> None:
    async def draw(_: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.json_response(drawn())

    base = await serve(
        "plugins: {images: {seconds: 0.1}}\nstream: {first_byte_grace: 0.02}",
        await upstream_of(aiohttp_server, draw),
    )
    async with http.post(base + URL, json={"prompt": "x"}) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (504, "upstream_timeout")
    async with http.post(base + URL, json={"prompt": "x", "stream": True}) as response:
        text = await response.text()
    assert response.status == 200
    last = text.rpartition("event: error\ndata: ")[2]
    assert json.loads(last)["error"]["code"] == "upstream_timeout"


async def test_the_operator_limits_pictures(
    http: aiohttp.ClientSession, serve: Serve, painter: Painter
) -> None:
    base = await serve("plugins: {images: {n: 2}}", painter.url)
    async with http.post(base + URL, json={"prompt": "x", "n": 3}) as response:
        error = (await response.json())["error"]

    assert (response.status, error["param"], painter.calls) == (400, "n", [])
    assert "<= 2" in error["message"]


async def test_strict_mode_refuses_what_would_be_dropped(
    http: aiohttp.ClientSession, serve: Serve, painter: Painter
) -> None:
    base = await serve("compat: strict", painter.url)
    refused = []
    for fields in (
        {"background": "transparent"},
        {"style": "vivid"},
        {"background": "opaque"},
        {"quality": "low", "n": 1},
    ):
        async with http.post(base + URL, json={"prompt": "x", **fields}) as response:
            refused.append((response.status, (await response.json()).get("error", {}).get("param")))

    assert refused == [(400, "background"), (400, "style"), (200, None), (200, None)]


async def test_words_beside_a_picture_and_what_was_ignored(
    http: aiohttp.ClientSession, serve: Serve, painter: Painter, request_lines: list[Any]
) -> None:
    painter.answers = [drawn({"text": "A red square."}, inline(PNG))]
    base = await serve("", painter.url)
    async with http.post(
        base + URL, json={"prompt": "x", "user": "u", "style": "vivid", "nonsense": 1}
    ) as response:
        body = await response.json()

    assert body["data"][0]["revised_prompt"] == "A red square."
    assert response.headers["x-gateway-notes"].split(",") == ["user", "style", "nonsense"]
    [line] = request_lines
    assert (line.surface, line.model, line.prompt_tokens, line.completion_tokens) == ("images", M21, 4, 1330)


async def test_a_large_picture_is_read_and_converted(
    http: aiohttp.ClientSession, serve: Serve, painter: Painter
) -> None:
    large = picture("png", (1376, 768), (0, 128, 0))
    painter.answers = [drawn(inline(large + bytes(300_000)))]
    base = await serve("", painter.url)
    async with http.post(base + URL, json={"prompt": "x", "output_format": "jpeg", "n": 2}) as response:
        body = await response.json()

    data = [base64.b64decode(each["b64_json"]) for each in body["data"]]
    assert (body["size"], len(data)) == ("1376x768", 2)
    assert all(abs(a - b) < 4 for a, b in zip(pixel(data[1], (700, 300)), (0, 128, 0), strict=True))


async def test_the_emulator_draws_what_is_asked(http: aiohttp.ClientSession, gateway: str) -> None:
    async with http.post(gateway + URL, json={"prompt": "a blue square", "size": "1536x1024"}) as response:
        body = await response.json()
    data = base64.b64decode(body["data"][0]["b64_json"])

    assert (body["size"], body["output_format"], body["usage"]["output_tokens"]) == ("1264x848", "jpeg", 1120)
    for at in ((0, 0), (700, 400), (1263, 847)):
        assert all(abs(a - b) < 4 for a, b in zip(pixel(data, at), (0, 0, 255), strict=True))
    async with http.post(gateway + URL, json={"prompt": "x", "model": "gemini-3.8-flash"}) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (400, "model_not_supported")
