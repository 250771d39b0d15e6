"""Fixtures of the emulator's tests."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer

from gateway.emulator.script import load_script
from gateway.emulator.server import build_fake
from tests.support.emulator import Served


@pytest.fixture
async def served(aiohttp_server: Callable[..., Awaitable[TestServer]], tmp_path: Path) -> Served:
    """Start an emulator with a script; return the URL of its models."""

    async def start(script: str = "") -> str:
        file = tmp_path / "rules.yaml"
        file.write_text(script)
        server = await aiohttp_server(build_fake(load_script(file), pace=0))
        return str(server.make_url("/v1beta/models"))

    return start
