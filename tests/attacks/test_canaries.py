"""Planted secrets: 25 of them in every place of a request, and a search for them in whatever the gateway writes."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from time import time
from typing import Any

import aiohttp
import pytest
import redis.asyncio
from aiohttp import web

from gateway.config.admin import AdminConfig
from gateway.config.secret import Secret
from gateway.console.app import Admin
from gateway.plugin import SERVICES
from gateway.policy.clients.client_rules import Rules
from gateway.server.connection.listeners import listen_admin
from gateway.store.ledger import client_keys
from gateway.store.ledger.tables import open_engine
from tests.support.canaries import CANARIES, NAMED, forms, hits
from tests.support.fakegem import FakeGem, refusal, stream, whole
from tests.support.paths import ROOT
from tests.support.rawc import RawClient
from tests.support.redis_server import RedisServer, needs_redis
from tests.support.servers import Serve
from tests.support.surfaces import (
    CHAT,
    CHAT_STREAM,
    MESSAGES,
    MESSAGES_STREAM,
    NATIVE,
    RESPONSES,
    RESPONSES_STREAM,
)

PLANTED = {**CANARIES, **NAMED}
SURFACES = (CHAT, CHAT_STREAM, RESPONSES, RESPONSES_STREAM, MESSAGES, MESSAGES_STREAM, NATIVE)


@pytest.mark.row("A24")
def test_a24_the_search_finds_each_secret_in_each_form() -> None:
    assert len(PLANTED) == 25
    for secret in CANARIES.values():
        for form in forms(secret):
            assert hits(b"x" + form + b"y"), form
            assert hits(b"x" + form[: len(form) // 2] + b"y"), form
    assert hits(b"a log line without any secret, of GET /v1/models, and eyJhbGciOi") == []


class Collector:
    """Receives traces."""

    def __init__(self) -> None:
        self.received = b""

    async def take(self, request: web.Request) -> web.Response:
        self.received += await request.read()
        return web.Response()


class Sinks:
    """A gateway with a ledger, state, traces and an admin listener, and all that it writes."""

    def __init__(
        self, base: str, admin: str, folder: Path, collector: Collector, upstream: FakeGem, key: str
    ) -> None:
        self.base = base
        self.admin = admin
        self.upstream = upstream
        self.key = key
        self.collector = collector
        self.answers = b""
        """Heads and bodies that clients received, but for the contents of good answers."""
        self._folder = folder

    async def raw(self, base: str, data: bytes) -> None:
        """Send bytes and keep the answer."""
        async with await RawClient.open(base) as client, asyncio.timeout(60):
            client.writer.write(data)
            client.half_close()
            with suppress(ConnectionResetError):
                self.answers += await client.reader.read()

    async def post(self, path: str, body: Any, **headers: str) -> None:
        """Send a request, with the issued key unless there is another one, and keep the answer."""
        sent = {"Authorization": f"Bearer {self.key}", **headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items() if "\n" not in value)
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{lines}Connection: close\r\nContent-Length: {len(data)}\r\n\r\n"
        async with await RawClient.open(self.base) as client, asyncio.timeout(60):
            await client.send(head.encode("latin-1", "replace") + data)
            self.answers += await client.reader.read()

    def files(self) -> dict[str, bytes]:
        """Return the ledger and the state, with their write-ahead logs."""
        return {path.name: path.read_bytes() for path in self._folder.iterdir() if path.is_file()}


@pytest.fixture
def shared() -> str:
    """The setting of a Redis; none here."""
    return ""


@pytest.fixture
async def sinks(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: str
) -> AsyncIterator[Sinks]:
    upstream, collector = FakeGem(), Collector()
    await upstream.start()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"http://127.0.0.1:{port}/v1/traces")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    data = tmp_path / "data"
    data.mkdir()
    engine = open_engine(str(data / "ledger.db"), None)
    _, key = client_keys.issue(engine, "x", Rules(), time(), None)
    engine.dispose()
    serve.environ = {"KEY": CANARIES["google"], "TOKEN": CANARIES["openai"]}
    base = await serve(
        f"pool: {{projects: [{{name: a, keys: [{{env: KEY}}]}}]}}\nledger: {{url: {data}/ledger.db}}\n"
        f"state: {{file: {data}/state.db{shared}}}\nadmin: {{token: {{env: TOKEN}}}}\nstream: {{first_byte_grace: 1}}\n",
        upstream.url,
    )
    admin_app = Admin(lambda: serve.app[SERVICES], AdminConfig(Secret(CANARIES["openai"]))).app()
    admin = await listen_admin(admin_app, AdminConfig(port=0), [])
    assert admin is not None
    yield Sinks(base, f"http://127.0.0.1:{admin.addresses[0][1]}", data, collector, upstream, key)
    await admin.cleanup()
    await serve.stop()
    await runner.cleanup()
    await upstream.stop()


async def plant(sinks: Sinks, secret: str) -> None:
    """Put a secret into every place where a client could have put one by mistake."""
    line = secret.replace("\n", " ")
    path = secret.replace("\n", "%0A").replace(" ", "%20").replace("?", "%3F").replace("@", "%40")
    key = {"Authorization": f"Bearer {line}"}
    for surface in SURFACES:
        body = surface.body()
        await sinks.post(surface.path, body, **key)
        await sinks.post(surface.path, body, **{"x-api-key": line, "Authorization": "Basic x"})
        await sinks.post(surface.path, {**body, secret: 1, "user": 5})
        await sinks.post(surface.path, {**body, "model": secret})
        await sinks.post(surface.path, {**body, "model": f"gemini-{secret}"})
        await sinks.post(
            surface.path, {**body, "temperature": secret, "tool_choice": secret, "stop": {secret: 1}}
        )
        if (
            surface.name != "responses"
        ):  # a response repeats metadata and tools, which are the client's content
            await sinks.post(surface.path, {**body, "metadata": {secret: [secret]}})
            await sinks.post(
                surface.path, {**body, "tools": [{"type": secret, "function": {"name": secret}}]}
            )
        sinks.upstream.queue.append(
            refusal(400, "INVALID_ARGUMENT", f"Unknown name '{secret}' of key {secret}")
        )
        await sinks.post(surface.path, body)
        sinks.upstream.queue.append(refusal(403, "PERMISSION_DENIED", f"Your API key {secret} was refused"))
        await sinks.post(surface.path, body)
        if surface.name != "native":  # which passes a 200 on as it is
            sinks.upstream.queue.append(whole(secret.encode(), content_type="text/html"))
            await sinks.post(surface.path, body)
            failed = stream({"error": {"code": 400, "message": secret, "status": "X"}})
            sinks.upstream.queue.append([*failed, b"0\r\n\r\n"])
            await sinks.post(surface.path, body)
        sinks.upstream.queue.clear()
    for name in ("x-request-id", "Referer", "User-Agent", "traceparent", "tracestate", "Origin", "x-gateway-cache", "Cookie",
                 "Host", "Expect", "Content-Encoding", "Content-Type", "X-Forwarded-Proto", "Upgrade", "x-goog-api-client"):  # fmt: skip
        await sinks.post(CHAT.path, CHAT.body(), **{name: line})
    for target in (f"/v1/{path}", f"/{path}/v1/models", f"/v1/models/{path}", f"/v1beta/models/{path}:generateContent", f"/v1beta/files/{path}",
                   f"/v1/responses/{path}", f"/v1/chat/completions?key={path}", f"/v1beta/models?key={path}", f"/{path}"):  # fmt: skip
        await sinks.post(target, {})
        await sinks.raw(sinks.base, f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await sinks.post(RESPONSES.path, {**RESPONSES.body(), "previous_response_id": secret})
    for base in (sinks.base, sinks.admin):
        for head in ("GET / HTTP/9.9\r\nX: {}", "GET / HTTP/1.1\r\nHost : {}", "{} / HTTP/1.1\r\nHost: x", "GET /{} HTTP/1.1\r\nHost: x",
                     "GET /admin/keys HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}", "GET /admin/usage?by={} HTTP/1.1\r\nHost: x",
                     "DELETE /admin/keys/{} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + CANARIES["openai"],
                     "GET /admin/usage?by={}&since={} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + CANARIES["openai"]):  # fmt: skip
            await sinks.raw(base, (head.replace("{}", path) + "\r\n\r\n").encode())


async def assert_clean(sinks: Sinks, output: str) -> None:
    """Check every sink."""
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {CANARIES['openai']}"}) as http:
        pages = b""
        for page in (
            "/metrics",
            "/admin/keys",
            "/admin/pool",
            "/admin/usage?by=model,client,outcome,surface,project",
        ):
            async with http.get(sinks.admin + page) as response:
                assert response.status == 200
                pages += await response.read()
    found = {
        "standard error": output.encode(), "answers": sinks.answers, "admin pages and metrics": pages,
        "traces": sinks.collector.received, **sinks.files(),
    }  # fmt: skip
    assert sinks.collector.received
    assert b'"event":"exchange"' in found["standard error"]
    leaks = {name: hits(data) for name, data in found.items() if hits(data)}
    assert not leaks, json.dumps(leaks, indent=1)


@pytest.mark.row("A24")
@pytest.mark.parametrize(
    "kind",
    [
        name
        if name in ("google", "issued", "openai", "half encoded")
        else pytest.param(name, marks=pytest.mark.slow)
        for name in PLANTED
    ],
)
async def test_a24_a_planted_secret_is_in_no_sink(
    sinks: Sinks, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    await plant(sinks, PLANTED[kind])
    await asyncio.sleep(0.5)  # the log and the exporter of traces write a few times per second

    await assert_clean(sinks, "".join(capfd.readouterr()))


class TestRedis:
    """The same with the state in Redis."""

    @pytest.fixture
    async def shared(self, tmp_path: Path) -> AsyncIterator[str]:
        server = RedisServer(tmp_path)
        async with asyncio.timeout(60):
            while True:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
                    writer.close()
                    break
                await asyncio.sleep(0.02)
        yield f", redis: '{server.url}'"
        server.stop()

    @needs_redis
    @pytest.mark.slow
    @pytest.mark.row("A24")
    @pytest.mark.parametrize("kind", ["google", "issued", "bearer", "encoded"])
    async def test_a24_a_planted_secret_is_not_in_redis(
        self, sinks: Sinks, shared: str, kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        await plant(sinks, PLANTED[kind])
        async with redis.asyncio.Redis.from_url(shared.split("'")[1]) as client:
            await client.save()
        await asyncio.sleep(0.5)

        await assert_clean(sinks, "".join(capfd.readouterr()))
        dump = (tmp_path / "dump.rdb").read_bytes()
        assert b"gateway:" in dump
        assert hits(dump) == []


@pytest.mark.row("A24")
async def test_a24_the_process_shows_no_key_and_no_client_s_secret(tmp_path: Path) -> None:
    (tmp_path / "google").write_text(CANARIES["google"])
    (tmp_path / "admin").write_text(CANARIES["openai"])
    config = tmp_path / "gateway.yaml"
    config.write_text(
        "listen: {port: 0}\nadmin: {port: 0, token: {credential: admin}}\n"
        f"pool: {{projects: [{{name: a, keys: [{{credential: google}}]}}]}}\nledger: {{url: {tmp_path}/ledger.db}}\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "serve", "--config", str(config),
        cwd=ROOT, env={"PATH": os.environ["PATH"], "CREDENTIALS_DIRECTORY": str(tmp_path)}, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    line = ""
    async with asyncio.timeout(60):
        while "serving on" not in line:
            line = (await process.stderr.readline()).decode()
    base = line.partition("serving on ")[2].partition(",")[0].strip()
    for secret in CANARIES.values():
        for head in ("GET /v1/{}", "GET /?key={}", "{} /"):
            async with await RawClient.open(base) as client:
                await client.send(
                    f"{head.format(secret)} HTTP/1.1\r\nHost: {secret}\r\nX : {secret}\r\n\r\n".encode()
                )
                assert hits(await client.reader.read()) == []
    shown = b"".join(Path(f"/proc/{process.pid}/{name}").read_bytes() for name in ("cmdline", "environ"))
    process.terminate()
    rest = await process.stderr.read()
    await process.wait()

    assert b"gateway" in shown
    assert hits(shown) == []
    assert hits(line.encode() + rest) == []
