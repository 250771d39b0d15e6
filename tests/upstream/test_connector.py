"""The connector knows reused connections."""

import aiohttp

from gateway.upstream.connector import Connector, was_reused
from gateway.upstream.resolver import Resolver
from tests.support.fakegem import FakeGem


async def test_a_second_request_is_on_a_reused_connection() -> None:
    upstream = FakeGem()
    await upstream.start()
    async with aiohttp.ClientSession(connector=Connector(Resolver(lambda _: False))) as session:
        reused = []
        for _ in range(3):
            async with session.get(upstream.url) as response:
                await response.read()
            reused.append(was_reused())
        await upstream.stop()
        await upstream.start()
        async with session.get(upstream.url) as response:
            await response.read()
        reused.append(was_reused())
    await upstream.stop()

    assert reused == [False, True, True, False]
