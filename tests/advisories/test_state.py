"""Advisories about configuration and state: failing open, reloads that break streams, memory that grows, CORS, addresses."""

import asyncio
import functools
import gc
import json
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from gateway.cli.main import main
from gateway.config.admin import AdminConfig
from gateway.config.secret import Secret
from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.console.app import Admin
from gateway.conversation import declarations
from gateway.conversation.declarations import KNOWN as DECLARATIONS
from gateway.exchange.incoming.client_address import client_address
from gateway.gemini.schemas.known_schemas import KNOWN, MOST_BYTES
from gateway.observability.recent import RecentRequests
from gateway.plugin import SERVICES
from gateway.server.application import build_app
from gateway.server.process.reload import AppSwitcher
from tests.advisories.test_routes import ALL_PLUGINS, MATRIX
from tests.advisories.wire import canary
from tests.support.hostile import Bench
from tests.support.servers import Fake, RawUpstream, Serve, ok
from tests.support.team import Google, Team, refused

CHAT = "/v1/chat/completions"
BODY: dict[str, Any] = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "x"}]}


class ServesError(Exception):
    """The process began to serve."""


async def _serves(*_: object) -> int:
    raise ServesError


OPEN_FAILURES = [
    "admin: {port: 0, token: {env: MISSING}}", "admin: {port: 0, token: {env: EMPTY}}", "admin: {port: 0, token: {credential: gone}}",
    "admin: {port: 0, token: {credential: folder}}", "admin: {port: 0, token: {credential: bytes}}", "admin: {port: 0, token: null2}",
    "admin: {port: 0, token: }\npool: {projects: [{name: a, keys: []}]}", "pool: {projects: [{name: a, keys: [{env: MISSING}]}]}",
    "pool: {projects: [{name: a}]}", "pool: {projects: [{name: a, keys: [{env: BLANK}]}]}", "auth: {passthrough: false}",
    "auth: {passthrough: 'no'}", "ledger: {url: 'postgresql://h/d', password: {env: MISSING}}",
    "state: {redis: 'redis://h/0', redis_password: {credential: gone}}", "auth: {pasthrough: false}", "auth:\n  - passthrough: false",
]  # fmt: skip


@pytest.mark.row("S23", "S38")
@pytest.mark.parametrize("text", OPEN_FAILURES)
def test_s23_what_guards_the_gateway_is_there_or_it_does_not_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    credentials = tmp_path / "credentials"
    (credentials / "folder").mkdir(parents=True)
    (credentials / "bytes").write_bytes(b"\xff\xfe\x00")
    file = tmp_path / "gateway.yaml"
    file.write_text(text)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.setenv("BLANK", " \t\n")
    monkeypatch.delenv("MISSING", raising=False)
    monkeypatch.setattr("gateway.server.process.serving._serve", _serves)

    assert main(["serve", "--config", str(file), "--listen", "127.0.0.1:0"]) == 78
    assert f"{file}:" in capsys.readouterr().err


@pytest.mark.row("S23")
def test_s23_the_same_configuration_without_its_fault_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "gateway.yaml"
    pool = "pool: {projects: [{name: a, keys: [{env: KEY}]}]}"
    file.write_text(f"admin: {{port: 0, token: {{env: TOKEN}}}}\n{pool}\nledger: {{url: {tmp_path}/l.db}}")
    monkeypatch.setenv("TOKEN", canary("adm-"))
    monkeypatch.setenv("KEY", canary())
    monkeypatch.setattr("gateway.server.process.serving._serve", _serves)

    with pytest.raises(ServesError):
        main(["serve", "--config", str(file), "--listen", "127.0.0.1:0"])


@pytest.mark.row("S23", "S30")
async def test_s23_without_a_token_the_admin_api_is_closed(serve: Serve, aiohttp_client: Any) -> None:
    await serve()
    client = await aiohttp_client(Admin(lambda: serve.app[SERVICES], AdminConfig()).app())
    for value in ("", "Bearer ", "Bearer None", "Bearer null", "Bearer x"):
        for path in ("/admin/keys", "/admin/pool", "/admin/usage"):
            async with client.get(path, headers={"Authorization": value} if value else {}) as response:
                assert response.status == 401


class Endless:
    """An upstream whose streams go on until they are told to end."""

    def __init__(self) -> None:
        self.end = asyncio.Event()
        self.running = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b'data: {"candidates":[{"content":{"parts":[{"text":"a"}]}}]}\r\n\r\n')
        self.running += 1
        await self.end.wait()
        await response.write(
            b'data: {"candidates":[{"content":{"parts":[{"text":"z"}]},"finishReason":"STOP"}]}\r\n\r\n'
        )
        return response


async def _reloads(aiohttp_server: Any, times: int) -> None:
    upstream = Endless()
    app = web.Application()
    app.router.add_post("/{path:.*}", upstream.answer)
    url = str((await aiohttp_server(app)).make_url("")).rstrip("/")
    keys = {"KEY": canary()}

    def load() -> tuple[GatewayConfig, Source]:
        text = f"listen: {{port: 0}}\nupstream: {{base_url: '{url}'}}\nlogging: {{exchanges: false}}\nplugins: {{chat: {{}}}}"
        source = Source(text, "g.yaml", keys)
        return source.decode(GatewayConfig), source

    config, source = load()
    switcher = AppSwitcher(config, build_app(config, source), load)
    base = await switcher.start([])

    async def stream() -> str:
        async with (
            aiohttp.ClientSession(headers={"x-api-key": canary()}) as http,
            http.post(base + CHAT, json=BODY | {"stream": True}) as response,
        ):
            return await response.text()

    streams = []
    for i in range(times):
        if i % max(1, times // 10) == 0:
            streams.append(asyncio.create_task(stream()))
            while upstream.running < len(streams):
                await asyncio.sleep(0.005)
        keys["KEY"] = canary()
        await switcher.reload()
    upstream.end.set()
    answers = await asyncio.gather(*streams)
    await switcher.stop()

    assert len(answers) == 10
    for answer in answers:
        assert answer.rstrip().endswith("data: [DONE]")
        assert '"error"' not in answer


@pytest.mark.row("S15")
async def test_s15_reloads_break_no_stream(aiohttp_server: Any) -> None:
    await _reloads(aiohttp_server, 20)


@pytest.mark.row("S15")
@pytest.mark.slow
async def test_s15_five_hundred_reloads_break_no_stream(aiohttp_server: Any) -> None:
    await _reloads(aiohttp_server, 500)


@pytest.mark.row("S21")
@pytest.mark.parametrize("path", [CHAT, "/v1beta/models/gemini-2.5-flash:generateContent", "/v1/models"])
async def test_s21_a_gateway_does_not_ask_a_gateway(serve: Serve, fake: Fake, path: str) -> None:
    """Two that are each other's upstream would ask in a circle; the second one refuses."""
    second = await serve("", fake.url)
    first = await serve("", second)
    async with aiohttp.ClientSession(headers={"x-goog-api-key": "AQ.k"}) as http:
        body = BODY if path == CHAT else {"contents": []}
        request = http.get(first + path) if path == "/v1/models" else http.post(first + path, json=body)
        async with request as response:
            assert response.status >= 500
        async with http.post(second + CHAT, json=BODY, headers={"x-gemini-gateway-hop": "1"}) as response:
            assert response.status == 508
    assert fake.calls == 0


@pytest.mark.row("S21", "S65")
def test_s21_every_cache_of_a_function_is_bounded() -> None:
    wrappers = [each for each in gc.get_objects() if isinstance(each, functools._lru_cache_wrapper)]
    own = [each for each in wrappers if each.__module__.startswith("gateway")]
    unbounded = [
        each.__qualname__
        for each in own
        if each.cache_info().maxsize is None and each.__wrapped__.__code__.co_argcount
    ]

    assert own
    assert unbounded == []


def body(i: int, **fields: Any) -> bytes:
    """Return a request whose field names, schema and tools are like no other's."""
    schema = {
        "type": "object",
        "properties": {f"p{i}_{k}": {"type": "string", "enum": [f"v{i}", "b"]} for k in range(60)},
    }
    function = {"name": f"f{i}", "description": f"d{i}" * 10, "parameters": schema}
    format_ = {"type": "json_schema", "json_schema": {"name": f"n{i}", "schema": schema}}
    more = {
        "user": f"u{i}",
        "prompt_cache_key": f"k{i}",
        "tools": [{"type": "function", "function": function}],
    }
    return json.dumps(BODY | more | {"response_format": format_, **fields}).encode()


@pytest.mark.row("S48")
async def test_s48_unique_schemas_and_tools_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file, and of each request less than a tenth of its body in memory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(
        RecentRequests.__init__, "__defaults__", (20,)
    )  # records for the console, full from here on
    bench = Bench()
    await bench.start()
    await bench.all([body(i) for i in range(20)])
    gc.collect()
    tracemalloc.start()
    size = 0
    for i in range(20, 320):
        data = body(i)
        size += len(data)
        assert (await bench.send(data))[0] == 200
    assert 0 < KNOWN.size <= MOST_BYTES  # all that is kept
    assert DECLARATIONS.size <= declarations.MOST_BYTES
    KNOWN.clear()
    DECLARATIONS.clear()
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    await bench.stop()

    assert grown < size / 10
    assert list(tmp_path.iterdir()) == []


@pytest.mark.row("S21", "S48")
@pytest.mark.slow
async def test_s21_names_that_clients_make_up_are_kept_in_bounds() -> None:
    """10,000 models, fields and users: the process is no larger after the second half of them than after the first."""
    bench = Bench()
    await bench.start()
    resident = []
    for i in range(10_000):
        if i in (5000, 9999):
            gc.collect()
            resident.append(int(Path("/proc/self/statm").read_text().split()[1]) * 4096)
        await bench.send(body(i, model=f"gemini-{i}", **{f"unknown_{i}": i}))
    await bench.stop()

    assert resident[1] - resident[0] < 2 * 2**20


@pytest.mark.row("S50")
async def test_s50_no_origin_is_ever_allowed_credentials(
    team: Team, google: Google, serve: Serve, aiohttp_client: Any
) -> None:
    """Our decision: every page may read answers of the API (`*`, as the predecessor did), and none with credentials."""
    await team.start("a", ALL_PLUGINS)
    shapes = set()
    async with aiohttp.ClientSession(
        team.base, headers={"Origin": "https://evil.example", "Cookie": "a=b"}
    ) as http:
        for path, _ in MATRIX.values():
            for method in ("GET", "POST", "OPTIONS", "DELETE"):
                headers = {
                    "Access-Control-Request-Method": "POST",
                    "Access-Control-Request-Headers": "authorization, cookie",
                }
                async with http.request(
                    method, path, headers=headers if method == "OPTIONS" else {}
                ) as response:
                    shapes.add(
                        (
                            response.headers.get("Access-Control-Allow-Origin"),
                            response.headers.get("Access-Control-Allow-Credentials"),
                        )
                    )
                    assert "Set-Cookie" not in response.headers
    assert shapes == {("*", None)}
    admin = await aiohttp_client(Admin(lambda: serve.app[SERVICES], AdminConfig(Secret("hush"))).app())
    async with admin.get(
        "/admin/keys", headers={"Origin": "https://evil.example", "Authorization": "Bearer hush"}
    ) as response:
        assert "Access-Control-Allow-Credentials" not in response.headers
    async with admin.options(
        "/admin/keys", headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    ) as response:
        assert response.status >= 400


@pytest.mark.row("S50")
async def test_s50_with_listed_origins_another_gets_none(serve: Serve, http: aiohttp.ClientSession) -> None:
    url = await serve("cors: {origins: ['https://good.example']}")
    for origin in (
        "https://evil.example",
        "null",
        "https://good.example.evil.example",
        "http://good.example",
        "https://GOOD.example:444",
    ):
        async with http.get(f"{url}/v1/models", headers={"Origin": origin}) as response:
            assert "Access-Control-Allow-Origin" not in response.headers
    with pytest.raises(Exception, match="origins"):
        Source("cors: {origins: 5}", "g").decode(GatewayConfig)


@pytest.mark.row("S55")
@pytest.mark.parametrize("surface", [CHAT, "/v1beta/models/gemini-2.5-flash:generateContent"])
async def test_s55_a_key_that_google_calls_leaked_is_out_for_good(
    team: Team, google: Google, serve: Serve, aiohttp_client: Any, surface: str
) -> None:
    """python-genai#1764: 403 "Your API key was reported as leaked. Please use another API key."."""
    key = team.issue()
    leaked = "Your API key was reported as leaked. Please use another API key."
    google.answers["AIza-a"] = lambda: refused(403, leaked)
    await team.start("a")
    async with aiohttp.ClientSession(headers={"x-goog-api-key": key}) as http:
        for _ in range(4):
            async with http.post(
                team.base + surface, json=BODY if surface == CHAT else {"contents": []}
            ) as response:
                assert response.status in (403, 503)
    assert google.calls == {"AIza-a": 1}
    for _ in range(2):
        await serve.stop()
        await team.start("ab")
        for _ in range(4):
            assert (await team.ask(key))[0] == 200
    assert google.calls["AIza-a"] == 1
    client = await aiohttp_client(Admin(lambda: serve.app[SERVICES], AdminConfig(Secret("hush"))).app())
    async with client.get("/admin/pool", headers={"Authorization": "Bearer hush"}) as response:
        reasons = {entry["reason"] for entry in (await response.json())["data"] if entry["project"] == "a"}
    async with client.get("/metrics") as response:
        assert 'reason="leaked"' in await response.text()
    assert "leaked" in reasons


@pytest.fixture
async def over_unix(tmp_path: Path) -> AsyncIterator[Path]:
    """A server on a Unix socket that answers with the address that it sees."""

    async def show(request: web.Request) -> web.Response:
        return web.Response(text=client_address(request))

    app = web.Application()
    app.router.add_get("/", show)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "s")).start()
    yield tmp_path / "s"
    await runner.cleanup()


FORGED = {"X-Forwarded-For": "6.6.6.6", "Forwarded": "for=6.6.6.6", "X-Client-IP": "6.6.6.6", "CF-Connecting-IP": "6.6.6.6",
          "True-Client-IP": "6.6.6.6", "X-Cluster-Client-IP": "6.6.6.6"}  # fmt: skip


@pytest.mark.row("S39")
async def test_s39_the_address_of_a_client_is_nginxs_word_on_a_unix_socket_alone(
    over_unix: Path, aiohttp_client: Any
) -> None:
    async def show(request: web.Request) -> web.Response:
        return web.Response(text=client_address(request))

    app = web.Application()
    app.router.add_get("/", show)
    client = await aiohttp_client(app)
    async with client.get("/", headers=FORGED | {"X-Real-IP": "6.6.6.6"}) as response:
        assert await response.text() == "127.0.0.1"
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=str(over_unix))) as http:
        async with http.get("http://x/", headers=FORGED | {"X-Real-IP": "7.7.7.7"}) as response:
            assert await response.text() == "7.7.7.7"
        async with http.get("http://x/", headers=FORGED) as response:
            assert await response.text() == ""


@pytest.mark.row("S39")
async def test_s39_no_header_makes_a_client_another(
    serve: Serve, raw_upstream: RawUpstream, request_lines: list[Any]
) -> None:
    """Identity headers of proxies (Caddy's `forward_auth`, oauth2-proxy, Tailscale, Cloudflare) say nothing here."""
    raw_upstream.scripts = [
        ok({"candidates": [{"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}]})
    ]
    url = await serve("", raw_upstream.url)
    names = ("X-Forwarded-User", "X-Remote-User", "Remote-User", "X-Auth-Request-User", "X-Auth-Request-Email", "X-Webauth-User",
             "Tailscale-User-Login", "Cf-Access-Authenticated-User-Email", "X-Authenticated-User", "X-User", "X-Api-Key-Id", "X-Admin")  # fmt: skip
    async with aiohttp.ClientSession() as http:
        async with http.post(url + CHAT, json=BODY, headers=dict.fromkeys(names, "admin")) as response:
            assert response.status == 401
        async with http.get(URL(url + "/v1/models"), headers=dict.fromkeys(names, "admin")) as response:
            assert response.status == 401
    assert raw_upstream.requests == []
    assert [line.client for line in request_lines] == [None, None]
