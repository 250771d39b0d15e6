"""Advisories about logs: keys in them, control characters in them, and lines without a measure."""

import json
import logging
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.cli.main import main
from gateway.config.admin import AdminConfig
from gateway.config.diff import changes
from gateway.config.secret import Secret
from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.console.app import Admin
from gateway.exchange.context import CONTEXT
from gateway.plugin import SERVICES, Plugin
from gateway.server.plugin_loader import BUILT_IN
from tests.advisories.recorder import Recorder, recording
from tests.advisories.test_http import broken_answers
from tests.advisories.wire import canary, leaks, raw
from tests.support.bodies import LEAST
from tests.support.servers import RawUpstream, Serve, whole
from tests.support.team import Team

CHAT = "/v1/chat/completions"
MODEL = {"model": "gemini-2.5-flash"}
ALL = "plugins: {chat: {}, responses: {}, messages: {}, completions: {}, embeddings: {}, moderations: {}, native: {}, models: {}}"


@pytest.fixture
async def recorded(serve: Serve) -> AsyncIterator[tuple[str, Recorder]]:
    """The URL of a gateway with every surface, and its upstream."""
    async for pair in recording(serve, ALL):
        yield pair


@pytest.mark.row("S74")
async def test_s74_control_characters_of_a_client_are_escaped_in_the_log(
    recorded: tuple[str, Recorder], serve: Serve, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    url, _ = recorded
    nasty = '\x1b[31m\x1b]0;x\x07\x7f\x9b31m\u202e\u2066\u200b\u2028{"event":"forged"}'
    quoted = "%1b%5b31m%0d%0a%7b%22event%22%3a%22forged%22%7d%00%7f%c2%9b%e2%80%ae"
    async with aiohttp.ClientSession() as http:
        for body in (MODEL | {"model": nasty}, {"model": "gemini-" + nasty}, {nasty: 1}, {"messages": nasty}):
            async with http.post(url + CHAT, json=LEAST[CHAT] | body, headers={"x-api-key": "k"}) as response:
                await response.read()
    for path in (
        f"/{quoted}",
        f"/v1/models/{quoted}",
        f"/v1beta/models/{quoted}:generateContent",
        f"/v1/responses/{quoted}",
    ):
        for head in (
            "",
            "User-Agent: \x1b[31m\x9b\r\n",
            "x-request-id: \x1b]0;x\r\n",
            "x-api-key: \x1b[2J\x9b\r\n",
        ):
            await raw(
                url, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head}\r\n".encode("latin-1")
            )
    await serve.stop()
    lines = capfdbinary.readouterr().err

    assert lines.count(b'"event":"exchange"') >= 8
    for line in lines.splitlines():
        assert isinstance(json.loads(line), dict)
        assert json.loads(line)["event"] != "forged"
    text = lines.decode()
    assert not [ch for ch in text if ch != "\n" and (ord(ch) < 32 or 127 <= ord(ch) < 160)]


@pytest.mark.row("S29")
async def test_s29_a_line_of_the_log_is_short_whatever_the_request_is(
    recorded: tuple[str, Recorder], serve: Serve, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    url, _ = recorded
    rolls = random.Random(1)
    long = "".join(rolls.choices("abcdefgh ", k=100_000))
    many = {f"unknown_{i}_{'x' * 50}": long[:50] for i in range(2000)}
    async with aiohttp.ClientSession(headers={"x-api-key": "k", "User-Agent": long[:7000]}) as http:
        for body in (LEAST[CHAT] | {"model": long}, MODEL | LEAST[CHAT] | many, MODEL | {"messages": long},
                     MODEL | LEAST[CHAT] | {"google": many}, MODEL | LEAST[CHAT] | {"tools": [{"type": long}]}):  # fmt: skip
            async with http.post(url + CHAT, json=body) as response:
                await response.read()
        async with http.get(f"{url}/v1/{long.replace(' ', '')[:7000]}") as response:
            await response.read()
    await serve.stop()
    lines = capfdbinary.readouterr().err.splitlines()

    assert len(lines) >= 6
    assert max(map(len, lines)) <= 4096


def echoes(key: str) -> list[bytes]:
    """Return answers of an upstream that name a key: in messages, headers, pages, events and broken JSON."""
    error = {"error": {"code": 400, "message": f"Bad key {key} at https://x/?key={key}", "status": "INVALID_ARGUMENT",
                       "details": [{"metadata": {"consumer": f"api_key:{key}"}, "reason": key}]}}  # fmt: skip
    data = json.dumps(error).encode()
    statuses = (
        b"400 Bad",
        b"401 No",
        b"403 No",
        b"404 No",
        b"429 Slow",
        b"500 Oh",
        b"503 Oh",
        b"302 Away",
        b"599 x",
    )
    result = [piece for status in statuses for piece in whole(data, status) if piece]
    result += [
        piece for piece in whole(f"<html>key={key}</html>".encode(), b"502 Bad", b"text/html") if piece
    ]
    result.append(
        f"HTTP/1.1 307 x\r\nLocation: https://x/?key={key}\r\nX-Key: {key}\r\nContent-Length: 0\r\n\r\n".encode()
    )
    result.append(f"HTTP/1.1 {key} x\r\n\r\n".encode())
    result.append(f"HTTP/1.1 200 OK\r\n{key}\x00: {key}\r\n\r\n".encode())
    event = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: "
    result += [event + data + b"\r\n\r\n", event + data[:90], event + b"{" + key.encode() + b"\r\n\r\n"]
    return result


@pytest.mark.row("S17", "S09")
@pytest.mark.parametrize("prefix", ["AQ.", "AIzaSy"])
async def test_s17_no_fault_of_the_upstream_shows_the_pools_key(
    team: Team,
    serve: Serve,
    raw_upstream: RawUpstream,
    capfdbinary: pytest.CaptureFixture[bytes],
    prefix: str,
    tmp_path: Path,
) -> None:
    key = canary(prefix)
    serve.environ["KEY_A"] = key
    issued = team.issue()
    team._upstream = raw_upstream.url
    answers = b""
    for fault in [*echoes(key), *broken_answers()[:30:4], b""]:
        raw_upstream.scripts = [[fault]]
        await team.start("a")
        async with aiohttp.ClientSession(team.base, headers={"x-goog-api-key": issued}) as http:
            for path, body in ((CHAT, LEAST[CHAT] | MODEL), (CHAT, LEAST[CHAT] | MODEL | {"stream": True}),
                               ("/v1/messages", LEAST["/v1/messages"] | MODEL), ("/v1/responses", LEAST["/v1/responses"] | MODEL),
                               ("/v1beta/models/gemini-2.5-flash:generateContent", {"contents": []})):  # fmt: skip
                try:
                    async with http.post(path, json=body) as response:
                        answers += str(response.headers).encode() + await response.read()
                except aiohttp.ClientError:
                    continue
        await serve.stop()
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.is_file())
    lines = capfdbinary.readouterr().err

    assert key.encode() in b"".join(raw_upstream.requests)
    assert answers.count(b"error") > 50
    assert lines.count(b"exchange") > 50
    assert (leaks(answers, key), leaks(lines, key, issued), leaks(stored, key, issued)) == ([], [], [])


class Gossip(Plugin):
    """Logs and returns everything that it gets."""

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/gossip", self.tell)]

    async def tell(self, request: web.Request) -> web.Response:
        async with self.services.enter(request, "gossip") as context:
            shown = [
                repr(context),
                repr(request),
                repr(request[CONTEXT]),
                repr(dict(request.headers)),
                str(self.services.config),
            ]
            for text in shown:
                self.logger.warning("all of it: %s", text)
                logging.getLogger("spend").error("all of it: %s", text)
            try:
                raise RuntimeError(str(shown))
            except RuntimeError:
                self.logger.exception("failed with %s", dict(request.headers))
            return web.json_response({"said": repr(self.services.config) + repr(self.services.metrics.pool)})


@pytest.mark.row("S14", "S09")
@pytest.mark.parametrize("kind", ["issued", "AQ.", "AIzaSy"])
async def test_s14_a_plugin_that_logs_its_whole_context_logs_no_key(
    team: Team, serve: Serve, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], kind: str
) -> None:
    monkeypatch.setitem(BUILT_IN, "gossip", f"{__name__}:Gossip")
    pool, token = canary(), canary("adm-")
    serve.environ |= {"KEY_A": pool, "TOKEN": token}
    key = team.issue() if kind == "issued" else canary(kind)
    await team.start("a", "admin: {token: {env: TOKEN}}\nplugins: {gossip: {}, chat: {}}")
    for header, value in (("Authorization", f"Bearer {key}"), ("x-goog-api-key", key), ("x-api-key", key)):
        async with (
            aiohttp.ClientSession(team.base, headers={header: value}) as http,
            http.post("/v1/gossip", json={}) as response,
        ):
            assert response.status == 200
            assert leaks(await response.text(), pool, token) == []
    await serve.stop()
    lines = capfd.readouterr().err

    assert lines.count("all of it") >= 10
    assert leaks(lines, key, pool, token) == []


@pytest.mark.row("S52")
async def test_s52_neither_start_nor_check_nor_reload_nor_a_mistake_shows_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], serve: Serve
) -> None:
    secrets = {"KEY_A": canary(), "TOKEN": canary("adm-"), "PG": canary("pg-"), "RD": canary("rd-")}
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    text = (
        "pool: {projects: [{name: a, keys: [{env: KEY_A}]}]}\nadmin: {token: {env: TOKEN}}\n"
        f"ledger: {{url: {tmp_path}/l.db, password: {{env: PG}}}}\n"
    )
    file = tmp_path / "gateway.yaml"
    shown = ""
    for more in (
        "",
        "modles: {}\n",
        "admin: {}\n",
        "drain: x\n",
        f"cors: {{origins: {secrets['TOKEN'][:0]}5}}\n",
        "plugins: {nothing: {}}\n",
    ):
        file.write_text(text + more)
        for command in (["check"], ["routes"]):
            main([*command, "--config", str(file)])
    serve.environ = dict(secrets)
    source = Source(text, "g.yaml", secrets)
    config = source.decode(GatewayConfig)
    other = Source(text, "g.yaml", {name: canary() for name in secrets}).decode(GatewayConfig)
    shown += "".join(changes(config, other)) + repr(config) + str(config) + f"{config!r}"
    assert "****" in shown
    logging.getLogger("gateway").debug("%r", config)
    await serve.text(text)
    await serve.stop()
    for bad in (b"\xff\xfe", secrets["TOKEN"].encode() + b" x", b""):
        (tmp_path / "token").write_bytes(bad)
        with pytest.raises(Exception, match="token") as caught:
            Source(
                "admin: {token: {credential: token}}", "g", {"CREDENTIALS_DIRECTORY": str(tmp_path)}
            ).decode(GatewayConfig)
        shown += str(caught.value)
    out, err = capfd.readouterr()

    assert "unknown key 'modles'" in err + out
    assert leaks(shown + out + err, *secrets.values()) == []


@pytest.mark.row("S09", "S10")
async def test_s09_the_admin_listener_neither_echoes_nor_logs_a_token(
    serve: Serve, aiohttp_client: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    token = canary("adm-")
    await serve()
    client = await aiohttp_client(Admin(lambda: serve.app[SERVICES], AdminConfig(Secret(token))).app())
    shown = ""
    for value in (token, f"Bearer {token}x", f"Basic {token}", f"Bearer  {token} y", f"bearer {token[:-1]}"):
        for path in ("/admin/keys", f"/admin/{token}", f"/admin/usage?by={token}", "/admin/usage?since=x"):
            async with client.get(path, headers={"Authorization": value}) as response:
                if response.status >= 400 and token not in path:
                    shown += await response.text()
    await serve.stop()
    out, err = capfd.readouterr()

    assert shown
    assert leaks(shown + out + err, token) == []
