"""Full thread pools, plugins that hang, one client with a thousand streams, and nginx in front."""

import asyncio
import os
import sys
import threading
from collections import Counter

import aiohttp
import pytest
from aiohttp import web

from gateway.plugin import Plugin
from gateway.policy.clients.client_rules import Rules
from gateway.server.plugin_loader import BUILT_IN
from tests.support.paths import ROOT
from tests.support.site import Site
from tests.support.surfaces import CHAT, CHAT_STREAM, assert_whole


@pytest.mark.row("P32")
async def test_p32_a_full_default_pool_of_threads_holds_up_no_request(site: Site) -> None:
    await site.start(url=site.upstream.url.replace("127.0.0.1", "localhost"))  # a name to be looked up
    loop, going_on = asyncio.get_running_loop(), threading.Event()
    blocked = [loop.run_in_executor(None, going_on.wait, 30) for _ in range(64)]
    try:
        for surface in (CHAT, CHAT_STREAM):
            assert_whole(await asyncio.wait_for(site.ask(surface), 20))
    finally:
        going_on.set()
        await asyncio.gather(*blocked)


class Hanging(Plugin):
    """A plugin whose routes hang, fail in odd ways, and answer junk."""

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(f"/{name}", getattr(self, name)) for name in ("hangs", "exits", "junk", "group", "twice")
        ]

    async def hangs(self, _: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async def exits(self, _: web.Request) -> web.Response:
        raise GeneratorExit

    async def junk(self, _: web.Request) -> web.Response:
        return "junk"  # type: ignore[return-value]  # that is the mistake

    async def group(self, _: web.Request) -> web.Response:
        raise ExceptionGroup("several", [ValueError("a"), KeyError("b")])

    async def twice(self, request: web.Request) -> web.Response:
        answer = web.StreamResponse()
        await answer.prepare(request)
        raise RuntimeError("after the head")


@pytest.mark.row("P33")
async def test_p33_a_plugin_that_fails_takes_only_its_own_route_down(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BUILT_IN, "hanging", f"{__name__}:Hanging")
    monkeypatch.setattr(
        "gateway.observability.json_log.JsonLog.event", lambda *_, **__: None
    )  # lines of the crashes
    await site.start(more="plugins: {chat: {}, hanging: {}}\n")
    results: dict[str, object] = {}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(sock_read=1)) as http:
        for path in ("junk", "group", "twice", "hangs"):
            try:
                async with http.get(f"{site.base}/{path}") as response:
                    results[path] = (response.status, (await response.json())["error"]["type"])
            except (aiohttp.ClientError, TimeoutError) as error:
                results[path] = type(error).__name__
            assert_whole(await site.ask(CHAT))

    assert results["junk"] == results["group"] == (500, "server_error")
    assert isinstance(results["twice"], str)  # the connection ends: a head was sent
    assert results["hangs"] == "SocketTimeoutError"


@pytest.mark.row("C42")
async def test_c42_a_client_with_a_thousand_streams_leaves_room_for_others(site: Site) -> None:
    await site.start(rules=Rules(streams=20))
    greedy = site.key
    replies = await asyncio.gather(*(site.ask(CHAT_STREAM) for _ in range(1000)))
    statuses = Counter(reply.status for reply in replies)

    assert set(statuses) <= {
        200,
        429,
        503,
    }  # 503: a thousand clients in this process are too much work at once
    assert statuses[200] >= 20
    assert statuses[429] >= 100
    assert all("retry-after" in reply.headers for reply in replies if reply.status != 200)
    await site.issue()
    assert site.key != greedy
    assert_whole(await site.ask(CHAT))


@pytest.mark.slow
@pytest.mark.row("P37")
async def test_p37_live_streams_hold_memory_flat() -> None:
    """5,000 of them for 15 minutes: make soak-streams."""
    await soak("streams", COUNT="200", DURATION="6")


@pytest.mark.slow
@pytest.mark.row("P38")
async def test_p38_mixed_requests_leave_no_memory_behind() -> None:
    """Any number of them: make soak-mixed."""
    await soak("mixed", COUNT="6000")


async def soak(name: str, **environ: str) -> None:
    """Run a soak for a short time; its exit code says whether its targets are met."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"tests.soak.{name}", cwd=ROOT, env={**os.environ, **environ},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()

    assert process.returncode == 0, output.decode()
