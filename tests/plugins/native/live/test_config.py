"""`plugins.native.live`: each mistake is named with its place."""

import pytest

from gateway.errors import ConfigError
from tests.support.servers import Serve


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("sessions: -1", ">= 0"), ("sessions: many", "sessions"), ("per_client: 0", ">= 1"), ("message: 1000", ">= 65536"),
        ("message: 100000000", "<= 67108864"), ("idle: 0", "> 0"), ("total: 100000", "<= 86400"), ("frame: 1", "frame"),
    ],
)  # fmt: skip
async def test_a_mistake_is_named(serve: Serve, options: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        await serve(f"plugins: {{native: {{live: {{{options}}}}}}}")
    assert "native" in str(error.value)
    assert words in str(error.value)
