"""Plugins with hooks in a running gateway, asked on every surface."""

import json
from importlib.metadata import EntryPoint
from typing import Any

import aiohttp
import pytest

from gateway.plugin import Plugin
from tests.support.surfaces import NATIVE, Reply, Surface

SERVED = "chat: {}, responses: {}, messages: {}, completions: {}, native: {}"
"""The plugins of all generating surfaces, for `plugins`."""


def install(monkeypatch: pytest.MonkeyPatch, **plugins: type[Plugin]) -> None:
    """Install plugins by name, as packages would."""
    points = [EntryPoint(name, f"tests.nowhere:{name}", "gateway.plugins") for name in plugins]
    monkeypatch.setattr("gateway.server.plugin_loader.entry_points", lambda: points)
    monkeypatch.setattr(EntryPoint, "load", lambda point: plugins[point.name])


async def ask(
    http: aiohttp.ClientSession, base: str, surface: Surface, text: str = "hello", **fields: Any
) -> Reply:
    """Ask a surface for an answer."""
    headers = {"x-goog-api-key": "test-key"} if surface.name == NATIVE.name else {}
    async with http.post(base + surface.path, json=surface.body(text, **fields), headers=headers) as response:
        body = await response.read()
        lowered = {name.lower(): value for name, value in response.headers.items()}
        return Reply(surface, response.status, lowered, body)


def asked(request: bytes) -> Any:
    """Return the JSON that Google was sent."""
    return json.loads(request.partition(b"\r\n\r\n")[2])
