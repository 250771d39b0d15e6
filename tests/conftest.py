"""Fixtures that every test may use."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import hypothesis
import pytest
from aiohttp import web

from gateway.emulator.server import build_fake
from tests.support.servers import Fake, RawUpstream, Serve

hypothesis.settings.register_profile("gateway", deadline=None)  # a clock depends on the machine
hypothesis.settings.load_profile("gateway")


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    serving = Serve()
    yield serving
    await serving.stop()


@pytest.fixture
async def fake() -> AsyncIterator[Fake]:
    app = build_fake(pace=0.001)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield Fake(app, f"http://127.0.0.1:{runner.addresses[0][1]}")
    await runner.cleanup()


@pytest.fixture
async def gateway(serve: Serve, fake: Fake) -> str:
    """A gateway with shipped settings in front of the emulator."""
    return await serve("", fake.url)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer test-key"}) as session:
        yield session


@pytest.fixture
async def raw_upstream() -> AsyncIterator[RawUpstream]:
    upstream = RawUpstream()
    server = await asyncio.start_server(upstream.answer, "127.0.0.1", 0)
    upstream.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield upstream
    server.close()
