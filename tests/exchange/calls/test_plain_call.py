"""The plain call against the long way: whatever becomes of the first attempt, the client and the log see the same."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import aiohttp
import pytest
from msgspec import structs

from gateway.exchange import exchange
from gateway.observability.request_log import RequestLog
from gateway.plugin import SERVICES
from tests.support.servers import RawUpstream, Serve, chunked, whole
from tests.support.waiting import eventually

BODY = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "hi"}]}
Script = Sequence[bytes | asyncio.Event | None]


def answer(text: str = "hi", finish: str = "STOP", **more: Any) -> list[bytes | None]:
    candidate = {"content": {"parts": [{"text": text}]}, "finishReason": finish, **more}
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
    return whole(json.dumps({"candidates": [candidate], "usageMetadata": usage}).encode())


def refusal(code: int, status: str) -> list[bytes | None]:
    error = {"error": {"code": code, "message": "no", "status": status}}
    return whole(json.dumps(error).encode(), f"{code} No".encode())


OUTCOMES: dict[str, list[Script]] = {
    "a plain answer": [answer()],
    "another answer": [answer(groundingMetadata={})],
    "a filtered answer": [answer("", "SAFETY")],
    "an empty answer, then one": [answer(""), answer()],
    "empty answers": [answer("")],
    "no JSON": [whole(b"<html>")],
    "another type": [whole(b"<html>", kind=b"text/html")],
    "unavailable, then an answer": [refusal(503, "UNAVAILABLE"), answer()],
    "unavailable": [refusal(503, "UNAVAILABLE")],
    "a refusal": [refusal(400, "INVALID_ARGUMENT")],
    "a limit": [refusal(429, "RESOURCE_EXHAUSTED")],
    "no HTTP, then an answer": [[b"nonsense\r\n\r\n"], answer()],
    "a cut answer, then one": [chunked(b'{"candidates"', kind=b"application/json")[:2], answer()],
}


async def seen(
    serve: Serve, http: aiohttp.ClientSession, upstream: RawUpstream, scripts: list[Script], key: str
) -> tuple[Any, ...]:
    """Return what the client and Google see, and what is counted."""
    base = await serve("", upstream.url)
    upstream.scripts, upstream.requests = list(scripts), []
    headers = {"Authorization": f"Bearer {key}"}
    async with http.post(base + "/v1/chat/completions", json=BODY, headers=headers) as response:
        data = await response.json()
    data.pop("id", None), data.pop("created", None)
    statistics = serve.app[SERVICES].metrics.statistics
    return response.status, data, len(upstream.requests), dict(statistics.calls), dict(statistics.failures)


@pytest.mark.parametrize("name", OUTCOMES)
async def test_every_outcome_is_that_of_the_long_way(
    serve: Serve,
    http: aiohttp.ClientSession,
    raw_upstream: RawUpstream,
    monkeypatch: pytest.MonkeyPatch,
    request_lines: list[RequestLog],
    name: str,
) -> None:
    plain = await seen(serve, http, raw_upstream, OUTCOMES[name], "plain")
    monkeypatch.setattr(exchange, "is_plain", lambda *_: False)
    long = await seen(serve, http, raw_upstream, OUTCOMES[name], "long")
    await eventually(lambda: len(request_lines) == 2)

    assert plain == long
    assert plain[3] == {"gemini-2.5-flash": plain[2]}
    lines = [structs.replace(line, request_id="", client="", duration_ms=0.0) for line in request_lines]
    assert lines[0] == lines[1]


@pytest.mark.parametrize("is_plain", [True, False])
async def test_a_call_whose_client_leaves_is_counted(
    serve: Serve,
    http: aiohttp.ClientSession,
    raw_upstream: RawUpstream,
    monkeypatch: pytest.MonkeyPatch,
    request_lines: list[RequestLog],
    is_plain: bool,
) -> None:
    if not is_plain:
        monkeypatch.setattr(exchange, "is_plain", lambda *_: False)
    base = await serve("", raw_upstream.url)
    raw_upstream.scripts = [[asyncio.Event()]]
    task = asyncio.ensure_future(http.post(base + "/v1/chat/completions", json=BODY))
    await eventually(lambda: len(raw_upstream.requests) == 1)
    task.cancel()
    await eventually(lambda: len(request_lines) == 1)

    assert (request_lines[0].status, request_lines[0].attempts) == (499, 1)
    assert serve.app[SERVICES].metrics.statistics.calls == {"gemini-2.5-flash": 1}
