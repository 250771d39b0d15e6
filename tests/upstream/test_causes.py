"""Why the upstream cannot be reached: host and cause in the log, the class alone for the client."""

import asyncio
import errno
import logging
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.config.sections import TimeoutsConfig, UpstreamConfig
from gateway.errors import UpstreamError
from gateway.upstream.causes import Reach, cause_of
from gateway.upstream.client import GeminiClient
from gateway.upstream.transport import lost
from tests.support.certificates import Authority

Failure = Callable[..., Coroutine[object, object, UpstreamError]]


@asynccontextmanager
async def listening(answer: bytes = b"", context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve one answer to whatever is sent, on a port of its own."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.fixture(params=["http1", "aiohttp"])
def failure(request: pytest.FixtureRequest) -> Failure:
    """Return the error of one call, by each transport."""

    async def call(base_url: str, proxy: str | None = None) -> UpstreamError:
        config = UpstreamConfig(
            base_url=base_url, private_addresses=True, timeouts=TimeoutsConfig(connect=1.0), proxy=proxy,
            transport=request.param,
        )  # fmt: skip
        async with GeminiClient(config) as client:
            with pytest.raises(UpstreamError) as caught:
                await client.ask("models", None, "AQ.key")
            with pytest.raises(UpstreamError) as forwarded:
                await client.forward("GET", "/v1beta/models", {}, None, "AQ.key")
        assert forwarded.value.detail == caught.value.detail
        return caught.value

    return call


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


async def test_o13_a_refused_connection(failure: Failure) -> None:
    port = closed_port()
    error = await failure(f"http://127.0.0.1:{port}")

    assert (error.code, error.message) == (
        "upstream_unreachable",
        "The upstream cannot be reached: connection refused.",
    )
    assert error.detail == f"127.0.0.1:{port}: Connection refused"


async def test_o13_a_name_that_dns_does_not_know(failure: Failure) -> None:
    error = await failure("https://gemini.invalid")

    assert error.message == "The upstream cannot be reached: its name cannot be resolved."
    assert error.detail.startswith("gemini.invalid:443: its name cannot be resolved: ")
    assert len(error.detail) > len("gemini.invalid:443: its name cannot be resolved: ")


async def test_o13_a_server_that_takes_no_connection(failure: Failure) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        port = server.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for entry in waiting:
            entry.setblocking(False)
            entry.connect_ex(("127.0.0.1", port))
        error = await failure(f"http://127.0.0.1:{port}")
        for entry in waiting:
            entry.close()

    assert (error.code, error.message) == ("upstream_timeout", "The upstream cannot be reached: time-out.")
    assert error.detail == f"127.0.0.1:{port}: no answer in time"


@pytest.mark.parametrize(
    ("host", "days", "self_signed", "reason"),
    [
        ("localhost", -1, False, "certificate has expired"),
        ("localhost", 1, True, "self-signed certificate"),
        ("other.example", 1, False, "Hostname mismatch, certificate is not valid for 'localhost'."),
        ("localhost", 1, False, "unable to get local issuer certificate"),
    ],
)
async def test_o13_a_certificate_that_is_not_accepted(
    failure: Failure,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    days: int,
    self_signed: bool,
    reason: str,
) -> None:
    authority = Authority(tmp_path)
    if "issuer" not in reason:
        monkeypatch.setattr("gateway.upstream.client.tls_context", authority.trusting)
    async with listening(context=authority.server(host, days=days, self_signed=self_signed)) as port:
        error = await failure(f"https://localhost:{port}")

    assert error.message == "The upstream cannot be reached: TLS failed."
    assert error.detail == f"localhost:{port}: its certificate is not accepted: {reason}"


async def test_o13_a_server_without_tls(failure: Failure) -> None:
    async with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        error = await failure(f"https://localhost:{port}")

    assert error.message == "The upstream cannot be reached: TLS failed."
    assert error.detail == f"localhost:{port}: TLS failed: WRONG_VERSION_NUMBER"


async def test_o13_a_connection_that_is_closed_at_once(failure: Failure) -> None:
    async with listening() as port:
        error = await failure(f"http://127.0.0.1:{port}")

    assert (error.code, error.message) == (
        "upstream_unreachable",
        "The upstream cannot be reached: connection closed.",
    )
    assert error.detail == f"127.0.0.1:{port}: the connection was closed without an answer"


async def test_o13_a_proxy_that_is_not_there_or_refuses(failure: Failure) -> None:
    port = closed_port()
    error = await failure("https://gemini.invalid", proxy=f"http://127.0.0.1:{port}")
    assert error.message == "The upstream cannot be reached: the proxy failed."
    assert error.detail == f"gemini.invalid:443: the proxy 127.0.0.1:{port}: Connection refused"

    async with listening(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n") as port:
        error = await failure("https://gemini.invalid", proxy=f"http://user:secret@127.0.0.1:{port}")
    assert error.message == "The upstream cannot be reached: the proxy failed."
    assert error.code == "upstream_unreachable"
    assert error.detail == (
        f"gemini.invalid:443: the proxy 127.0.0.1:{port}: the proxy answered 407 Proxy Authentication Required"
    )
    error = await failure("https://gemini.example", proxy="http://proxy.invalid:3128")
    assert error.message == "The upstream cannot be reached: the proxy failed."
    assert error.detail.startswith(
        "gemini.example:443: the proxy proxy.invalid:3128: its name cannot be resolved"
    )


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (OSError(errno.EPERM, "Operation not permitted"), "denied", "IPAddressDeny="),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "route", "Network is unreachable"),
        (OSError(errno.ETIMEDOUT, "x"), "timeout", "Connection timed out"),
        (OSError("Multiple exceptions: [Errno 111] a, [Errno 111] b"), "refused", "Connection refused"),
        (OSError("Multiple exceptions: [Errno 111] a, [Errno 101] b"), "network", "[Errno 101] b"),
        (OSError("Tunnel connection failed: 403 Forbidden"), "proxy", "the proxy refused: 403 Forbidden"),
        (ssl.SSLError(1, "[SSL: TLSV1_ALERT] x"), "tls", "TLSV1_ALERT"),
        (OSError(errno.EIO, "Input/output error"), "network", "Input/output error"),
        (RuntimeError(), "network", "RuntimeError"),
    ],
)
def test_o13_causes_of_the_system(error: Exception, kind: str, text: str) -> None:
    cause = cause_of(error)

    assert cause.kind == kind
    assert text in cause.text


def unreachable(number: int) -> UpstreamError:
    error = lost()
    error.__cause__ = OSError(number, os.strerror(number))
    return error


def test_o13_a_class_is_logged_once_a_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 1000.0
    monkeypatch.setattr("gateway.upstream.causes.monotonic", lambda: now)
    reach = Reach(UpstreamConfig(base_url="https://a.example"))
    caplog.set_level(logging.WARNING)
    for _ in range(50):  # one in two connections fails
        reach.explain(unreachable(errno.ECONNREFUSED))
        reach.succeeded()
        reach.explain(unreachable(errno.ECONNRESET))
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "the upstream cannot be reached",
        "the upstream can be reached again",
    ]
    now += 61
    reach.explain(unreachable(errno.ECONNREFUSED))
    assert len(caplog.records) == 3
