"""Fixtures of the transports: both event loops, both transports, and an upstream of raw sockets."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from gateway.config.sections import TimeoutsConfig
from gateway.upstream.aiohttp_transport import AiohttpTransport
from gateway.upstream.http1.pool import Http1Pool
from gateway.upstream.resolver import Resolver
from gateway.upstream.transport import Transport
from tests.support.fakegem import FakeGem

TIMES = TimeoutsConfig(connect=5, idle=5, write=5)

NewTransport = Callable[..., Transport]
"""Makes a transport of a URL, and of `times` and `tls`, which the test's end closes."""


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run the tests of this folder on both event loops."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def upstream() -> AsyncIterator[FakeGem]:
    server = FakeGem()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture(params=["http1", "aiohttp"])
async def new_transport(request: pytest.FixtureRequest) -> AsyncIterator[NewTransport]:
    opened: list[Transport] = []

    def new(url: str, times: TimeoutsConfig = TIMES, tls: ssl.SSLContext | None = None) -> Transport:
        resolver = Resolver(lambda _: False)
        transport: Transport = (
            Http1Pool(url, {"x-fixed": "1"}, resolver, times, tls)
            if request.param == "http1"
            else AiohttpTransport(url, {"x-fixed": "1"}, resolver, times, tls, None)
        )
        opened.append(transport)
        return transport

    yield new
    for transport in opened:
        await transport.close()
