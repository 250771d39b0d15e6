"""Below and around the application: parser errors, crashes, the log."""

import asyncio
import json
import os
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from gateway.observability.json_log import JsonLog
from gateway.observability.request_log import RequestLog
from gateway.plugins.hello import Hello
from tests.support.servers import Fake, Serve

CANARY = b"AIzaSyCanary0123456789"

RAW = {
    "no request line": b"\x00\x01\x02 " + CANARY + b"\r\n\r\n",
    "an odd method": b"BR@W / HTTP/1.1\r\nHost: " + CANARY + b"\r\n\r\n",
    "an odd version": b"GET / HTTP/9.9\r\nX: " + CANARY + b"\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\nK: " + CANARY + b"\r\n\r\n",
    "length and chunks": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\nK: " + CANARY + b"\r\n\r\n0\r\n\r\n",
    "a blank before the colon": b"GET / HTTP/1.1\r\nHost : " + CANARY + b"\r\n\r\n",
    "a long header": b"GET / HTTP/1.1\r\nHost: x\r\nA: " + CANARY * 1000 + b"\r\n\r\n",
    "a long line": b"GET /" + CANARY * 1000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS on the plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + CANARY + b"\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("name", RAW)
async def test_what_the_parser_refuses_is_answered_in_json_without_an_echo(
    gateway: str, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.rpartition(":")[2]))
    writer.write(RAW[name])
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")

    assert head.startswith((b"HTTP/1.0 4", b"HTTP/1.1 4"))
    assert b"Access-Control-Allow-Origin: *" in head
    assert json.loads(body)["error"]["type"] == "invalid_request_error"
    assert CANARY not in answer
    assert CANARY.decode() not in "".join(capfd.readouterr())


async def test_a_crash_is_a_500_without_details_and_a_trace_in_the_log(
    http: aiohttp.ClientSession, gateway: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[dict[str, object]] = []

    async def broken(_: Hello, request: web.Request) -> web.Response:
        raise RuntimeError(f"secret of {request.headers['Authorization']}")

    monkeypatch.setattr("gateway.plugins.hello._allowed_methods", broken)
    monkeypatch.setattr(JsonLog, "event", lambda _, name, **fields: lines.append({"event": name, **fields}))
    async with http.get(gateway + "/x") as response:
        text = await response.text()

    assert response.status == 500
    assert json.loads(text)["error"]["type"] == "server_error"
    assert "Error" in str(lines[0]["trace"])
    assert "test-key" not in text + str(lines)


async def test_a_request_id_is_kept_when_it_is_fit_to_be(http: aiohttp.ClientSession, gateway: str) -> None:
    for given, kept in (("abc-1", True), ("x" * 65, False), ("a b", False)):
        async with http.get(gateway + "/", headers={"x-request-id": given}) as response:
            assert (response.headers["x-request-id"] == given) is kept


@pytest.fixture
async def pipe() -> AsyncIterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


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


async def test_the_error_told_inside_a_stream_is_in_the_line(
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


async def test_lines_are_dropped_and_counted_when_nobody_reads(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.observability.json_log._MOST_WAITING", 3)
    log = JsonLog(pipe[1])
    told = []
    for count in (5, 4, 3):
        for i in range(count):
            log.event("test", number=i)
        await log.close()
        lines = [json.loads(line) for line in os.read(pipe[0], 10_000).splitlines()]
        told.append([line.get("number", line.get("count")) for line in lines])

    assert told == [[0, 1, 2, 2], [0, 1, 2, 1], [0, 1, 2]]
    assert log.dropped == 3


async def test_lines_wait_while_the_reader_is_stopped_and_none_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.observability.json_log._PAUSE", 0.0)
    reading, writing = os.pipe()
    log = JsonLog(writing)
    for i in range(400):  # more than a pipe holds
        log.exchange(RequestLog("id", "GET", "/" + "x" * 1000, requested_model="m" * 1000))
        if i % 100 == 0:
            await asyncio.sleep(0.01)
    closing = asyncio.create_task(log.close())
    data = b""
    while data.count(b"\n") < 400:
        data += await asyncio.to_thread(os.read, reading, 65536)
    await closing
    os.close(reading)
    os.close(writing)

    assert all(len(line) < 1000 for line in data.splitlines())


async def test_a_closed_log_harms_nobody() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    log = JsonLog(writing)
    log.event("lost")
    await log.close()
    os.close(writing)

    assert log.dropped == 0
