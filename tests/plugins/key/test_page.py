"""The page `/usage`."""

import json
import re

import aiohttp
import pytest

from gateway.plugins.key.page import TEXTS, page
from tests.support.servers import Serve


@pytest.mark.parametrize("lang", TEXTS)
def test_the_script_finds_each_word_that_it_shows(lang: str) -> None:
    text = page(lang).text or ""
    (block,) = re.findall(r'id="words">(.*?)</script>', text)
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)

    words = json.loads(block)
    assert set(words) == set(TEXTS["en"])
    assert set(re.findall(r"words\.(\w+)", script)) <= set(words)
    assert "innerHTML" not in script


async def test_the_page_is_served_and_can_be_turned_off(http: aiohttp.ClientSession, serve: Serve) -> None:
    base = await serve("plugins: {key: {}, hello: {}}")
    async with http.get(f"{base}/usage", headers={"Accept-Language": "zh-CN"}) as response:
        assert (response.status, response.content_type) == (200, "text/html")
        assert "connect-src 'self'" in response.headers["Content-Security-Policy"]
        assert "<title>用量</title>" in await response.text()

    base = await serve("plugins: {key: {page: false}, hello: {}}")
    async with http.get(f"{base}/usage") as response:
        assert await response.text() == "hello"
