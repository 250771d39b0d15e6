"""Advisories about nginx and Redis, the neighbours that the installation brings: on Debian's servers, with our files."""

import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.errors import ConfigError
from gateway.policy.clients.rate_limits import Window
from gateway.store.key_value import StoreLimits
from gateway.store.redis import Redis, RedisCounters, RedisPoolUpdates, RedisStore
from gateway.store.state_stores import RESPONSES
from tests.advisories.test_http import SMUGGLED, SMUGGLING
from tests.advisories.wire import canary, status
from tests.support.nginx import DOMAIN, SITE, Nginx, free_port, in_front_of, needs_nginx
from tests.support.paths import ROOT
from tests.support.waiting import eventually

HOST = DOMAIN.encode()
needs_redis = pytest.mark.skipif(shutil.which("redis-server") is None, reason="no redis-server on the PATH")


class Seen:
    """An application that records the requests that reach it."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.app = web.Application()
        self.app.router.add_route("*", "/{path:.*}", self.answer)

    async def answer(self, request: web.Request) -> web.Response:
        self.requests.append((request.path, {k.lower(): v for k, v in request.headers.items()}))
        await request.read()
        return web.json_response({})


@pytest.fixture
async def seen() -> Seen:
    return Seen()


@pytest.fixture
async def nginx(seen: Seen, tmp_path: Path) -> AsyncIterator[Nginx]:
    async for running in in_front_of(seen.app, tmp_path):
        yield running


def directives() -> list[list[str]]:
    """Return the words of each directive of the site, without comments and texts."""
    text = re.sub(r"'[^']*'|\"[^\"]*\"", "''", re.sub(r"(?m)#.*$", "", SITE))
    return [words for line in re.split(r"[;{}]", text) if (words := line.split())]


@pytest.mark.row("S78")
def test_s78_the_site_has_no_regular_expression() -> None:
    """CVE-2026-42945 and others overflow in `rewrite` and `map` with expressions; its maps have plain texts only."""
    names = {words[0] for words in directives()}
    assert {"server", "location", "listen"} <= names
    assert not names & {
        "rewrite",
        "if",
        "set",
        "geo",
        "split_clients",
        "sub_filter",
        "perl",
        "js_content",
        "return_by_lua",
    }
    assert [
        words for words in directives() if any(word.lstrip("\"'").startswith("~") for word in words)
    ] == []
    assert not re.search(r"\$[1-9]", SITE)


@pytest.mark.row("S78")
def test_s78_http2_keeps_its_limits_and_the_upstream_is_no_tls() -> None:
    """CVE-2023-44487: nginx closes a connection after `keepalive_requests` streams, which the site leaves at 1000.
    CVE-2026-1642 injects into TLS towards an upstream: ours is a Unix socket."""
    names = {words[0] for words in directives()}
    assert not names & {"keepalive_requests", "http2_max_concurrent_streams", "http2_max_requests"}
    assert [words for words in directives() if words[0] == "proxy_pass"] == [["proxy_pass", "http://gateway"]]
    assert "server unix:/run/gateway.sock" in SITE


@pytest.mark.row("S78")
@needs_nginx
async def test_s78_debians_nginx_takes_the_site(nginx: Nginx) -> None:
    done = nginx.check()
    assert done.returncode == 0, done.stderr


@pytest.mark.row("S38")
@needs_nginx
@pytest.mark.parametrize("fault", ["no certificate", "no key", "garbage", "another key"])
def test_s38_with_a_broken_certificate_nothing_is_served(tmp_path: Path, fault: str) -> None:
    """Caddy's mutual TLS failed open when its file was missing; nginx with our site does not start."""
    server = Nginx(tmp_path)
    if fault == "another key":
        (tmp_path / "other").mkdir()
        shutil.copy(Nginx(tmp_path / "other").folder / "privkey.pem", tmp_path / "privkey.pem")
    elif fault == "garbage":
        (tmp_path / "fullchain.pem").write_text("garbage")
    else:
        (tmp_path / ("fullchain.pem" if fault == "no certificate" else "privkey.pem")).unlink()

    assert server.check().returncode != 0


@pytest.mark.row("S80")
@needs_nginx
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/", "/v1beta/models/x:generateContent?key=AQ.k", "/metrics",
                                  "/.well-known/acme-challenge/../v1/models", "//v1/models", "/x\\y"])  # fmt: skip
async def test_s80_the_plain_port_sends_nobody_on(nginx: Nginx, seen: Seen, path: str) -> None:
    for method in ("GET", "POST", "PUT"):
        head = f"{method} {path} HTTP/1.1\r\nHost: {DOMAIN}\r\nAuthorization: Bearer AQ.k\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        answer = await nginx.send(head.encode(), tls=False)
        assert status(answer) in (403, 400), answer
        assert b"\r\nlocation:" not in answer.lower()
        if status(answer) == 403:
            assert b"https_required" in answer
    assert seen.requests == []


@pytest.mark.row("S39")
@needs_nginx
async def test_s39_nginx_overwrites_what_proxies_say_of_a_client(nginx: Nginx, seen: Seen) -> None:
    head = (
        f"GET /v1/models HTTP/1.1\r\nHost: {DOMAIN}\r\nX-Forwarded-For: 6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n"
        "X-Forwarded-Proto: http\r\nX-Forwarded-Host: evil.example\r\nX-Request-Id: forged\r\nX_Real_IP: 6.6.6.6\r\nTE: x\r\n"
        "Proxy: http://evil.example\r\nConnection: close\r\n\r\n"
    )
    assert status(await nginx.send(head.encode())) == 200
    ((_, headers),) = seen.requests

    assert (headers["x-real-ip"], headers["x-forwarded-for"], headers["x-forwarded-proto"]) == (
        "127.0.0.1",
        "127.0.0.1",
        "https",
    )
    assert headers["x-request-id"] != "forged"
    assert not {"forwarded", "x-forwarded-host", "te", "proxy", "x_real_ip"} & set(headers)
    assert "6.6.6.6" not in headers.values()


@pytest.mark.row("S62")
@needs_nginx
@pytest.mark.slow
async def test_s62_through_nginx_the_gateway_sees_as_many_requests_as_are_answered(
    nginx: Nginx, seen: Seen
) -> None:
    for name, data in SMUGGLING.items():
        seen.requests.clear()
        answer = await nginx.send(
            data.replace(b"Host: x", b"Host: " + HOST) + SMUGGLED.replace(b"Host: x", b"Host: " + HOST),
            seconds=1,
        )
        answered = answer.count(b"HTTP/1.1 200")
        assert len(seen.requests) == answered, name


@pytest.mark.row("S35", "S17")
@needs_nginx
async def test_s17_no_log_of_nginx_has_a_key(nginx: Nginx) -> None:
    key = canary()
    for path in (f"/v1beta/models?key={key}", f"/{key}?x=1", "/v1/models"):
        for extra in ("", f"Referer: https://x/?key={key}\r\n", f"X-Bad: {key}\r\nContent-Length: x\r\n"):
            head = f"GET {path} HTTP/1.1\r\nHost: {DOMAIN}\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n{extra}\r\n"
            await nginx.send(head.encode(), seconds=2)
            await nginx.send(head.encode(), tls=False, seconds=2)
    logs = b"".join(file.read_bytes() for file in nginx.folder.glob("*.log"))

    assert b'"method":"GET"' in logs
    assert key.encode() not in logs


def acl() -> list[str]:
    """Return the rules of docs/do/two-machines.md for the user of Redis."""
    (line,) = re.findall(r"^user default (.*)$", (ROOT / "docs" / "do" / "two-machines.md").read_text(), re.M)
    return str(line).split()


@pytest.fixture
def restricted(tmp_path: Path) -> Iterator[str]:
    """The URL of a redis-server with the rules of the page, and with the password `hush`."""
    port = free_port()
    rules = [rule if not rule.startswith(">") else ">hush" for rule in acl()]
    (tmp_path / "redis.conf").write_text(
        f"port {port}\nbind 127.0.0.1\nsave ''\ndir {tmp_path}\nuser default {' '.join(rules)}\n"
    )
    process = subprocess.Popen(["redis-server", str(tmp_path / "redis.conf")], stdout=subprocess.DEVNULL)
    yield f"redis://127.0.0.1:{port}/0"
    process.kill()
    process.wait(10)


@pytest.mark.row("S79")
@needs_redis
async def test_s79_the_gateway_needs_few_commands_of_redis(
    restricted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every use of Redis works for a user that may call these commands on our keys, and nothing else."""
    monkeypatch.setattr("gateway.store.redis._BUDGET", 5.0)
    async with Redis(restricted, "hush", lambda _: None) as shared:
        await eventually(lambda: not shared.degraded)
        shared.errors.clear()  # the server may have been slower to start
        counters = RedisCounters(shared, 1)
        window = Window("requests", 10, 60)
        assert (await counters.take("c", [window], 1, 1e9)).blocked is None
        await counters.correct("c", [window], 1, 1e9)
        assert await counters.enter("c", 1, "in_1", 1e9)
        await counters.leave("c", "in_1")
        store = RedisStore(shared, StoreLimits(), RESPONSES)
        await store.put({b"k": "v"}, 1e9)
        other = RedisStore(shared, StoreLimits(), RESPONSES)
        assert await other.get([b"k"], 1e9) == {b"k": "v"}
        pool = RedisPoolUpdates(shared)
        await pool.publish({"a": b"x"})
        assert await pool.all() == [b"x"]
        await pool.forget(["a"])
        assert await pool.all() == []
        assert dict(shared.errors) == {}
        forbidden: list[tuple[Any, ...]] = [("CONFIG", "GET", "*"), ("FLUSHALL",), ("KEYS", "*"), ("SET", "other", "1"),
                     ("EVAL", "return redis.call('KEYS', '*')", "0"), ("MODULE", "LIST"), ("ACL", "LIST"), ("SAVE",), ("SLAVEOF", "h", "1")]  # fmt: skip
        client: Any = shared.client
        for command in forbidden:
            with pytest.raises(Exception, match=r"(?i)permission|NOPERM|can't"):
                await client.execute_command(*command)


@pytest.mark.row("S79")
def test_s79_no_password_of_redis_is_in_an_address() -> None:
    for url in ("redis://:hush@h/0", "redis://u:hush@h/0", "http://h/0"):
        with pytest.raises(ConfigError):
            Source(f"state: {{redis: '{url}'}}", "g.yaml", {}).decode(GatewayConfig)
    text = (ROOT / "docs" / "do" / "two-machines.md").read_text()
    assert "CVE-2025-49844" in text
    assert not re.search(r"redis://[^\s\"]*@", text)


@pytest.mark.row("S78")
@needs_nginx
@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize(
    "head",
    ["GET /v1/models HTTP/9.9\r\n", "TRACE /v1/models HTTP/1.1\r\n", "CONNECT a:443 HTTP/1.1\r\n", "GET /v1/models HTTP/1.1\r\nBad : x\r\n",
     "POST /v1/models HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n"],
)  # fmt: skip
async def test_s78_what_nginx_refuses_itself_is_json_without_its_version(
    nginx: Nginx, head: str, tls: bool
) -> None:
    answer = await nginx.send(
        f"{head}Host: {DOMAIN}\r\nConnection: close\r\n\r\n".encode(), tls=tls, seconds=30
    )

    assert answer.startswith(b"HTTP/1.1 ")
    assert b"<html" not in answer
    assert b"nginx/" not in answer
    assert b"application/json" in answer
