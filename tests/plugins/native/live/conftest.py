"""Google's side of the Live API, and a team in front of it."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer

from tests.support.live import Google
from tests.support.servers import Serve, upstream_of
from tests.support.team import Team


@pytest.fixture
async def google() -> Google:
    return Google()


@pytest.fixture
async def upstream(google: Google, aiohttp_server: Callable[..., Awaitable[TestServer]]) -> str:
    """The base URL of `google`."""
    return await upstream_of(aiohttp_server, google.answer)


@pytest.fixture
async def team(serve: Serve, tmp_path: Path, upstream: str) -> Team:
    return Team(serve, tmp_path, upstream)
