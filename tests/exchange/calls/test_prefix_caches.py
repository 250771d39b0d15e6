"""What an exchange asks of the caches of prompts' beginnings."""

from typing import Any

import aiohttp
import pytest
from msgspec import structs

from gateway.errors import GatewayError
from gateway.exchange.context import RequestContext
from gateway.gemini.call import GeminiCall
from gateway.plugin import SERVICES
from tests.support.servers import Fake, RawUpstream, Serve, chunked

GOOD = b'data: {"candidates":[{"content":{"parts":[{"text":"hi"}]},"finishReason":"STOP"}]}\r\n\r\n'
WHOLE = GOOD[6:-4]


class Use:
    """Names one cache until it is refused."""

    def __init__(self, call: GeminiCall, events: list[str]) -> None:
        self.call, self.events, self._is_off = call, events, False

    def applied(self, call: GeminiCall, project: str) -> GeminiCall | None:
        self.events.append("applied")
        if self._is_off:
            return None
        return call.with_request(structs.replace(call.request, cached_content="cachedContents/a"))

    def refused(self, error: GatewayError) -> bool:
        self.events.append(f"refused {error.upstream_status}")
        is_first, self._is_off = not self._is_off, True
        return is_first

    def answered(self, project: str) -> None:
        self.events.append("answered")


class Caches:
    """Has a cache for every call."""

    least = 0

    def __init__(self) -> None:
        self.events: list[str] = []

    async def use(self, call: GeminiCall, context: RequestContext) -> Use:
        self.events.append("use")
        return Use(call, self.events)


def head(status: int, body: bytes) -> bytes:
    return (
        b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
        % (
            status,
            len(body),
            body,
        )
    )


async def ask(base: str, **fields: Any) -> tuple[int, str]:
    body = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "x"}], **fields}
    async with (
        aiohttp.ClientSession(headers={"Authorization": "Bearer AIza"}) as http,
        http.post(f"{base}/v1/chat/completions", json=body) as response,
    ):
        return response.status, await response.text()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_refused_cache_is_left_out_of_the_same_request(
    serve: Serve, raw_upstream: RawUpstream, stream: bool
) -> None:
    base = await serve("", raw_upstream.url)
    serve.app[SERVICES].exchange.prefixes = caches = Caches()
    good = [*chunked(GOOD), b"0\r\n\r\n"] if stream else [head(200, WHOLE)]
    raw_upstream.scripts = [[head(403, b'{"error":{"code":403,"message":"CachedContent not found"}}')], good]

    status, answer = await ask(base, stream=stream)

    assert (status, "hi" in answer) == (200, True), answer
    assert caches.events == ["use", "applied", "refused 403", "applied", "answered"]
    assert [b"cachedContents/a" in request for request in raw_upstream.requests] == [True, False]


async def test_an_answer_in_several_calls_names_the_same_cache_in_each(serve: Serve, fake: Fake) -> None:
    base = await serve("", fake.url)
    serve.app[SERVICES].exchange.prefixes = caches = Caches()

    status, answer = await ask(base, messages=[{"role": "user", "content": "[[hops 3]]"}])

    assert status == 200, answer
    assert fake.last.body["cachedContent"] == "cachedContents/a"
    assert caches.events == ["use", *["applied", "answered"] * 3]
