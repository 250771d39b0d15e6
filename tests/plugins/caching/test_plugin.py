"""The plugin `caching`: whether it is there."""

from gateway.plugin import SERVICES
from tests.support.servers import Fake, Serve


async def test_without_the_plugin_nothing_looks_at_beginnings(serve: Serve, fake: Fake) -> None:
    await serve("plugins: {chat: {}}", fake.url)
    assert serve.app[SERVICES].exchange.prefixes is None

    await serve.stop()
    await serve("plugins: {chat: {}, caching: {}}", fake.url)
    assert serve.app[SERVICES].exchange.prefixes is not None
