"""P42, P43, C46: the shipped nginx site, which reloads, whose gateway is gone, or whose HTTP/2 clients misbehave."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

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
    await site.start()
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
