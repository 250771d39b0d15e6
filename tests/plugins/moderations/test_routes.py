"""Moderations over HTTP, on the emulator: its ratings follow words of the prompt."""

from typing import Any

import aiohttp
import openai
import pytest

from tests.support.servers import Fake, RawUpstream, Serve, whole

ON = "plugins: {moderations: {}}"
PNG = "data:image/png;base64,iVBORw0KGgo="


async def ask(http: aiohttp.ClientSession, base: str, **body: Any) -> tuple[int, Any]:
    async with http.post(f"{base}/v1/moderations", json=body) as response:
        return response.status, await response.json()


async def test_the_sdk_reads_one_result_for_each_text(serve: Serve, fake: Fake) -> None:
    base = await serve(ON, fake.url)
    async with openai.AsyncOpenAI(base_url=f"{base}/v1", api_key="k", max_retries=0) as sdk:
        answer = await sdk.moderations.create(model="omni-moderation-latest", input=["hi", "some hate here"])

    assert [result.flagged for result in answer.results] == [False, True]
    assert answer.results[1].categories.hate is True
    assert answer.results[1].category_scores.hate == 0.9
    assert answer.results[1].categories.violence is False
    assert answer.model == "gemini-2.5-flash-lite"
    assert fake.calls == 2
    assert {s["threshold"] for s in fake.last.body["safetySettings"]} == {"BLOCK_NONE"}
    assert fake.last.body["generationConfig"]["maxOutputTokens"] == 1


async def test_parts_are_one_thing(http: aiohttp.ClientSession, serve: Serve, fake: Fake) -> None:
    base = await serve(ON, fake.url)
    parts = [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": PNG}}]
    status, answer = await ask(http, base, input=parts)

    assert (status, len(answer["results"])) == (200, 1)
    assert [next(iter(part)) for part in fake.last.body["contents"][0]["parts"]] == ["text", "inlineData"]


async def test_a_prompt_that_is_refused_is_flagged(
    http: aiohttp.ClientSession, serve: Serve, fake: Fake
) -> None:
    base = await serve(ON, fake.url)
    _, answer = await ask(http, base, input="[[blocked]]")

    assert answer["results"][0]["flagged"] is True
    assert answer["results"][0]["categories"]["illicit"] is True


@pytest.mark.parametrize(("flag", "flagged"), [("LOW", True), ("MEDIUM", True), ("HIGH", False)])
async def test_the_operator_says_from_when_on(
    http: aiohttp.ClientSession, serve: Serve, raw_upstream: RawUpstream, flag: str, flagged: bool
) -> None:
    rating = b'{"category":"HARM_CATEGORY_HARASSMENT","probability":"MEDIUM"},{"category":7,"probability":9}'
    raw_upstream.scripts = [whole(b'{"promptFeedback":{"safetyRatings":[%s]}}' % rating)]
    base = await serve(f"plugins: {{moderations: {{flag: {flag}}}}}", raw_upstream.url)
    _, answer = await ask(http, base, input="x")

    assert answer["results"][0]["flagged"] is flagged
    assert answer["results"][0]["category_scores"]["harassment"] == 0.5


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ([], "input"), (5, "input"), (None, "input"), (["x"] * 33, "input"), ([1], "input[0]"), ({}, "input"),
        ([{"type": "image_url", "image_url": {"url": "ftp://x"}}], "input[0].image_url.url"),
    ],
)  # fmt: skip
async def test_bad_input_is_named(
    http: aiohttp.ClientSession, serve: Serve, fake: Fake, given: Any, param: str
) -> None:
    base = await serve(ON, fake.url)
    status, answer = await ask(http, base, input=given)

    assert (status, answer["error"]["param"]) == (400, param)


async def test_it_is_off_by_default(http: aiohttp.ClientSession, gateway: str) -> None:
    assert (await ask(http, gateway, input="x"))[0] == 404
