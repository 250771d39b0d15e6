"""P02, P05, P10, P22, P31: rolling restarts on one socket, kills, and a loop that is blocked."""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from time import monotonic
from typing import Any

import aiohttp
import pytest

from tests.support.gateway_process import Gateway, config, ready
from tests.support.paths import ROOT
from tests.support.rolling import SharedSocket
from tests.support.servers import Fake

BODY = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "x"}]}
SLOW = {**BODY, "messages": [{"role": "user", "content": "[[chunks 100]]" + "x" * 300}], "stream": True}
"""A stream of the emulator that takes a while."""
Shared = Callable[..., SharedSocket]


@pytest.fixture
async def shared(tmp_path: Path, fake: Fake) -> AsyncIterator[Shared]:
    """Makes a socket for gateways in front of the emulator."""
    sockets: list[SharedSocket] = []

    def make(text: str = "") -> SharedSocket:
        sockets.append(SharedSocket(tmp_path, f"upstream: {{base_url: '{fake.url}'}}\ndrain: 20\n{text}"))
        return sockets[-1]

    yield make
    for each in sockets:
        each.close()


class Load:
    """Requests and streams, one after another on many connections, until `stop`."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._ended = False
        self.results: Counter[object] = Counter()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, requests: int = 10, streams: int = 10) -> None:
        bodies = [BODY] * requests + [SLOW] * streams
        self._tasks = [asyncio.create_task(self._repeat(body)) for body in bodies]

    async def stop(self) -> Counter[object]:
        """Return how often each outcome was seen."""
        self._ended = True
        await asyncio.gather(*self._tasks)
        return self.results

    async def _repeat(self, body: dict[str, Any]) -> None:
        async with aiohttp.ClientSession(headers={"Authorization": "Bearer AQ.k"}) as http:
            while not self._ended:
                try:
                    async with http.post(f"{self._base}/v1/chat/completions", json=body) as response:
                        text = await response.text()
                        whole = "[DONE]" in text if body is SLOW else '"finish_reason":"stop"' in text
                        self.results[(body is SLOW, response.status, whole)] += 1
                except (aiohttp.ClientError, OSError) as error:
                    self.results[repr(error)] += 1


@pytest.mark.slow
@pytest.mark.row("P02", "P05")
async def test_p05_rolling_restarts_lose_nothing(shared: Shared) -> None:
    """100 of them in the booted server: make soak-restarts."""
    gateways = shared()
    await gateways.start()
    load = Load(gateways.base)
    load.start()
    codes = [await gateways.roll() for _ in range(4)]
    results = await load.stop()

    assert codes == [0] * 4
    assert set(results) == {(False, 200, True), (True, 200, True)}
    assert min(results.values()) >= 10


@pytest.mark.slow
@pytest.mark.row("P22")
async def test_p22_after_a_kill_clients_wait_for_the_next_process(shared: Shared) -> None:
    gateways = shared()
    await gateways.start()
    gateways.processes[-1].kill()
    gateways.processes[-1].wait(10)
    async with aiohttp.ClientSession() as http:
        asking = asyncio.create_task(http.get(f"{gateways.base}/healthz").__aenter__())
        await asyncio.sleep(0.2)
        assert not asking.done()  # connected, and not refused
        await gateways.start()
        response = await asking
        assert response.status == 200
        response.release()


BLOCKING = """
import os, sys, time
from aiohttp import web
from gateway.plugin import Plugin
from gateway.server.plugin_loader import BUILT_IN
class Blocking(Plugin):
    def routes(self):
        return [web.get("/block", self.block)]
    async def block(self, request):
        time.sleep(float(request.query["seconds"]))
        return web.json_response({})
sys.modules["blocking"] = sys.modules["__main__"]
BUILT_IN["blocking"] = "blocking:Blocking"
from gateway.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.row("P31")
async def test_p31_a_blocked_loop_does_not_feed_the_watchdog(
    start: list[Gateway],
    tmp_path: Path,
    http: aiohttp.ClientSession,
) -> None:
    gateway = Gateway(tmp_path, config("http://127.0.0.1:9") + "plugins: {blocking: {}}\n")
    start.append(gateway)
    gateway._arguments[0:2] = ["-c", BLOCKING]
    gateway.environ["WATCHDOG_USEC"] = "600000"
    base = await ready(gateway)
    await gateway.notified("WATCHDOG=1")
    blocking = asyncio.create_task(http.get(f"{base}/block?seconds=2").__aenter__())
    begun, longest = monotonic(), 0.0
    while monotonic() - begun < 3:
        before = monotonic()
        await gateway.notified("WATCHDOG=1")
        longest = max(longest, monotonic() - before)
    (await blocking).release()

    assert longest > 1.5


@pytest.mark.slow
@pytest.mark.row("P10", "P11")
async def test_p10_kills_under_load_lose_no_acknowledged_row() -> None:
    """Twenty of them: make test-cluster."""
    environ = {**os.environ, "KILLS": "3"}
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "tests.cluster.kills"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 without their row" in done.stdout
