"""@google/genai through the gateway: its requests and answers are those of a direct connection, byte for byte."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from tests.sdk.test_javascript import FOLDER, without_node
from tests.support.native_traffic import HOP_BY_HOP, Received, Replaying, google
from tests.support.servers import Serve, upstream_of


async def run(base: str, version: str, folder: Path) -> Any:
    """Return for each use what the SDK makes of its answers, and the answers."""
    process = await asyncio.create_subprocess_exec(
        "node", str(FOLDER / "google_genai.mjs"),
        stderr=asyncio.subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], "BASE_URL": base, "API_VERSION": version, "FOLDER": str(folder)},
    )  # fmt: skip
    try:
        async with asyncio.timeout(60):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return json.loads((folder / "results.json").read_text())


def sent(received: list[Received]) -> list[Any]:
    """Return what has arrived, in the order of the SDK, without headers of one connection and those of the gateway."""
    own = HOP_BY_HOP | {"x-gemini-gateway-hop", "cookie"}  # the SDK sends an empty one, which says nothing
    return [
        (
            r.method,
            r.path,
            r.body,
            {name: value for name, value in r.headers.items() if name not in own},
        )
        for r in received
    ]


@pytest.mark.row("N2")
@pytest.mark.skipif(bool(without_node()), reason=without_node() or "-")
@pytest.mark.parametrize("version", ["v1", "v1beta"])
async def test_n2_googles_javascript_sdk_sees_what_it_would_without_a_gateway(
    serve: Serve, tmp_path: Path, aiohttp_server: Callable[..., Awaitable[TestServer]], version: str
) -> None:
    upstream = Replaying(google)
    url = await upstream_of(aiohttp_server, upstream.answer)
    base = await serve("plugins: {native: {}}", url)
    direct, received = await run(url, version, tmp_path), sent(upstream.received)
    upstream.received.clear()
    upstream.cut = 50
    through = await run(base, version, tmp_path)

    for name, use in direct.items():
        assert not str(use["result"]).startswith(("Error", "TypeError", "ApiError")), (name, use)
        assert use["answers"], name
        assert through[name] == use, name
    assert sent(upstream.received) == received
