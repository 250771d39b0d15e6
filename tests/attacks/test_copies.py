"""What a client sends once and the gateway sends many times is held in the account, each copy before it is made."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.exchange.incoming.request_body import COPIES
from gateway.gemini import call
from gateway.gemini.wire import Blob, encode_request
from gateway.plugin import SERVICES
from gateway.policy.load.memory import MemoryAccount
from tests.support.servers import Serve
from tests.support.waiting import eventually

SIZE = 300_000
FILL = "a" * SIZE
MODEL = "gemini-2.5-flash"
ANSWER = {"candidates": [{"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP", "index": 0}]}
SEEDED = {"model": MODEL, "n": 8, "seed": 1, "messages": [{"role": "user", "content": FILL}]}
MULTIPLIED: dict[str, tuple[str, dict[str, Any]]] = {
    "the prompt of choices with seeds": ("/v1/chat/completions", SEEDED),
    "the same, streamed": ("/v1/chat/completions", {**SEEDED, "stream": True}),
    "the suffix of prompts": ("/v1/completions", {"model": MODEL, "prompt": [*"abcdefgh"], "suffix": FILL}),
    "the prompts of choices with seeds": (
        "/v1/completions",
        {"model": MODEL, "prompt": [FILL, "b"], "n": 4, "seed": 1},
    ),
}
"""Requests of eight calls."""
MISSING = "gemini-3-pro-preview"
LONG_TITLE = {"model": "gemini-embedding-001", "input": ["x"] * 400, "title": "\x01" * 2048}


class Upstream:
    """Answers once `together` calls have arrived, and notes what the account holds by then."""

    def __init__(self) -> None:
        self.together = 8
        self.url = ""
        self.bodies: list[bytes] = []
        self.account: MemoryAccount
        self.held = 0
        self._arrived = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if f"/{MISSING}:" in request.path:
            message = f"models/{MISSING} is not found for API version v1beta"
            return web.json_response({"error": {"code": 404, "message": message}}, status=404)
        self.bodies.append(await request.read())
        if len(self.bodies) == self.together:
            self.held = self.account.used
            self._arrived.set()
        await self._arrived.wait()
        if "stream" in request.path:
            data = b"data: " + json.dumps(ANSWER).encode() + b"\r\n\r\n"
            return web.Response(body=data, content_type="text/event-stream")
        if "batchEmbed" in request.path:
            return web.json_response({"embeddings": [{"values": [1.0]}] * 100})
        return web.json_response(ANSWER)


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    result = Upstream()
    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{path:.*}", result.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    result.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield result
    await runner.cleanup()


async def start(serve: Serve, upstream: Upstream, more: str = "") -> str:
    base = await serve(more, upstream.url)
    upstream.account = serve.app[SERVICES].memory
    return base


async def post(http: aiohttp.ClientSession, address: str, body: object) -> tuple[int, str]:
    async with http.post(address, json=body, headers={"Authorization": "Bearer k"}) as response:
        return response.status, await response.text()


@pytest.mark.row("A5")
@pytest.mark.parametrize("name", MULTIPLIED)
async def test_a05_every_copy_of_a_request_is_in_the_account(
    http: aiohttp.ClientSession, serve: Serve, upstream: Upstream, name: str
) -> None:
    path, body = MULTIPLIED[name]
    base = await start(serve, upstream)
    status, _ = await post(http, base + path, body)
    assert (status, len(upstream.bodies)) == (200, 8)
    sent = sum(map(len, upstream.bodies))
    assert sent > 4 * SIZE
    assert upstream.held >= sent + (COPIES - 1) * SIZE  # the body itself is held beside its calls
    await eventually(lambda: upstream.account.used == 0)  # the client has the end a moment before


@pytest.mark.row("A5")
@pytest.mark.parametrize("name", MULTIPLIED)
async def test_a05_copies_that_do_not_fit_are_refused_before_any_is_sent(
    http: aiohttp.ClientSession, serve: Serve, upstream: Upstream, name: str
) -> None:
    path, body = MULTIPLIED[name]
    base = await start(serve, upstream, f"limits: {{memory: {8 * SIZE}}}")
    other = upstream.account.open()
    other.take(1)
    status, text = await post(http, base + path, body)
    assert (status, "gateway_overloaded" in text, upstream.bodies) == (503, True, [])
    assert upstream.account.used == 1


@pytest.mark.row("A5")
async def test_a05_choices_that_ask_the_same_share_one_encoded_call(
    http: aiohttp.ClientSession, serve: Serve, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[int] = []

    def counted(request: Any) -> bytes:
        encoded.append(1)
        return encode_request(request)

    monkeypatch.setattr(call, "encode_request", counted)
    base = await start(serve, upstream)
    body = {key: value for key, value in SEEDED.items() if key != "seed"}
    status, _ = await post(http, base + "/v1/chat/completions", body)
    assert (status, len(upstream.bodies), len(encoded)) == (200, 8, 1)
    assert upstream.held < (COPIES + 1) * SIZE


@pytest.mark.row("A5")
async def test_a05_prompts_that_are_sent_once_take_no_more_than_their_body(
    http: aiohttp.ClientSession, serve: Serve, upstream: Upstream
) -> None:
    base = await start(serve, upstream)
    body = {"model": MODEL, "prompt": ["a" * (SIZE // 8)] * 8}
    status, _ = await post(http, base + "/v1/completions", body)
    assert (status, len(upstream.bodies)) == (200, 8)
    assert upstream.held < (COPIES + 1) * SIZE


@pytest.mark.row("A5")
async def test_a05_a_title_is_held_for_each_text(
    http: aiohttp.ClientSession, serve: Serve, upstream: Upstream
) -> None:
    upstream.together = 4
    base = await start(serve, upstream)
    status, _ = await post(http, base + "/v1/embeddings", LONG_TITLE)
    assert (status, len(upstream.bodies)) == (200, 4)
    assert upstream.held >= sum(map(len, upstream.bodies)) > 4_000_000
    assert upstream.account.used == 0


@pytest.mark.row("A5")
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"title": FILL}, "title"),
        ({"google": {"title": "t" * 2049}, "title": "x"}, "google.title"),
        ({"extra_body": {"google": {"title": FILL}}}, "extra_body.google.title"),
        ({"task_type": FILL}, "task_type"),
        ({"google": {"task_type": "ANYTHING"}}, "google.task_type"),
        ({"model": f"gemini-{FILL}"}, "model"),
    ],
)
async def test_a05_what_is_repeated_for_each_text_is_short(
    http: aiohttp.ClientSession, serve: Serve, upstream: Upstream, fields: dict[str, Any], param: str
) -> None:
    upstream.together = 4
    base = await start(serve, upstream)
    body = {"model": "gemini-embedding-001", "input": ["x"] * 400, **fields}
    status, text = await post(http, base + "/v1/embeddings", body)
    assert (status, json.loads(text)["error"]["param"], upstream.bodies) == (400, param, [])
    assert len(text) < 1000


@pytest.mark.row("A5")
@pytest.mark.parametrize("streamed", [False, True])
async def test_a05_an_echo_is_held_for_each_choice(
    http: aiohttp.ClientSession, serve: Serve, upstream: Upstream, streamed: bool
) -> None:
    base = await start(serve, upstream)
    body = {"model": MODEL, "prompt": FILL, "n": 8, "echo": True, "stream": streamed}
    status, text = await post(http, base + "/v1/completions", body)
    assert (status, text.count(FILL)) == (200, 8)
    assert upstream.held >= len(text) + COPIES * SIZE


@pytest.mark.row("A5")
async def test_a05_each_choice_that_falls_back_takes_its_other_call(
    http: aiohttp.ClientSession, serve: Serve, upstream: Upstream
) -> None:
    base = await start(serve, upstream, f"models: {{fallbacks: {{{MISSING}: [{MODEL}]}}}}")
    body = {**SEEDED, "model": MISSING, "seed": None}
    status, _ = await post(http, base + "/v1/chat/completions", body)
    assert (status, len(upstream.bodies)) == (200, 8)
    assert upstream.held >= sum(map(len, upstream.bodies)) + (COPIES - 1) * SIZE


@pytest.mark.row("A5")
@pytest.mark.parametrize("fits", [True, False])
async def test_a05_a_file_that_is_linked_twenty_times_is_held_twenty_times(
    http: aiohttp.ClientSession, serve: Serve, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, fits: bool
) -> None:
    upstream.together = 1
    base = await start(serve, upstream, "" if fits else f"limits: {{memory: {8 * SIZE}}}")
    other = upstream.account.open()
    other.take(1)

    async def fetch(urls: dict[str, str], _: object) -> dict[str, Blob]:
        return dict.fromkeys(urls, Blob("image/png", FILL))

    monkeypatch.setattr(serve.app[SERVICES].media, "fetch", fetch)
    part = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    body = {"model": MODEL, "messages": [{"role": "user", "content": [part] * 20}]}
    status, text = await post(http, base + "/v1/chat/completions", body)
    assert (status, "gateway_overloaded" in text) == ((200, False) if fits else (503, True))
    assert len(upstream.bodies) == fits
    assert not fits or upstream.held >= len(upstream.bodies[0]) > 20 * SIZE
