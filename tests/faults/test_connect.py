"""Faults before the first byte of an answer: connections, names, TLS."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.observability.request_log import RequestLog
from tests.support.certificates import Authority
from tests.support.fakegem import close, good, reset, until
from tests.support.site import Site
from tests.support.surfaces import (
    CHAT,
    CHAT_STREAM,
    MESSAGES,
    NATIVE,
    RESPONSES_STREAM,
    TRANSLATED,
    Surface,
    assert_refused,
    assert_whole,
)
from tests.support.waiting import eventually

FOUR = pytest.mark.parametrize("surface", [CHAT, CHAT_STREAM, MESSAGES, NATIVE])
NAME = "gemini.example"


class Names:
    """A stub of the system's resolver for the one name that tests use."""

    def __init__(self) -> None:
        self.answer: str | Exception = "127.0.0.1"
        self.free = threading.Event()
        self.free.set()
        self.waiting = 0
        self._real = socket.getaddrinfo

    def __call__(self, host: str, port: int, *rest: Any, **options: Any) -> list[Any]:
        if host != NAME:
            return list(self._real(host, port, *rest, **options))
        self.waiting += 1
        self.free.wait(20)
        self.waiting -= 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (self.answer, port))]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    stub = Names()
    monkeypatch.setattr(socket, "getaddrinfo", stub)
    yield stub
    stub.free.set()


@pytest.mark.row("U01")
@FOUR
async def test_u01_a_refused_connection_is_tried_twice(site: Site, surface: Surface) -> None:
    await site.start()
    await site.upstream.stop()

    reply = await site.ask(surface)

    assert_refused(reply, 502, "upstream_unreachable")
    # the native surface passes a call on once
    assert await site.outcomes() == ["error"] * (1 if surface is NATIVE else 2)


async def test_o13_the_client_gets_the_class_and_the_log_host_and_cause(
    site: Site, request_lines: list[RequestLog], caplog: pytest.LogCaptureFixture
) -> None:
    await site.start()
    port = site.upstream.port
    await site.upstream.stop()
    for surface in (CHAT, MESSAGES, NATIVE):
        reply = await site.ask(surface)
        assert reply.status == 502
        assert b"cannot be reached: connection refused." in reply.body
        assert str(port).encode() not in reply.body
        assert b"127.0.0.1" not in reply.body
        assert request_lines[-1].cause == f"127.0.0.1:{port}: Connection refused"

    lines = [record.getMessage() for record in caplog.records if record.name == "gateway.upstream"]
    assert lines == [f"the upstream cannot be reached: 127.0.0.1:{port}: Connection refused"]
    await site.upstream.heal()
    assert (await site.ask()).status == 200
    assert caplog.records[-1].getMessage() == f"the upstream can be reached again: 127.0.0.1:{port}"


@pytest.mark.row("U02")
@FOUR
async def test_u02_a_connection_that_is_not_answered_times_out(site: Site, surface: Surface) -> None:
    await site.start(connect=0.2)
    await site.upstream.swallow()

    assert_refused(await site.ask(surface), 504, "upstream_timeout")
    assert await site.outcomes() == ["error"]


@pytest.mark.row("U03")
@pytest.mark.parametrize("surface", [CHAT, CHAT_STREAM, MESSAGES])
async def test_u03_a_name_that_does_not_exist_is_forgotten(
    site: Site, names: Names, surface: Surface
) -> None:
    names.answer = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    await site.start(f"http://{NAME}:{site.upstream.port}", upstream=", private_addresses: true")

    assert_refused(await site.ask(surface), 502, "upstream_unreachable")
    assert await site.outcomes() == ["error"], "another attempt would meet the same answer"
    names.answer = "127.0.0.1"
    assert_whole(await site.ask(surface))


@pytest.mark.row("U04")
async def test_u04_known_addresses_serve_while_dns_is_silent(
    site: Site, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.upstream.resolver._FRESH", 0.0)
    await site.start(f"http://{NAME}:{site.upstream.port}", upstream=", private_addresses: true")
    assert_whole(await site.ask())
    names.free.clear()
    site.upstream.end_idle()

    replies = await asyncio.gather(*(site.ask(surface) for surface in (*TRANSLATED, NATIVE)))

    for reply in replies:
        assert_whole(reply)
    await eventually(lambda: names.waiting == 1)
    names.free.set()


@pytest.mark.row("U04")
async def test_u04_without_known_addresses_a_silent_dns_is_a_timeout(site: Site, names: Names) -> None:
    names.free.clear()
    await site.start(f"http://{NAME}:{site.upstream.port}", upstream=", private_addresses: true", connect=0.2)

    replies = await asyncio.gather(*(site.ask() for _ in range(50)))

    for reply in replies:
        assert_refused(reply, 504, "upstream_timeout")
    assert names.waiting == 1, "requests wait for the same lookup"
    assert await asyncio.to_thread(lambda: "free") == "free", "other work has its own threads"
    names.free.set()


@pytest.mark.row("U05")
@FOUR
async def test_u05_a_private_address_for_a_public_name_is_refused(
    site: Site, names: Names, surface: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.start(f"http://{NAME}:{site.upstream.port}")

    assert_refused(await site.ask(surface), 502, "upstream_unreachable")
    assert site.upstream.connections == []
    # DNS is right again: here the address of the tests' own upstream has to count as public for that
    monkeypatch.setattr("gateway.upstream.resolver.is_public", lambda _: True)


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """The only authority that the gateway trusts."""
    created = Authority(tmp_path)
    monkeypatch.setattr("gateway.upstream.client.tls_context", created.trusting)
    return created


def certificate(fault: str, authority: Authority, folder: Path) -> ssl.SSLContext:
    """Return a server's context with one fault."""
    if fault == "unknown authority":
        (folder / "other").mkdir()
        return Authority(folder / "other").server("127.0.0.1")
    host = "wrong.example" if fault == "wrong host" else "127.0.0.1"
    return authority.server(host, days=-1 if fault == "expired" else 1, self_signed=fault == "self-signed")


@pytest.mark.row("U06")
@pytest.mark.parametrize("fault", ["wrong host", "expired", "self-signed", "unknown authority"])
async def test_u06_a_bad_certificate_gets_no_key(
    site: Site, authority: Authority, fault: str, tmp_path: Path
) -> None:
    await site.upstream.stop()
    await site.upstream.start(certificate(fault, authority, tmp_path))
    await site.start(f"https://127.0.0.1:{site.upstream.port}")

    for surface in (CHAT, CHAT_STREAM, MESSAGES, NATIVE):
        assert_refused(await site.ask(surface), 502, "upstream_unreachable")

    assert site.upstream.requests == []
    assert await site.outcomes() == ["error"] * 4, "another attempt would meet the same certificate"
    await site.upstream.stop()
    site.upstream.tls = authority.server("127.0.0.1")


@pytest.mark.row("U07")
@FOUR
async def test_u07_a_handshake_that_stalls_times_out(
    site: Site, authority: Authority, surface: Surface
) -> None:
    await site.start(f"https://127.0.0.1:{site.upstream.port}", connect=0.2)

    assert_refused(await site.ask(surface), 504, "upstream_timeout")

    assert site.upstream.requests == []
    await site.upstream.stop()
    site.upstream.tls = authority.server("127.0.0.1")


@pytest.mark.row("U08")
@pytest.mark.parametrize("surface", TRANSLATED)
async def test_u08_a_reset_before_the_headers_is_retried(site: Site, surface: Surface) -> None:
    await site.start()
    site.upstream.queue.append([reset])

    assert_whole(await site.ask(surface))
    assert await site.outcomes() == ["error", "ok"]


@pytest.mark.row("U09")
@pytest.mark.parametrize("fault", [close, reset])
@pytest.mark.parametrize("surface", [*TRANSLATED, NATIVE])
async def test_u09_a_reused_connection_that_closes_is_repeated_at_once(
    site: Site, surface: Surface, fault: Any
) -> None:
    await site.start()
    assert_whole(await site.ask(surface))
    site.upstream.queue.append([fault])

    assert_whole(await site.ask(surface))
    assert await site.outcomes() == ["ok", "error", "ok"]


@pytest.mark.row("U09")
async def test_u09_many_pooled_connections_close_at_once(site: Site) -> None:
    await site.start()
    await asyncio.gather(*(site.ask(RESPONSES_STREAM) for _ in range(20)))
    pooled = sum(1 for connection in site.upstream.connections if not connection.writer.is_closing())
    site.upstream.always = lambda request: [close] if site.upstream.current.requests > 1 else good(request)

    for reply in await asyncio.gather(*(site.ask() for _ in range(20))):
        assert_whole(reply)
    assert (await site.outcomes()).count("error") <= pooled


@pytest.mark.row("U09")
async def test_u09_when_one_pooled_connection_has_closed_the_others_are_not_tried(site: Site) -> None:
    await site.start()
    go_on = asyncio.Event()
    site.upstream.always = lambda request: [until(go_on), *good(request)]
    asking = [asyncio.create_task(site.ask()) for _ in range(5)]
    await eventually(lambda: len(site.upstream.requests) == 5)
    go_on.set()
    await asyncio.gather(*asking)
    site.upstream.always = lambda request: [close] if site.upstream.current.requests > 1 else good(request)

    assert_whole(await site.ask())
    assert (await site.outcomes()).count("error") == 1


@pytest.mark.row("U09")
@pytest.mark.slow
async def test_u09_a_thousand_connections_close_after_their_answer(site: Site) -> None:
    await site.start()
    site.upstream.always = lambda request: [*good(request), close]

    for _ in range(100):
        for reply in await asyncio.gather(*(site.ask() for _ in range(10))):
            assert_whole(reply)
    assert set(await site.outcomes()) == {"ok"}
