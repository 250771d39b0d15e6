"""Request ids, crashes, and the log line of each request."""

import asyncio
import json
import os
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.observability.json_log import JsonLog
from gateway.observability.request_log import RequestLog
from gateway.plugins.hello.routes import Hello
from gateway.upstream.client import HOP
from tests.support.canaries import CANARIES
from tests.support.rawc import RawClient
from tests.support.servers import Fake, Serve
from tests.support.team import Team
from tests.support.waiting import eventually


async def test_a_crash_is_a_500_without_details_and_a_trace_in_the_log(
    http: aiohttp.ClientSession,
    gateway: str,
    event_lines: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(_: Hello, request: web.Request) -> web.Response:
        raise RuntimeError(f"secret of {request.headers['Authorization']}")

    monkeypatch.setattr("gateway.plugins.hello.routes._allowed_methods", broken)
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


CHAT = "/v1/chat/completions"
HELLO = {"messages": [{"role": "user", "content": "hello"}]}
AZURE = "/openai/deployments/gemini-2.5-pro/chat/completions"
NATIVE = "/v1beta/models/gemini-2.5-pro:generateContent"


Named = tuple[str | None, str | None]
"""The line's `model` and `requested_model`."""


async def refused_lines(
    team: Team, lines: list[RequestLog], key: str, requests: list[tuple[str, Any]], error: tuple[int, str]
) -> list[Named]:
    """Send requests that are refused. Return what their log lines name."""
    async with aiohttp.ClientSession(team.base, headers={"Authorization": f"Bearer {key}"}) as http:
        for path, body in requests:
            async with http.post(path, json=body) as response:
                await response.read()
            assert (lines[-1].status, lines[-1].error) == error, path
    return [(line.model, line.requested_model) for line in lines[-len(requests) :]]


async def test_the_line_of_a_request_over_its_key_s_limit_names_the_model(
    team: Team, request_lines: list[RequestLog]
) -> None:
    key = team.issue(requests_per_minute=1)
    await team.start("a")
    assert (await team.ask(key))[0] == 200
    requests: list[tuple[str, Any]] = [
        (CHAT, {**HELLO, "model": "gpt-4o"}),
        ("/v1/responses", {"input": "hello", "model": "gpt-4o"}),
        ("/v1/embeddings", {"input": "hello", "model": "ada"}),
        (AZURE, HELLO),
        (NATIVE, {"contents": []}),
        (CHAT, {**HELLO, "model": 1}),
        (CHAT, {**HELLO, "model": "x" * 200_000}),
        (CHAT, []),
    ]

    assert await refused_lines(team, request_lines, key, requests, (429, "rate_limit_exceeded")) == [
        (None, "gpt-4o"),
        (None, "gpt-4o"),
        (None, "ada"),
        (None, "gemini-2.5-pro"),
        ("gemini-2.5-pro", None),
        (None, None),
        (None, None),
        (None, None),
    ]


async def test_the_line_of_a_request_for_a_model_that_is_not_allowed_names_it(
    team: Team, request_lines: list[RequestLog]
) -> None:
    key = team.issue(models=("gemini-2.5-flash",))
    await team.start("a")
    requests: list[tuple[str, Any]] = [
        (CHAT, {**HELLO, "model": "gemini-2.5-pro"}),
        ("/v1/messages", {**HELLO, "model": "gemini-2.5-pro", "max_tokens": 9}),
        ("/v1/embeddings", {"input": "hello", "model": "ada"}),
        (NATIVE, {"contents": []}),
    ]

    assert await refused_lines(team, request_lines, key, requests, (403, "model_not_allowed")) == [
        (None, "gemini-2.5-pro"),
        (None, "gemini-2.5-pro"),
        (None, "ada"),
        ("gemini-2.5-pro", None),
    ]


async def test_the_line_of_a_request_with_a_wrong_key_names_the_model_of_its_path(
    team: Team, request_lines: list[RequestLog]
) -> None:
    await team.start("a")
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer sk-gw-wrong"}) as http:
        for path in (CHAT, AZURE, NATIVE):
            async with http.post(team.base + path, json=HELLO) as response:
                assert response.status == 401

    assert [(line.model, line.requested_model) for line in request_lines] == [
        (None, None), (None, "gemini-2.5-pro"), ("gemini-2.5-pro", None),
    ]  # fmt: skip


async def test_the_line_of_a_refusal_for_a_budget_names_project_and_model(
    team: Team, request_lines: list[RequestLog]
) -> None:
    key = team.issue(tokens={"day": 10})
    await team.start("a")
    await team.ask(key, "gpt-4o")

    (line,) = request_lines
    assert (line.status, line.error, line.project) == (429, "insufficient_quota", "a")
    assert (line.model, line.requested_model) == ("gemini-flash-latest", "gpt-4o")


@pytest.mark.row("A20", "C36")
@pytest.mark.parametrize(
    "host",
    ["a\\q", "\\g<0>", "a b", "a/b", "a@b", "a?b", "a#b", "", "[::1", "a:99999999", "a:b", "é", "a,b", "<script>", "a%00", "x" * 300],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/upload/v1beta/files", "/", "/healthz"])
async def test_a20_a_host_that_is_none_is_refused(gateway: str, host: str, path: str) -> None:
    async with await RawClient.open(gateway) as client:
        await client.send(
            f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer k\r\nContent-Length: 2\r\n\r\n{{}}".encode()
        )
        status, _, body = await client.response()

    assert status == 400
    assert json.loads(body)["error"]["code"] in ("invalid_host", "invalid_request")
    assert not host or host not in body.decode()


@pytest.mark.row("A20", "C36")
@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\n", 400),
        (b"GET /healthz HTTP/1.0\r\n", 200),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: a.example:8080\r\n", 200),
        (b"GET /healthz HTTP/1.1\r\nHost: [2001:db8::1]:8080\r\n", 200),
        (b"GET /healthz HTTP/1.1\r\nHost: my_service\r\n", 200),
    ],
)
async def test_a20_there_is_one_host(gateway: str, head: bytes, status: int) -> None:
    async with await RawClient.open(gateway) as client:
        await client.send(head + b"\r\n")

        assert (await client.response())[0] == status


@pytest.mark.row("A25")
@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions",
        "/v1/messages",
        "/v1beta/models/gemini-2.5-flash:generateContent",
        "/v1/embeddings",
    ],
)
async def test_a25_a_gateway_that_is_its_own_upstream_refuses_the_first_hop(
    http: aiohttp.ClientSession,
    serve: Serve,
    path: str,
    request_lines: list[RequestLog],
    unused_tcp_port: int,
) -> None:
    base = f"http://127.0.0.1:{unused_tcp_port}"
    await serve("plugins: {chat: {}, messages: {}, native: {}, embeddings: {}}", base)
    await web.TCPSite(serve._runners[-1], "127.0.0.1", unused_tcp_port).start()
    body = {
        "/v1/messages": {
            "model": "gemini-2.5-flash",
            "max_tokens": 5,
            "messages": [{"role": "user", "content": "x"}],
        },
        "/v1/embeddings": {"model": "gemini-embedding-001", "input": "x"},
        "/v1/chat/completions": {"messages": [{"role": "user", "content": "x"}]},
    }.get(path, {"contents": [{"parts": [{"text": "x"}]}]})
    async with http.post(base + path, json=body) as response:
        status, answer = response.status, await response.json()

    assert status == 508
    assert "its own request" in answer["error"]["message"]
    assert [line.status for line in request_lines] == [508, 508]  # the hop, and the request


@pytest.mark.row("A25")
async def test_a25_the_refusal_is_json(http: aiohttp.ClientSession, gateway: str) -> None:
    async with http.post(gateway + "/v1/chat/completions", json={}, headers={HOP: "1"}) as response:
        assert response.status == 508
        assert (await response.json())["error"]["code"] == "loop_detected"


@pytest.mark.row("A24", "C41")
@pytest.mark.parametrize("kind", CANARIES)
async def test_a24_a_request_id_that_is_a_key_is_replaced(
    http: aiohttp.ClientSession, gateway: str, kind: str
) -> None:
    async with http.get(gateway + "/healthz", headers={"x-request-id": CANARIES[kind]}) as response:
        assert response.headers["x-request-id"].startswith("req_")


@pytest.mark.row("A29")
@pytest.mark.parametrize("begun", [True, False], ids=["in mid-stream", "before the headers"])
async def test_a29_a_write_after_the_client_has_left_is_no_crash(
    http: aiohttp.ClientSession,
    gateway: str,
    event_lines: list[dict[str, Any]],
    request_lines: list[RequestLog],
    monkeypatch: pytest.MonkeyPatch,
    begun: bool,
) -> None:
    async def streams(request: web.Request) -> None:
        response = web.StreamResponse()
        if begun:
            await response.prepare(request)
        assert request.transport is not None
        request.transport.close()  # as when the client's FIN has arrived and the handler is not yet cancelled
        if not begun:
            await response.prepare(request)
        await response.write(b"x")

    monkeypatch.setattr("gateway.plugins.hello.routes._allowed_methods", streams)
    with pytest.raises(aiohttp.ClientError):
        await (await http.get(gateway + "/x")).read()
    await eventually(lambda: request_lines)

    assert {(line.status, line.error) for line in request_lines} == {(499, None)}  # aiohttp sends a GET again
    assert not event_lines


@pytest.mark.row("A29")
async def test_a29_a_connection_error_of_something_else_is_still_a_crash(
    http: aiohttp.ClientSession,
    gateway: str,
    event_lines: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(_: Hello, __: web.Request) -> web.Response:
        raise ConnectionResetError("of a database")

    monkeypatch.setattr("gateway.plugins.hello.routes._allowed_methods", broken)
    async with http.get(gateway + "/x") as response:
        assert response.status == 500

    assert [line["event"] for line in event_lines] == ["crash"]
