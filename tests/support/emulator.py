"""Calls of the emulator over HTTP."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

KEY = {"x-goog-api-key": "k"}
Served = Callable[..., Awaitable[str]]
"""The fixture `served`: starts an emulator with a script and returns the URL of its models."""


async def call(method: str, url: str, body: Any = None) -> tuple[int, Any]:
    """Return the status, and the JSON of the answer or of each event of a stream."""
    async with (
        aiohttp.ClientSession(headers=KEY) as session,
        session.request(method, url, json=body) as response,
    ):
        text = await response.text()
    if "alt=sse" in url:
        return response.status, [json.loads(line[6:]) for line in text.split("\r\n\r\n") if line]
    return response.status, json.loads(text)
