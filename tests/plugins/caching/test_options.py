"""Mistakes in the options of the plugin `caching`."""

import pytest

from gateway.errors import ConfigError
from tests.support.servers import Serve


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("least: 100", "plugins.caching.least"),
        ("asks: 1", "plugins.caching.asks"),
        ("ttl: 30", "plugins.caching.ttl"),
        ("dollars: -1", "plugins.caching.dollars"),
        ("size: 3", "unknown key 'size'"),
    ],
)
async def test_a_mistake_is_told_with_its_place(serve: Serve, options: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        await serve(f"plugins: {{chat: {{}}, caching: {{{options}}}}}", "http://127.0.0.1:1")

    assert message in str(caught.value)
    assert ":2:" in str(caught.value)
