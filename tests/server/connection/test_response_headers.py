"""Whole answers: written in one go, with the very bytes that aiohttp would write."""

import asyncio
import re
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.exchange.context import RequestContext
from gateway.exchange.hooks import HookOptions
from gateway.exchange.replies.delivery import json_response
from gateway.exchange.report import ExchangeReport
from gateway.gemini.request_json import JsonObject
from gateway.plugin import Plugin
from gateway.policy.clients.rate_limits import Window, WindowState
from gateway.server.connection import response_headers
from gateway.server.connection.response_headers import ResponseHeaders
from gateway.server.process.lifecycle import DRAIN
from tests.support.hooks import install
from tests.support.servers import Fake, Serve

CHAT = b'{"model": "gpt-4o", "user": "me", "messages": [{"role": "user", "content": "hello"}]}'
_LAST = re.compile(rb"Length: 9\r|Connection: close|HTTP/1.0(?!.*keep-alive)", re.DOTALL)
"""Requests that nothing may follow."""
STREAM = (
    b'{"model": "gpt-4o", "user": "me", "stream": true, "messages": [{"role": "user", "content": "hello"}]}'
)
MESSAGES = (
    b'{"model": "m", "max_tokens": 9, "stream": true, "messages": [{"role": "user", "content": "hello"}]}'
)
AFTER = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
"""Sent behind each request: its answer tells whether the connection was kept."""
_VARYING = (
    (re.compile(rb"\r\nDate: [^\r]+"), b"\r\nDate: now"),
    (re.compile(rb"x-request-id: req_\w+"), b"x-request-id: next"),
    (re.compile(rb"chatcmpl-[\w-]+"), b"chatcmpl-x"),
    (re.compile(rb'"created":\d+'), b'"created":0'),
    (re.compile(rb'"id":"msg_[^"]+"'), b'"id":"msg_x"'),
)


class Odd(Plugin):
    """Does to a response what a plugin may do."""

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/small", self.small), web.post("/unread", self.small), web.get("/late", self.late)]

    async def small(self, request: web.Request) -> web.Response:
        return json_response(b"{}", {"Cache-Control": "no-store"}, int(request.query.get("status", "200")))

    async def late(self, _: web.Request) -> web.Response:
        return json_response(b"{}", {"x-acme": "1"})

    async def around(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        if not isinstance(response, web.Response):
            return response
        match request.headers.get("x-odd"):
            case "header":
                response.headers["x-gateway-model"] = "mine"
            case "cookie":
                response.set_cookie("a", "b")
            case "status":
                response.set_status(201, "Odd")
            case "reason":
                response.set_status(200, "Fine")
            case "close":
                response.force_close()
            case "compression":
                response.enable_compression(web.ContentCoding.deflate)
            case "body":
                response.body = b"[1]"
            case "text":
                response.text = "[2]"
            case "none":
                response.body = None
        return response


class Hooked(Plugin):
    """Sets a header by a hook, where the request asks for it."""

    Config = HookOptions

    async def on_request(self, body: JsonObject, context: RequestContext) -> None:
        if "x-odd" in context.headers:
            context.response_headers["x-acme"] = "1"


def post(
    *headers: str, body: bytes = CHAT, path: str = "/v1/chat/completions", version: str = "1.1"
) -> bytes:
    """Return a request with a body."""
    lines = [
        f"POST {path} HTTP/{version}",
        "Host: a",
        "Authorization: Bearer k",
        "x-request-id: r-1",
        *headers,
    ]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def get(path: str, *headers: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: a", *headers, "", ""]).encode()


class Case(NamedTuple):
    """A request, whether its answer takes the short way, and the configuration."""

    request: bytes
    is_short: bool
    config: str = ""
    is_draining: bool = False
    is_hooked: bool = False
    is_short_stream: bool = False


CASES = {
    "chat": Case(post(), True),
    "an error": Case(post(body=b"{}"), False),
    "no JSON": Case(post(body=b"x"), False),
    "HTTP/1.0": Case(post(version="1.0"), False),
    "HTTP/1.0, kept": Case(post("Connection: keep-alive", version="1.0"), False),
    "close": Case(post("Connection: close"), False),
    "keep-alive": Case(post("Connection: keep-alive"), True),
    "a page": Case(post("Origin: https://good.example"), False),
    "a page that is not allowed": Case(post("Origin: https://bad.example"), False, "cors: {origins: ['https://good.example']}"),
    "restricted origins": Case(post(), False, "cors: {origins: ['https://good.example']}"),
    "the cache": Case(post("x-gateway-cache: 60"), True, "cache: {seconds: 60}"),
    "an expectation": Case(post("Expect: 100-continue"), True),
    "draining": Case(post(), False, is_draining=True),
    "a hook": Case(post(), True, "", is_hooked=True),
    "a hook's header": Case(post("x-odd: 1"), False, "", is_hooked=True),
    "a stream": Case(post(body=STREAM), False, is_short_stream=True),
    "a stream for HTTP/1.0": Case(post(body=STREAM, version="1.0"), False),
    "a stream to close": Case(post("Connection: close", body=STREAM), False),
    "a stream for a page": Case(post("Origin: https://good.example", body=STREAM), False),
    "a stream, restricted origins": Case(post(body=STREAM), False, "cors: {origins: ['https://good.example']}"),
    "a stream, draining": Case(post(body=STREAM), False, is_draining=True),
    "a stream with hooks": Case(post(body=STREAM), False, is_hooked=True, is_short_stream=True),
    "a stream with a hook's header": Case(post("x-odd: 1", body=STREAM), False, is_hooked=True),
    "a stream of Messages": Case(post(body=MESSAGES, path="/v1/messages"), False, is_short_stream=True),
    "a small one": Case(get("/small"), True),
    "its head": Case(get("/small", method="HEAD"), False),
    "a created one": Case(get("/small?status=201"), False),
    "no body": Case(get("/small?status=204"), False),
    "another header": Case(get("/late"), False),
    "an unread body": Case(post(path="/unread"), True),
    "a body that is not sent": Case(post("Expect: 100-continue", path="/unread", body=b"").replace(b"Length: 0", b"Length: 9"), False),
    "a changed header": Case(get("/small", "x-odd: header"), False),
    "a cookie": Case(get("/small", "x-odd: cookie"), False),
    "a status": Case(get("/small", "x-odd: status"), False),
    "a reason": Case(get("/small", "x-odd: reason"), False),
    "a closed connection": Case(get("/small", "x-odd: close"), False),
    "compression": Case(get("/small", "x-odd: compression"), False),
    "another body": Case(get("/small", "x-odd: body"), True),
    "a text": Case(get("/small", "x-odd: text"), False),
    "a removed body": Case(get("/small", "x-odd: none"), False),
}  # fmt: skip


async def answer(base: str, request: bytes) -> bytes:
    """Return all that a connection brings for a request and the one behind it, until it is closed."""
    url = urlsplit(base)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(request if _LAST.search(request) else request + AFTER)
    async with asyncio.timeout(30):
        data = await reader.read()
    writer.close()
    for pattern, constant in _VARYING:
        data = pattern.sub(constant, data)
    return data


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, odd=Odd, hooked=Hooked)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each whole JSON answer, whether it was written in one go."""
    results: list[bool] = []
    write = ResponseHeaders.write

    def noted(*arguments: Any) -> bool:
        results.append(write(*arguments))
        return results[-1]

    monkeypatch.setattr(ResponseHeaders, "write", noted)
    return results


@pytest.fixture
def heads(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each stream, whether its head was made in the short way."""
    results: list[bool] = []
    of_stream = ResponseHeaders.of_stream

    def noted(*arguments: Any) -> dict[str, str] | None:
        headers = of_stream(*arguments)
        results.append(headers is not None)
        return headers

    monkeypatch.setattr(ResponseHeaders, "of_stream", noted)
    return results


@pytest.mark.usefixtures("odd")
@pytest.mark.parametrize("name", CASES)
async def test_the_short_way_writes_what_aiohttp_writes(
    serve: Serve,
    fake: Fake,
    short: list[bool],
    heads: list[bool],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    case = CASES[name]
    hooked = ", hooked: {}" if case.is_hooked else ""
    text = f"plugins: {{odd: {{}}, chat: {{}}, messages: {{}}, health: {{}}{hooked}}}\n{case.config}"
    base = await serve(text, fake.url)
    serve.app[DRAIN].draining = case.is_draining
    ours = await answer(base, case.request)
    assert (short[:1] == [True]) is case.is_short
    assert heads == [case.is_short_stream] * len(heads)
    assert heads or not case.is_short_stream

    monkeypatch.setattr("gateway.server.connection.protocol.Dispatcher", lambda app: app._handle)
    monkeypatch.setattr(ResponseHeaders, "write", lambda *_: False)
    monkeypatch.setattr(ResponseHeaders, "of_stream", lambda *_: None)
    base = await serve(text, fake.url)
    serve.app[DRAIN].draining = case.is_draining

    assert ours == await answer(base, case.request)


@pytest.mark.usefixtures("odd")
async def test_a_whole_answer_is_one_write(serve: Serve, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[bytes] = []
    base = await serve("plugins: {chat: {}, health: {}}", fake.url)
    transport: Any = asyncio.selector_events._SelectorSocketTransport  # type: ignore[attr-defined]
    write = transport.write

    def noted(self: Any, data: bytes) -> None:
        if self.get_extra_info("sockname")[1] == urlsplit(base).port:
            writes.append(data)
        write(self, data)

    monkeypatch.setattr(transport, "write", noted)
    data = await answer(base, post())

    head, _, rest = data.partition(b"\r\n\r\n")
    assert len(writes) == 2  # and the answer to the request behind it
    assert (writes[0].startswith(b"HTTP/1.1 200 OK"), writes[0].endswith(b"}")) == (True, True)
    assert b"x-gateway-notes: user,model\r\nContent-Length: " in head + rest


@pytest.mark.usefixtures("odd")
async def test_another_function_that_changes_responses_is_called(serve: Serve, short: list[bool]) -> None:
    """aiohttp's signal `on_response_prepare` is for whoever builds the application, too."""
    from gateway.server.connection import protocol

    async def add(_: web.Request, response: web.StreamResponse) -> None:
        response.headers["x-mine"] = "1"

    class Runner(protocol.Runner):
        def __init__(self, app: web.Application, *others: Any) -> None:
            app.on_response_prepare.append(add)
            super().__init__(app, *others)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.support.servers.Runner", Runner)
        base = await serve("plugins: {odd: {}}")
    data = await answer(base, get("/small"))

    assert b"\r\nx-mine: 1\r\n" in data
    assert short == [False]


@pytest.mark.usefixtures("odd")
async def test_a_header_that_would_end_the_head_is_a_crash_and_is_not_sent(
    serve: Serve, event_lines: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def split(*_: Any) -> web.Response:
        return json_response(b"{}", {"x-gateway-model": "a\r\nx-b: c"})

    monkeypatch.setattr(Odd, "small", split)
    base = await serve("plugins: {odd: {}, health: {}}")
    data = await answer(base, get("/small"))

    assert data.startswith(b"HTTP/1.1 500 ")
    assert b"x-b" not in data
    assert [line["event"] for line in event_lines] == ["crash"]


@pytest.mark.parametrize("cached", [None, "miss"])
@pytest.mark.parametrize("limits", [0, 1, 2])
def test_the_end_of_a_head_has_the_headers_of_all_answers(
    monkeypatch: pytest.MonkeyPatch, cached: str | None, limits: int
) -> None:
    monkeypatch.setattr(response_headers, "rfc822_formatted_time", lambda: "now")
    states = (
        WindowState(Window("requests", 60, 60), 59, 1.5),
        WindowState(Window("tokens", 900, 86400), 7, 4000.25),
    )
    report = ExchangeReport(limits=states[:limits], cached=cached)
    context = RequestContext("req_1", "POST", "/", 0.0, report)

    lines = (f"{name}: {value}\r\n" for name, value in response_headers._added({}, context).items())
    assert response_headers._end(context) == "".join(lines) + "\r\n"
