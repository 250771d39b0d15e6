"""Cached contents: their life by Google's SDK, what a prompt that names one counts, and refusals."""

import asyncio
from typing import Any

import aiohttp
import pytest
from google import genai

from tests.support.emulator import call
from tests.support.servers import Fake

M = "gemini-2.5-flash"
LONG = "word " * 1000
CONTENTS = [{"parts": [{"text": LONG}]}]
BODY = {"model": f"models/{M}", "ttl": "60s", "contents": CONTENTS}


async def test_googles_sdk_makes_changes_uses_and_deletes_one(fake: Fake) -> None:
    def use() -> Any:
        client = genai.Client(api_key="k", http_options={"base_url": fake.url})
        cache = client.caches.create(model=M, config={"contents": LONG, "ttl": "60s", "display_name": "d"})
        name = str(cache.name)
        later = client.caches.update(name=name, config={"ttl": "7200s"})
        answer = client.models.generate_content(model=M, contents="hi", config={"cached_content": name})
        listed = [entry.name for entry in client.caches.list(config={"page_size": 1})]
        client.caches.delete(name=name)
        return cache, later, answer, listed, list(client.caches.list())

    cache, later, answer, listed, left = await asyncio.to_thread(use)
    assert (cache.model, cache.display_name, listed, left) == (f"models/{M}", "d", [cache.name], [])
    assert cache.usage_metadata.total_token_count == 1250
    assert (later.expire_time - cache.expire_time).total_seconds() > 7000
    usage = answer.usage_metadata
    assert (usage.cached_content_token_count, usage.prompt_token_count) == (1250, 1251)
    assert usage.total_token_count == 1251 + usage.candidates_token_count


async def test_one_of_another_key_or_model_is_refused(http: aiohttp.ClientSession, fake: Fake) -> None:
    status, cache = await call("POST", f"{fake.url}/v1beta/cachedContents", BODY)
    assert (status, "ttl" in cache) == (200, False)
    prompt = {"contents": [{"parts": [{"text": "x"}]}], "cachedContent": cache["name"]}
    status, answer = await call("POST", f"{fake.url}/v1beta/models/gemini-2.5-pro:generateContent", prompt)

    models = "models/gemini-2.5-pro", "models/gemini-2.5-flash"
    message = "Model used by GenerateContent request ({}) and CachedContent ({}) has to be the same."
    assert (status, answer["error"]["message"]) == (400, message.format(*models))
    for method, url, body in (
        ("GET", cache["name"], None),
        ("PATCH", cache["name"], {"ttl": "9s"}),
        ("DELETE", cache["name"], None),
        ("POST", f"models/{M}:generateContent", prompt),
    ):
        headers = {"x-goog-api-key": "other"}
        async with http.request(method, f"{fake.url}/v1/{url}", json=body, headers=headers) as response:
            assert response.status == 403
            assert (await response.json())["error"][
                "message"
            ] == "CachedContent not found (or permission denied)"


async def test_one_that_has_expired_is_not_found(fake: Fake) -> None:
    _, cache = await call("POST", f"{fake.url}/v1beta/cachedContents", {**BODY, "ttl": "0s"})
    prompt = {"contents": [{"parts": [{"text": "x"}]}], "cachedContent": cache["name"]}

    assert (await call("POST", f"{fake.url}/v1beta/models/{M}:generateContent", prompt))[0] == 403


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"model": None}, 400, "model"), ({"model": "models/none"}, 404, "models/none"),
        ({"contents": [{"parts": [{"text": "short"}]}]}, 400, "Cached content is too small. total_token_count=2, min_total_token_count=1024"),
        ({"model": "models/gemini-2.5-pro"}, 400, "min_total_token_count=4096"), ({"ttl": "1h"}, 400, "ttl"),
        ({"expireTime": "tomorrow"}, 400, "expire_time"), ({"ttl": 5}, 400, "ttl"),
        ({"contents": [{"parts": [{"text": LONG, "API key not valid": 1}]}]}, 400, 'Unknown name "API key not valid"'),
    ],
)  # fmt: skip
async def test_it_refuses_what_google_refuses(fake: Fake, changes: Any, status: int, words: str) -> None:
    body = {name: value for name, value in {**BODY, **changes}.items() if value is not None}
    code, answer = await call("POST", f"{fake.url}/v1beta/cachedContents", body)

    assert (code, words in answer["error"]["message"]) == (status, True), answer


async def test_a_key_is_needed(http: aiohttp.ClientSession, fake: Fake) -> None:
    for method in ("GET", "POST"):
        async with http.request(method, f"{fake.url}/v1/cachedContents", json=BODY) as response:
            assert response.status == 403
