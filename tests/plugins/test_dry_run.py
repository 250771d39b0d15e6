"""`POST /v1/translate`: a dry run of the `chat` plugin in both directions."""

from typing import Any

import aiohttp
import pytest

from gateway.errors import ConfigError
from tests.support.servers import Serve


@pytest.fixture
async def base(serve: Serve) -> str:
    return await serve("plugins: {chat: {}, translate: {}}")


async def test_translate_shows_what_gemini_would_be_asked(http: aiohttp.ClientSession, base: str) -> None:
    body = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "go"}], "user": "u", "n": 2}
    async with http.post(f"{base}/v1/translate", json=body) as response:
        shown = await response.json()

    assert shown["url"].endswith("/v1beta/models/gemini-2.5-flash:generateContent")
    assert shown["body"]["contents"] == [{"role": "user", "parts": [{"text": "go"}]}]
    assert shown["notes"] == ["user"]
    assert len(shown["bodies"]) == 2


async def test_translate_turns_an_answer_around(http: aiohttp.ClientSession, base: str) -> None:
    async with http.post(
        f"{base}/v1/translate", json={"candidates": [{"content": {"parts": [{"text": "hi"}]}}]}
    ) as response:
        assert (await response.json())["choices"][0]["message"]["content"] == "hi"


@pytest.mark.parametrize("body", [{"neither": 1}, {"candidates": 5}])
async def test_a_wrong_body_is_a_400_with_the_expected_one(
    http: aiohttp.ClientSession, base: str, body: dict[str, Any]
) -> None:
    async with http.post(f"{base}/v1/translate", json=body) as response:
        assert response.status == 400


async def test_without_chat_there_is_nothing_to_show(serve: Serve) -> None:
    with pytest.raises(ConfigError, match="plugin 'translate': it needs the plugin 'chat'"):
        await serve("plugins: {translate: {}}")
