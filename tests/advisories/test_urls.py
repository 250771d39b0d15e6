"""Advisories about addresses that a client chooses: remote files, redirects, names, and the walls against them."""

import ast
import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.errors import BadRequest, ConfigError
from gateway.policy.ssrf import MediaConfig, check_url, is_public
from gateway.upstream.media import MediaFetcher
from tests.advisories.recorder import Recorder, recording
from tests.support.media_spellings import NOT_PUBLIC, spellings
from tests.support.servers import Fake, Serve
from tests.support.sources import sources
from tests.support.work import calls_made

CHAT = "/v1/chat/completions"
BOTH = ("https", "http")


def body(url: str) -> dict[str, Any]:
    """Return a chat request with a remote image."""
    part = {"type": "image_url", "image_url": {"url": url}}
    return {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": [part]}]}


@pytest.fixture
async def recorded(serve: Serve) -> AsyncIterator[tuple[str, Recorder]]:
    """The URL of a gateway, and its upstream."""
    async for pair in recording(serve):
        yield pair


class Failing(AbstractResolver):
    """Answers no name: with an error, with nothing, or not at all."""

    def __init__(self, how: str) -> None:
        self._how = how
        self.asked = 0

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        self.asked += 1
        if self._how == "error":
            raise OSError("Name or service not known")
        if self._how == "silence":
            await asyncio.Event().wait()
        return []

    async def close(self) -> None:
        pass


@pytest.mark.row("S22", "S24", "S33")
async def test_s33_no_spelling_of_a_private_address_is_dialled_for_a_client(
    recorded: tuple[str, Recorder], http: aiohttp.ClientSession
) -> None:
    """Through the whole gateway, on a port that would answer; tests/policy/test_ssrf.py has all spellings."""
    url, upstream = recorded
    port = urlsplit(upstream.elsewhere).port
    urls = [*list(spellings())[::7], *(f"http://{host}:{port}/x.png" for host in ("127.0.0.1", "0.0.0.0", "[::]", "[::1]",
            "localhost", "0", "127.1", "0x7f000001", "[::ffff:127.0.0.1]", "2130706433", "①②⑦.⓪.⓪.①"))]  # fmt: skip
    answers = set()
    for address in urls:
        async with http.post(url + CHAT, json=body(address)) as response:
            error = (await response.json())["error"]
            answers.add((response.status, error["code"]))

    assert answers == {(400, "invalid_image_url")}
    assert (upstream.strays, upstream.sent) == (0, [])


@pytest.mark.row("S24")
@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "0", "0x0", "00", "0.0", "0.0.0", "[::]", "[::0]", "[0:0:0:0:0:0:0:0]", "[::ffff:0.0.0.0]", "[::ffff:0:0]",
     "0.0.0.0.", "000.000.000.000", "0x0.0x0.0x0.0x0", "[0000:0000:0000:0000:0000:0000:0000:0000]", "⓪.⓪.⓪.⓪"],
)  # fmt: skip
def test_s24_every_spelling_of_the_unspecified_address_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match=r"public|host"):
        check_url(f"http://{host}/", BOTH)


@pytest.mark.row("S25")
@pytest.mark.parametrize("how", ["error", "silence", "nothing"])
async def test_s25_a_name_that_is_not_resolved_is_refused(how: str) -> None:
    resolver = Failing(how)
    dialled: list[str] = []

    def public(address: str) -> bool:
        dialled.append(address)
        return is_public(address)

    config = MediaConfig(seconds=0.3)
    async with MediaFetcher(config, resolver=resolver, public=public) as fetcher:
        with pytest.raises(BadRequest, match="it cannot be reached"):
            await fetcher.fetch({"https://unknown.example/x.png": "at"})

    assert resolver.asked >= 1
    assert dialled == []


DIFFERENT = [
    "https://example.com\\@127.0.0.1/", "https://example.com\\.evil.example/", "https://127.0.0.1\\@example.com/", "https:\\\\example.com/",
    "https://example.com:443\\@127.0.0.1:80/", "https:///127.0.0.1/", "https:/example.com/", "https:example.com", "https://example.com#@127.0.0.1/",
    "https://example.com?@127.0.0.1/", "https://127.0.0.1#.example.com/", "https://127.0.0.1?.example.com/", "https://a@b@127.0.0.1/",
    "https://example.com%00.evil.example/", "https://example.com%2f@127.0.0.1/", "https://[::1]@example.com/", "https://[::1]example.com/",
    "https://example.com@127.0.0.1:443/", "https://127.0.0.1%23.example.com/", "https://exa\tmple.com/", "https://example.com\n/", "ht\ntps://127.0.0.1/",
    "https://example。com/", "https://127。0。0。1/", "https://[v1.x]/", "https://[::ffff:7f00:1%25eth0]/", "https://127.0.0.1:0443/", "https://example.com:/",
    "HTTPS://EXAMPLE.COM/", "https://xn--/", "https://ⓔxample.com/", "https://example.com./", "https://example.com../", "https://.example.com/",
]  # fmt: skip


def _seen_by_urllib(text: str) -> tuple[str | None, int | None]:
    try:
        parts = urlsplit(text)
        return (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return None, None


@pytest.mark.row("S41", "S42")
@pytest.mark.parametrize("text", DIFFERENT)
def test_s41_a_url_that_two_parsers_read_differently_is_refused(text: str) -> None:
    """The URL is parsed once, and that object is dialled; where urllib and yarl name other hosts, it is refused."""
    try:
        url = check_url(text, BOTH)
    except ValueError:
        return
    host, port = _seen_by_urllib(text)
    assert host is not None
    seen = (URL(f"https://{host}/").raw_host or "").rstrip(".")
    assert (seen, port or 443) == ((url.raw_host or "").rstrip("."), url.port)
    assert "127" not in seen


@pytest.mark.row("S41", "S42")
async def test_s41_the_parsed_url_is_dialled_not_its_text(aiohttp_server: Any) -> None:
    """What the check returns is fetched: a check that reads another host dials that host."""

    async def image(_: web.Request) -> web.Response:
        return web.Response(body=b"\x89PNG\r\n\x1a\n" + bytes(20), content_type="image/png")

    app = web.Application()
    app.router.add_get("/x.png", image)
    server = await aiohttp_server(app)

    def allowed(_: str, __: tuple[str, ...]) -> URL:
        return server.make_url("/x.png")  # type: ignore[no-any-return]

    async with MediaFetcher(MediaConfig(), allowed=allowed, public=lambda _: True) as fetcher:
        files = await fetcher.fetch({"https://never.invalid/": "at"})

    assert files["https://never.invalid/"].mime_type == "image/png"


@pytest.mark.row("S77")
@pytest.mark.parametrize(
    "blank", [*map(chr, range(33)), "\x7f", "\x85", "\xa0", "\u2028", "\u3000", "\ufeff", "\u200b"]
)
@pytest.mark.parametrize("place", ["{}https://127.0.0.1/", "https://127.0.0.1/{}", "https:{}//127.0.0.1/", "https://127.0.0.1{}/",
                                   "https://{}127.0.0.1/", "{}http://localhost/"])  # fmt: skip
def test_s77_blanks_and_control_characters_dodge_nothing(blank: str, place: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any reason
        check_url(place.format(blank), BOTH)
    if blank.isascii():  # refused as such, whatever the host is
        with pytest.raises(ValueError, match=r"invalid characters|begin with"):
            check_url(place.replace("127.0.0.1", "example.com").format(blank), BOTH)


def _refused(url: str) -> None:
    with suppress(ValueError):
        check_url(url, BOTH)


@pytest.mark.row("S75")
@pytest.mark.parametrize("letter", ["\u0308", "ä", "a.", "\u1bc9", "\u0300a", "㌀", "xn--a-", "ß"])
def test_s75_a_long_international_name_is_refused_at_once(letter: str) -> None:
    for text in (letter * 10_000, (letter * 20 + ".") * 30, letter * 600):
        for url in (f"https://{text}/", f"https://{text}.example/"):
            assert calls_made(partial(_refused, url)) < 150_000


@pytest.mark.row("S76")
def test_s76_addresses_that_releases_of_python_judge_differently_are_refused_by_our_own_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """CVE-2024-4032: `is_global` of one release is true for addresses that another calls private."""
    own = ["192.0.0.9", "192.88.99.1", "168.63.129.16", "100.64.0.1", "224.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1",
           "64:ff9b:1::1", "2002:7f00:1::", "fec0::1", "ff02::1", "3fff::1", "5f00::1", "2001:20::1", "fe80::1", "fc00::1"]  # fmt: skip
    assert set(own) <= set(NOT_PUBLIC)
    for kind in (ipaddress.IPv4Address, ipaddress.IPv6Address):
        monkeypatch.setattr(kind, "is_global", property(lambda _: True))
    assert [address for address in own if is_public(address)] == []


@pytest.mark.row("S43")
@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_s43_a_redirect_to_a_private_address_is_not_followed(aiohttp_server: Any, code: int) -> None:
    """Only the first hop is let through by the test; the real check judges the second."""
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.path)
        headers = {"Location": "/private", "Refresh": "0; url=/private"}
        return web.Response(status=code, headers=headers)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    server = await aiohttp_server(app)
    first = str(server.make_url("/first"))

    def allowed(text: str, schemes: tuple[str, ...]) -> URL:
        return URL(text) if text == first else check_url(text, schemes)

    async with MediaFetcher(MediaConfig(), allowed=allowed, public=lambda _: True) as fetcher:
        with pytest.raises(BadRequest):
            await fetcher.fetch({first: "at"})

    assert seen == ["/first"]


@pytest.mark.row("S63")
@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "surface", ["/v1/chat/completions", "/v1beta/models/gemini-2.5-flash:generateContent", "/v1/models"]
)
async def test_s63_a_redirect_of_the_upstream_gets_no_connection_and_no_key(
    serve: Serve, http: aiohttp.ClientSession, aiohttp_server: Any, code: int, surface: str
) -> None:
    strays: list[web.Request] = []

    async def stray(request: web.Request) -> web.Response:
        strays.append(request)
        return web.json_response({})

    other = web.Application()
    other.router.add_route("*", "/{path:.*}", stray)
    elsewhere = (await aiohttp_server(other)).make_url("/v1beta/models")

    async def redirect(_: web.Request) -> web.Response:
        return web.Response(status=code, headers={"Location": str(elsewhere), "Set-Cookie": "a=b"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", redirect)
    url = await serve("", str((await aiohttp_server(app)).make_url("")).rstrip("/"))
    request = (
        http.get(url + surface)
        if surface == "/v1/models"
        else http.post(url + surface, json=body("") | {"messages": [{"role": "user", "content": "x"}]})
    )
    async with request as response:
        assert response.status >= 300
        assert str(elsewhere.host) not in response.headers.get("Location", "")
    assert strays == []


@pytest.mark.row("S05")
def test_s05_all_connections_are_made_in_two_places() -> None:
    """Static: the upstream's transports and the fetcher of media are the only ones that open a connection to a URL."""
    makers = {"ClientSession", "TCPConnector", "urlopen", "urlretrieve", "create_connection", "open_connection", "start_connection",
              "HTTPConnection", "HTTPSConnection", "request"}  # fmt: skip
    places: dict[str, set[str]] = {}
    for path, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name = (
                    node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                )
                if name in makers - {"request"}:
                    places.setdefault(name, set()).add(f"{path.parent.name}/{path.name}")
    own = {
        "http1/pool.py",
        "upstream/aiohttp_transport.py",
        "upstream/connector.py",
        "upstream/media.py",
    }
    commands = {
        "cli/demo.py",
        "cli/demo_console.py",
        "cli/admin_client.py",
        "cli/health.py",
        "cli/replay.py",
        "cli/doctor_network.py",
        "cli/doctor.py",
    }  # run by the operator
    inside = {"console/playground.py"}  # a pair of sockets of the process
    webhooks = {"guard/plugin.py", "alert/plugin.py"}  # addresses that the configuration names

    assert {"upstream/aiohttp_transport.py", "upstream/media.py"} <= places["ClientSession"]
    assert "http1/pool.py" in places["start_connection"]
    assert set().union(*places.values()) <= own | commands | inside | webhooks
    imported = {
        alias.name.partition(".")[0]
        for path, tree in sources()
        if "cli" not in path.parts  # commands of the operator, not the gateway
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    assert not imported & {"requests", "httpx", "urllib3", "http", "pycurl", "ftplib", "smtplib", "telnetlib"}


@pytest.mark.row("S65")
async def test_s65_a_hundred_thousand_hosts_leave_nothing_behind() -> None:
    class Nobody(AbstractResolver):
        asked = 0

        async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
            Nobody.asked += 1
            return [
                {
                    "hostname": host,
                    "host": "10.0.0.1",
                    "port": port,
                    "family": socket.AF_INET,
                    "proto": 0,
                    "flags": 0,
                }
            ]

        async def close(self) -> None:
            pass

    async with MediaFetcher(MediaConfig(concurrent=16), resolver=Nobody()) as fetcher:
        for i in range(2000):
            with pytest.raises(BadRequest):
                await fetcher.fetch({f"https://host-{i}.example/x.png": "at"})
        assert fetcher._session is not None
        connector: Any = fetcher._session.connector
        cache = connector._cached_hosts
        assert Nobody.asked >= 2000
        assert connector.use_dns_cache is False
        assert len(getattr(cache, "_addrs_rr", ())) == 0
        assert len(connector._conns) == 0


@pytest.mark.row("S05")
async def test_s05_no_option_of_a_plugin_or_the_configuration_is_fetched(serve: Serve, fake: Fake) -> None:
    """The URLs of the configuration are `upstream`, a proxy, Redis, the ledger: none is read from a request."""
    for text in (
        "plugins: {chat: {spec_path: 'http://127.0.0.1/x'}}",
        "plugins: {'http://127.0.0.1/x.py': {}}",
        "models: 'http://x/'",
    ):
        with pytest.raises(ConfigError):
            await serve(text, fake.url)
    assert (
        Source("", "g")
        .decode(GatewayConfig)
        .upstream.base_url.startswith("https://generativelanguage.googleapis.com")
    )
