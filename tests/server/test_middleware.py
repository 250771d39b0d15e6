"""Request ids, crashes, and the log line of each request."""

import asyncio
import json
import os
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.observability.json_log import JsonLog
from gateway.plugins.hello import Hello
from tests.support.servers import Fake, Serve


async def test_a_crash_is_a_500_without_details_and_a_trace_in_the_log(
    http: aiohttp.ClientSession,
    gateway: str,
    event_lines: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(_: Hello, request: web.Request) -> web.Response:
        raise RuntimeError(f"secret of {request.headers['Authorization']}")

    monkeypatch.setattr("gateway.plugins.hello._allowed_methods", broken)
    async with http.get(gateway + "/x") as response:
        text = await response.text()

    assert response.status == 500
    assert json.loads(text)["error"]["type"] == "server_error"
    assert "Error" in str(event_lines[0]["trace"])
    assert "test-key" not in text + str(event_lines)


async def test_a_request_id_is_kept_when_it_is_fit_to_be(http: aiohttp.ClientSession, gateway: str) -> None:
    for value, kept in (("abc-1", True), ("x" * 65, False), ("a b", False)):
        async with http.get(gateway + "/", headers={"x-request-id": value}) as response:
            assert (response.headers["x-request-id"] == value) is kept


async def test_one_line_for_an_exchange_never_a_key_never_content(
    http: aiohttp.ClientSession,
    serve: Serve,
    fake: Fake,
    pipe: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.server.application.JsonLog", lambda: JsonLog(pipe[1]))
    monkeypatch.setattr("gateway.observability.json_log._PAUSE", 0.0)
    base = await serve("", fake.url)
    body = {
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": "my diary"}],
        "stream": True,
        "user": "me",
    }
    async with http.post(base + "/v1/chat/completions", json=body) as response:
        await response.read()
    text = await asyncio.to_thread(os.read, pipe[0], 10_000)
    line = json.loads(text)

    assert {k: line[k] for k in ("method", "path", "status", "model", "requested_model", "stream", "notes", "upstream_status", "attempts")} == {
        "method": "POST", "path": "/v1/chat/completions", "status": 200, "model": "gemini-flash-latest",
        "requested_model": "gpt-4o", "stream": True, "notes": ["user", "model"], "upstream_status": 200, "attempts": 1,
    }  # fmt: skip
    assert line["first_byte_ms"] <= line["duration_ms"]
    assert line["prompt_tokens"] == 2
    assert len(line["client"]) == 8
    assert b"test-key" not in text
    assert b"diary" not in text


async def test_an_error_inside_a_stream_is_in_the_line(
    http: aiohttp.ClientSession,
    serve: Serve,
    fake: Fake,
    pipe: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.server.application.JsonLog", lambda: JsonLog(pipe[1]))
    monkeypatch.setattr("gateway.observability.json_log._PAUSE", 0.0)
    base = await serve("", fake.url)
    body = {"messages": [{"role": "user", "content": "[[error midstream]]"}], "stream": True}
    async with http.post(base + "/v1/chat/completions", json=body) as response:
        await response.read()
    line = json.loads(await asyncio.to_thread(os.read, pipe[0], 10_000))

    assert (line["status"], line["error"], line["upstream_status"]) == (200, "overloaded", 503)
