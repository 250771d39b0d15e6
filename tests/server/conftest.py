"""Fixtures of the server's tests."""

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.support.servers import Serve
from tests.support.team import Google, Team


@pytest.fixture
async def google() -> Google:
    return Google()


@pytest.fixture
async def team(serve: Serve, tmp_path: Path, google: Google, aiohttp_server: Any) -> Team:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", google.answer)
    server = await aiohttp_server(app)
    return Team(serve, tmp_path, str(server.make_url("")).rstrip("/"))
