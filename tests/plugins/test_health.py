"""Health checks."""

import aiohttp

from gateway.server.process.lifecycle import DRAIN
from tests.support.servers import Serve


async def test_health_says_nothing_but_that(http: aiohttp.ClientSession, gateway: str) -> None:
    async with http.get(gateway + "/healthz") as alive, http.get(gateway + "/readyz") as ready:
        assert (await alive.json(), await ready.json()) == ({"status": "ok"}, {"status": "ready"})


async def test_a_process_that_drains_is_alive_and_not_ready(
    http: aiohttp.ClientSession, serve: Serve
) -> None:
    base = await serve("plugins: {health: {}}")
    serve.app[DRAIN].draining = True
    async with http.get(base + "/healthz") as alive, http.get(base + "/readyz") as ready:
        assert (alive.status, await alive.json()) == (200, {"status": "ok"})
        assert (ready.status, await ready.json()) == (503, {"status": "draining"})
