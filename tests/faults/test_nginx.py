"""P42, P43, C12, C46: the shipped nginx site, which reloads, whose gateway is gone, or whose HTTP/2 clients misbehave."""

import asyncio
import json
import signal
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from tests.support.canaries import CANARIES, NAMED, hits
from tests.support.fakegem import LAST_CHUNK, STREAM_HEAD, FakeGem, chunk, event, message, until
from tests.support.http2 import DATA, H2
from tests.support.nginx import DOMAIN, Nginx, needs_nginx
from tests.support.site import Site, WatchedServe
from tests.support.waiting import eventually

pytestmark = [needs_nginx, pytest.mark.slow]
CHAT = "/v1/chat/completions"
BODY = json.dumps(
    {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "x"}], "stream": True}
).encode()
FIRST = event(message("one", None))


@pytest.fixture
async def nginx(site: Site, serve: WatchedServe, tmp_path: Path) -> AsyncIterator[Nginx]:
    """nginx in front of the gateway's Unix socket."""
    folder = tmp_path / "nginx"
    folder.mkdir()
    running = Nginx(folder)
    await site.start(more="stream: {keep_alive: 0.2}\n")
    await web.UnixSite(serve._runners[-1], str(running.upstream)).start()
    await running.start()
    yield running
    running.stop()


def post(key: str) -> bytes:
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: {DOMAIN}\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(BODY)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + BODY


@pytest.mark.row("P42")
async def test_p42_a_reload_of_nginx_keeps_streams(nginx: Nginx, site: Site, fakegem: FakeGem) -> None:
    go_on = asyncio.Event()
    fakegem.always = [STREAM_HEAD, chunk(FIRST), until(go_on), chunk(event(message("two"))), LAST_CHUNK]
    streams = [asyncio.create_task(nginx.send(post(site.key))) for _ in range(10)]
    await eventually(lambda: len(fakegem.requests) == 10)
    nginx.signal(signal.SIGHUP)
    assert b'"two"' in await _asked_again(nginx, site, fakegem)
    go_on.set()

    for answer in await asyncio.gather(*streams):
        assert b"200 OK" in answer
        assert b'"content":"one"' in answer
        assert b"[DONE]" in answer


async def _asked_again(nginx: Nginx, site: Site, fakegem: FakeGem) -> bytes:
    """Return the answer to a request that began after the reload."""
    fakegem.queue.append([STREAM_HEAD, chunk(event(message("two"))), LAST_CHUNK])
    return await nginx.send(post(site.key))


@pytest.mark.row("P43")
async def test_p43_without_the_gateway_nginx_answers_json(nginx: Nginx, site: Site) -> None:
    nginx.upstream.unlink()
    answer = await nginx.send(post(site.key))
    head, _, body = answer.partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 503")
    assert b"\r\nretry-after: 2" in head.lower()
    assert b"\r\ncontent-type: application/json" in head.lower()
    assert json.loads(body)["error"]["code"] == "gateway_down"


@pytest.mark.row("C12")
async def test_c12_a_client_that_ends_tls_only_is_gone_at_the_next_comment(
    nginx: Nginx, site: Site, fakegem: FakeGem
) -> None:
    """asyncio sends a close_notify (RFC 8446, section 6.1) and keeps the connection until the other side writes.

    nginx does not notice the close_notify by itself, so the gateway's comment is what tells.
    """
    fakegem.always = [STREAM_HEAD, chunk(FIRST), None]
    context = ssl.create_default_context(cafile=str(nginx.folder / "fullchain.pem"))
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", nginx.tls, ssl=context, server_hostname=DOMAIN
    )
    writer.write(post(site.key))
    await reader.readuntil(b"one")
    assert site.services.admission.in_progress == 1
    writer.close()

    await eventually(lambda: not site.services.admission.in_progress)


@pytest.mark.row("C46")
async def test_c46_requests_that_are_reset_at_once_leave_nothing(
    nginx: Nginx, site: Site, fakegem: FakeGem
) -> None:
    """CVE-2023-44487: requests that are cancelled as fast as they are sent."""
    fakegem.always = [STREAM_HEAD, chunk(FIRST), None]
    async with H2(nginx.tls, nginx.folder / "fullchain.pem", DOMAIN) as client:
        for _ in range(5):
            streams = [await client.ask(CHAT, site.key, BODY) for _ in range(100)]
            for stream in streams:
                await client.reset(stream)
    await eventually(lambda: not site.services.admission.in_progress)
    await eventually(lambda: not any(connection.busy for connection in fakegem.connections))


@pytest.mark.row("C46")
async def test_c46_each_reset_stream_ends_its_own_call_only(
    nginx: Nginx, site: Site, fakegem: FakeGem
) -> None:
    fakegem.always = [STREAM_HEAD, chunk(FIRST), None]
    async with H2(nginx.tls, nginx.folder / "fullchain.pem", DOMAIN) as client:
        streams = [await client.ask(CHAT, site.key, BODY) for _ in range(20)]
        await eventually(lambda: {s for kind, s, _ in client.frames if kind == DATA} == set(streams))
        for stream in streams[::2]:
            await client.reset(stream)
        await eventually(lambda: site.services.admission.in_progress == 10)
    await eventually(lambda: not site.services.admission.in_progress)


@pytest.mark.row("A27", "C15")
@pytest.mark.parametrize(
    ("head", "status"),
    [
        (
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 2000000\r\n\r\n",
            b"413",
        ),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: gateway.test\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: gateway.test\r\nX: " + b"x" * 40_000 + b"\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", b"400"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /metrics HTTP/1.1\r\nHost: gateway.test\r\n\r\n", b"404"),
    ],
    ids=["a large body", "a long line", "a long header", "a bad host", "nonsense", "a closed path"],
)
async def test_a27_what_nginx_refuses_is_json(nginx: Nginx, head: bytes, status: bytes) -> None:
    answer = await nginx.send(head, seconds=2)

    assert answer.split(b" ")[1] == status, answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["message"]


@pytest.mark.row("A27")
async def test_a27_an_address_has_so_many_requests_at_once(
    site: Site, serve: WatchedServe, fakegem: FakeGem, tmp_path: Path
) -> None:
    go_on = asyncio.Event()
    await site.start(more="stream: {keep_alive: 0.2}\n")
    nginx = Nginx(tmp_path)
    text = nginx.file.read_text()
    assert "limit_conn gateway_addresses 256;" in text
    nginx.file.write_text(
        text.replace("limit_conn gateway_addresses 256;", "limit_conn gateway_addresses 8;")
    )
    await web.UnixSite(serve._runners[-1], str(nginx.upstream)).start()
    await nginx.start()
    fakegem.always = [STREAM_HEAD, chunk(FIRST), until(go_on), chunk(event(message("two"))), LAST_CHUNK]
    streams = [asyncio.create_task(nginx.send(post(site.key), seconds=30)) for _ in range(8)]
    await eventually(lambda: len(fakegem.requests) == 8)
    answer = await nginx.send(post(site.key))
    go_on.set()
    await asyncio.gather(*streams)
    nginx.stop()

    assert b" 429 " in answer.partition(b"\r\n")[0]
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "rate_limit_exceeded"


@pytest.mark.row("A24")
@pytest.mark.parametrize("kind", [*CANARIES, *NAMED])
async def test_a24_no_log_of_nginx_has_a_planted_secret(nginx: Nginx, kind: str) -> None:
    secret = {**CANARIES, **NAMED}[kind].replace("\n", "%0A").replace(" ", "%20")
    for target in (
        f"/v1/{secret}",
        f"/{secret}/x",
        f"/?key={secret}",
        f"//{secret}",
        f"/v1/../{secret}",
        f"/{'x' * 9000}{secret}",
    ):
        for host in (DOMAIN, secret):
            head = f"GET {target} HTTP/1.1\r\nHost: {host}\r\nReferer: {secret}\r\nUser-Agent: {secret}\r\nConnection: close\r\n\r\n"
            await nginx.send(head.encode(), seconds=2)
            await nginx.send(head.encode(), tls=False, seconds=2)
    logs = b"".join(file.read_bytes() for file in nginx.folder.glob("*.log"))

    assert b'"method":"GET"' in logs
    assert hits(logs) == []
