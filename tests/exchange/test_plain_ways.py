"""The plain ways through a whole gateway: Google, the client, the log and the ledger see what the long ways give."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from gateway.exchange import exchange
from gateway.exchange.incoming import request_body
from gateway.gemini.turn_reader import TurnReader
from gateway.observability.request_log import RequestLog
from gateway.plugin import SERVICES
from gateway.plugins.chat import plain_answer as chat_answer
from gateway.plugins.messages import plain_answer as messages_answer
from gateway.store.ledger.writer import Ledger
from tests.support.plain import ANSWERS, CHAT_REQUESTS, MESSAGES_REQUESTS, RESPONSES_REQUESTS
from tests.support.servers import Serve, upstream_of
from tests.support.team import Google, Team

REQUESTS = (
    st.tuples(st.just("/v1/chat/completions"), CHAT_REQUESTS)
    | st.tuples(st.just("/v1/messages"), MESSAGES_REQUESTS)
    | st.tuples(st.just("/v1/responses"), RESPONSES_REQUESTS)
)
_OWN = re.compile(rb'"(id|call_id|tool_use_id|created|created_at|completed_at|request_id)":("[^"]*"|\d+)')
"""Fields that differ between two answers to the same request, unless Gemini's id is one of them."""
_OWN_HEADERS = ("date", "x-request-id", "request-id", "content-length")
GOOD = b'{"candidates":[{"content":{"parts":[{"text":"hi"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2}}'  # fmt: skip
ANSWERED = [
    GOOD,
    GOOD.replace(b'"promptTokenCount":3,', b""),
    GOOD.replace(b"promptTokenCount", b"totalTokenCount"),
    GOOD.replace(
        b'"usageMetadata":{', b'"modelVersion":"gemini-2.5-pro","usageMetadata":{"serviceTier":"priority",'
    ),
    GOOD.replace(
        b'"usageMetadata":{', b'"usageMetadata":{"cachedContentTokenCount":2,"thoughtsTokenCount":900,'
    ),
    GOOD.replace(b'"STOP"', b'"MAX_TOKENS"'),
    GOOD.replace(b'"STOP"', b'"SAFETY"'),
    GOOD.replace(b'"STOP"', b'"STOP","groundingMetadata":{"webSearchQueries":["a","b"]}'),
    GOOD.partition(b',"usageMetadata"')[0] + b"}",
]
"""Answers that are not tried again: a failure changes what follows for a client."""


def examples(strategy: st.SearchStrategy[Any], number: int) -> list[Any]:
    """Return generated values: a running gateway can only be asked by a coroutine."""
    values: list[Any] = []

    @settings(max_examples=number, database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def collect(value: Any) -> None:
        values.append(value)

    collect()
    return values


@contextmanager
def long_ways() -> Iterator[None]:
    """Close the plain ways."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(request_body, "MOST_BYTES", -1)
        patch.setattr(exchange, "is_plain", lambda *_: False)
        patch.setattr(TurnReader, "takes_answer", property(lambda _: False))
        patch.setattr(chat_answer, "completion", lambda *_: None)
        patch.setattr(messages_answer, "complete", lambda *_: False)
        yield


class Seen(Google):
    """What everybody sees of one request."""

    def __init__(self) -> None:
        super().__init__()
        self.google: list[tuple[str, bytes]] = []
        self.body = GOOD

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.google.append((request.path_qs, await request.read()))
        return web.Response(body=self.body, content_type="application/json")

    async def ask(
        self,
        http: aiohttp.ClientSession,
        base: str,
        path: str,
        body: bytes,
        key: str,
        lines: list[RequestLog],
    ) -> tuple[Any, ...]:
        """Return the calls, the answer, and the log record, without times and ids."""
        self.google.clear()
        lines.clear()
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        async with http.post(base + path, data=body, headers=headers) as response:
            text = _OWN.sub(b"", await response.read())
            heads = {
                name: value
                for name, value in response.headers.items()
                if name.lower() not in _OWN_HEADERS and not name.lower().startswith("x-ratelimit")
            }
        while not lines:
            await asyncio.sleep(0)
        record = structs.replace(lines[0], request_id="", duration_ms=0.0, client="", first_byte_ms=None)
        return list(self.google), response.status, text, heads, record


async def compare(serve: Serve, server: Any, lines: list[RequestLog], number: int) -> None:
    """Compare both ways of some requests, each by clients of its own: a failure changes what follows for a client."""
    seen = Seen()
    base = await serve("", await upstream_of(server, seen.answer))
    learned = serve.app[SERVICES].exchange.accounting.prices.successors.learned
    pairs = examples(st.tuples(REQUESTS, ANSWERS), number)
    async with aiohttp.ClientSession() as http:
        for i, ((path, body), answer) in enumerate(pairs):
            seen.body = answer
            learned.clear()
            plain = await seen.ask(http, base, path, body, f"plain-{i}", lines)
            learned.clear()
            with long_ways():
                long = await seen.ask(http, base, path, body, f"long-{i}", lines)
            assert plain == long, (body, answer)


async def test_both_ways_through_a_gateway_are_equal(
    serve: Serve, aiohttp_server: Callable[..., Awaitable[TestServer]], request_lines: list[RequestLog]
) -> None:
    await compare(serve, aiohttp_server, request_lines, 40)


@pytest.mark.slow
async def test_both_ways_of_2_000_requests_through_a_gateway_are_equal(
    serve: Serve, aiohttp_server: Callable[..., Awaitable[TestServer]], request_lines: list[RequestLog]
) -> None:
    await compare(serve, aiohttp_server, request_lines, 2_000)


@pytest.fixture
async def google() -> Google:
    return Seen()


async def test_both_ways_reserve_and_settle_the_same(
    serve: Serve,
    team: Team,
    google: Seen,
    monkeypatch: pytest.MonkeyPatch,
    request_lines: list[RequestLog],
) -> None:
    written: list[Any] = []
    begin, settle = Ledger.begin, Ledger.settle

    async def watched_begin(self: Ledger, intent: Any) -> None:
        written.append(structs.replace(intent, id="", at=0.0, request_id=""))
        await begin(self, intent)

    async def watched_settle(self: Ledger, settlement: Any) -> None:
        written.append(structs.replace(settlement, id="", at=0.0, first_byte_ms=0, duration_ms=0))
        await settle(self, settlement)

    monkeypatch.setattr(Ledger, "begin", watched_begin)
    monkeypatch.setattr(Ledger, "settle", watched_settle)
    key = team.issue(tokens_per_minute=10**9, dollars={"day": 1000})
    await team.start("a")
    learned = serve.app[SERVICES].exchange.accounting.prices.successors.learned
    calls = 0
    async with aiohttp.ClientSession() as http:
        usual = (
            "/v1/chat/completions",
            b'{"model":"gemini-2.5-flash","messages":[{"role":"user","content":"hi"}]}',
        )
        asked = [(usual, answer) for answer in ANSWERED]
        for (path, body), answer in asked + examples(st.tuples(REQUESTS, st.sampled_from(ANSWERED)), 30):
            google.body = answer
            learned.clear()
            plain = await google.ask(http, team.base, path, body, key, request_lines), list(written)
            calls += len(written)
            written.clear()
            learned.clear()
            with long_ways():
                long = await google.ask(http, team.base, path, body, key, request_lines), list(written)
            written.clear()
            assert plain == long, (body, answer)
    assert calls >= 2 * len(ANSWERED)
