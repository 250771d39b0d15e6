"""Checks of `gateway doctor` that ask the network."""

import asyncio
import errno
import os
import socket
from email.utils import formatdate
from pathlib import Path
from time import time
from typing import Any, Self

import pytest
from aiohttp import web

from gateway.cli.doctor_network import Finding, kernel_filter, live_keys, streaming, upstream
from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.emulator.server import build_fake
from tests.support.certificates import Authority
from tests.support.servers import RawUpstream, Serve, chunked, whole


def config(url: str, **environ: str) -> GatewayConfig:
    text = f"upstream: {{base_url: '{url}'}}\n"
    if environ:
        text += "pool: {projects: [{name: blue, keys: [{env: GOOD}, {env: BAD}, {env: SPENT}]}]}"
    return Source(text, "g.yaml", environ).decode(GatewayConfig)


async def found(check: Any, *arguments: Any) -> list[Finding]:
    """Run a check in a thread, because it blocks."""
    return await asyncio.to_thread(lambda: list(check(*arguments)))


@pytest.mark.parametrize(("offset", "result"), [(0, "passed"), (-3600, "failed"), (3600, "failed")])
async def test_a_clock_that_is_wrong_is_found(raw_upstream: RawUpstream, offset: float, result: str) -> None:
    date = formatdate(time() + offset, usegmt=True).encode()
    raw_upstream.scripts = [[b"HTTP/1.1 404 Not Found\r\nDate: %s\r\nContent-Length: 0\r\n\r\n" % date]]
    findings = await found(upstream, config(raw_upstream.url))

    assert [(f.check, f.result) for f in findings] == [
        ("dns", "passed"),
        ("tls", "skipped"),
        ("clock", result),
    ]


async def test_an_unknown_name_and_a_private_google_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    findings = await found(upstream, config("https://gateway.invalid"))
    assert [(f.check, f.result) for f in findings] == [("dns", "failed")]

    def lookup(*_: object, **__: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 443))]

    monkeypatch.setattr("gateway.cli.doctor_network.socket.getaddrinfo", lookup)
    findings = await found(upstream, config("https://generativelanguage.googleapis.com"))

    assert [(f.check, f.result) for f in findings] == [("dns", "failed")]
    assert "10.0.0.1, which is not a public address" in findings[0].message


async def test_an_upstream_that_does_not_speak_tls_is_found() -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    findings = await found(upstream, config(f"https://localhost:{server.sockets[0].getsockname()[1]}"))
    server.close()

    assert [(f.check, f.result) for f in findings][-1] == ("tls", "failed")


class Proxy:
    """A proxy that answers CONNECT, and remembers what it was asked."""

    def __init__(self, answer: bytes = b"") -> None:
        self._answer = answer
        self.asked = b""
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._handle, "127.0.0.1", 0)
        self.url = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked += await reader.readuntil(b"\r\n\r\n")
        writer.write(self._answer)
        writer.close()


def proxied(upstream_url: str, proxy: str) -> GatewayConfig:
    text = f"upstream: {{base_url: '{upstream_url}', proxy: '{proxy}'}}\npool: {{projects: [{{name: blue, keys: [{{env: GOOD}}]}}]}}"
    return Source(text, "g.yaml", {"GOOD": "AQ.good"}).decode(GatewayConfig)


async def test_o13_a_proxy_is_asked_and_its_refusal_is_named() -> None:
    answer = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    async with Proxy(answer) as proxy:
        findings = await found(
            upstream, proxied("https://google.invalid", f"http://us%40er:pa55@{proxy.url}")
        )
        keys = await found(live_keys, proxied("https://google.invalid", f"http://{proxy.url}"))

    assert proxy.asked.startswith(b"CONNECT google.invalid:443 ")
    assert b"Proxy-Authorization: Basic dXNAZXI6cGE1NQ==" in proxy.asked
    assert [(f.check, f.result) for f in findings] == [("dns", "passed"), ("tls", "failed")]
    assert findings[1].message == (
        f"google.invalid:443 behind the proxy {proxy.url} cannot be reached: "
        "the proxy refused: 407 Proxy Authentication Required."
    )
    assert "upstream.proxy" in findings[1].remedy
    assert "pa55" not in str(findings)
    assert "407" in keys[0].message


async def test_o13_a_proxy_that_is_not_there_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    findings = await found(upstream, proxied("https://google.invalid", f"http://127.0.0.1:{port}"))

    assert findings[-1].message == (
        f"google.invalid:443 behind the proxy 127.0.0.1:{port} cannot be reached: Connection refused."
    )


async def test_o13_an_emulator_is_asked_through_the_proxy_by_its_whole_url() -> None:
    date = formatdate(time(), usegmt=True).encode()
    async with Proxy(b"HTTP/1.1 200 OK\r\nDate: %s\r\nContent-Length: 0\r\n\r\n" % date) as proxy:
        findings = await found(upstream, proxied("http://google.invalid:81", f"http://{proxy.url}"))

    assert proxy.asked.startswith(b"GET http://google.invalid:81/ ")
    assert [(f.check, f.result) for f in findings] == [
        ("dns", "passed"), ("tls", "skipped"), ("clock", "passed"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("days", "self_signed", "reason"),
    [(-1, False, "unable to get local issuer certificate"), (1, True, "self-signed certificate")],
)
async def test_o13_the_error_of_a_certificate_is_named(
    tmp_path: Path, days: int, self_signed: bool, reason: str
) -> None:
    context = Authority(tmp_path).server("localhost", days=days, self_signed=self_signed)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    findings = await found(upstream, config(f"https://localhost:{port}"))
    server.close()

    assert findings[-1].message == (
        f"localhost:{port} cannot be reached: its certificate is not accepted: {reason}."
    )


async def test_each_key_is_tried_and_none_is_shown() -> None:
    statuses = {"AQ.good": 200, "AQ.bad": 400, "AQ.spent": 429}

    async def answer(request: web.Request) -> web.Response:
        return web.json_response({}, status=statuses[request.headers["x-goog-api-key"]])

    app = web.Application()
    app.router.add_get("/v1beta/models", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    findings = await found(live_keys, config(url, GOOD="AQ.good", BAD="AQ.bad", SPENT="AQ.spent"))
    await runner.cleanup()

    assert [f.result for f in findings] == ["passed", "failed", "skipped"]
    assert findings[1].message == "Google refuses key 2 of project blue with 400."
    assert "AQ." not in str(findings)


@pytest.mark.parametrize(
    ("invocation", "error", "result"),
    [
        ("", errno.EPERM, "skipped"),
        ("1", errno.EPERM, "passed"),
        ("1", errno.ETIMEDOUT, "failed"),
        ("1", 0, "failed"),
    ],
)
def test_the_kernel_s_filter_is_tested_inside_the_unit(
    monkeypatch: pytest.MonkeyPatch, invocation: str, error: int, result: str
) -> None:
    def connect(*_: object) -> socket.socket:
        if error:
            raise OSError(error, os.strerror(error))
        return socket.socket()

    monkeypatch.setattr("gateway.cli.doctor_network.socket.create_connection", connect)
    monkeypatch.delenv("INVOCATION_ID", raising=False)
    if invocation:
        monkeypatch.setenv("INVOCATION_ID", invocation)

    assert kernel_filter().result == result


async def test_a_stream_that_a_proxy_holds_back_is_found(raw_upstream: RawUpstream, serve: Serve) -> None:
    runner = web.AppRunner(build_fake())  # at the pace of `gateway fake`
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = await serve("", f"http://127.0.0.1:{runner.addresses[0][1]}")
    through = await asyncio.to_thread(streaming, base, "gemini-2.5-flash", "AQ.key")
    await runner.cleanup()
    event = b"data: {}\n\n"
    raw_upstream.scripts = [[*chunked(event * 30), b"0\r\n\r\n"]]
    held = await asyncio.to_thread(streaming, raw_upstream.url, "gemini-2.5-flash", "AQ.key")
    raw_upstream.scripts = [whole(b"{}", b"502 Bad Gateway")]
    broken = await asyncio.to_thread(streaming, raw_upstream.url, "gemini-2.5-flash", "AQ.key")
    without = streaming(base, "gemini-2.5-flash", "")

    assert [each.result for each in (through, held, broken, without)] == [
        "passed",
        "failed",
        "failed",
        "skipped",
    ]
    assert "all 30 events of a stream came at once" in held.message


async def stream_in_batches(batches: list[int], pause: float, size: int = 0) -> Finding:
    """Return the finding about a stream whose events come in batches, with a pause after each."""
    event = b"data: {%s}\n\n" % (b" " * size)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        pieces = chunked(*(event * count for count in batches))
        for piece in pieces:
            writer.write(piece or b"")
            await writer.drain()
            await asyncio.sleep(pause if piece is not pieces[0] else 0)
        writer.write(b"0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finding = await asyncio.to_thread(streaming, url, "gemini-2.5-flash", "AQ.key")
    server.close()
    return finding


@pytest.mark.parametrize(
    ("batches", "pause", "size", "result"),
    [
        ([1, 1, 1, 3], 0.025, 300, "passed"),  # a short and fast answer, without a proxy
        ([1] * 20, 0.02, 0, "passed"),
        ([6], 0, 300, "skipped"),  # so short that one buffer has it all
        ([3, 3], 0.02, 300, "skipped"),
        ([6], 0, 1000, "failed"),
        ([40], 0, 300, "failed"),
        ([28, 12], 0.02, 300, "failed"),  # two of nginx's buffers
        ([28, 28, 28, 16], 0.02, 300, "failed"),
    ],
)
async def test_a_stream_is_judged_by_the_gaps_between_its_events(
    batches: list[int], pause: float, size: int, result: str
) -> None:
    finding = await stream_in_batches(batches, pause, size)

    assert (finding.check, finding.result) == ("streaming", result), finding
    if result == "skipped":
        assert "too short to tell: 6 events" in finding.message


async def test_a_certificate_that_this_machine_does_not_trust_has_its_remedy(tmp_path: Path) -> None:
    context = Authority(tmp_path).server("localhost", self_signed=True)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    finding = await asyncio.to_thread(streaming, f"https://localhost:{port}", "gemini-2.5-flash", "AQ.key")
    server.close()

    assert finding.message == "the certificate of localhost is not accepted: self-signed certificate."
    assert (
        "/usr/local/share/ca-certificates/gateway.crt, then update-ca-certificates and gateway roll"
        in finding.remedy
    )
