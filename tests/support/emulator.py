"""Calls of the emulator, over HTTP and direct."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from gateway.emulator.chunks import joined
from gateway.emulator.replies import reply_to

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


def chunks(model: str, *parts: Any, **fields: Any) -> list[dict[str, Any]]:
    """Return the chunks of the reply to one user turn; a part may be a text."""
    content = [part if isinstance(part, dict) else {"text": part} for part in parts]
    return reply_to(model, {"contents": [{"role": "user", "parts": content}], **fields}).chunks


def answer(model: str, *parts: Any, **fields: Any) -> dict[str, Any]:
    """Return the candidate of the unary answer."""
    candidate: dict[str, Any] = joined(chunks(model, *parts, **fields))["candidates"][0]
    return candidate


def text(model: str, *parts: Any, **fields: Any) -> str:
    """Return the text of the unary answer."""
    return "".join(part["text"] for part in answer(model, *parts, **fields)["content"]["parts"])


def config(**fields: Any) -> dict[str, Any]:
    """Return the field generationConfig."""
    return {"generationConfig": fields}


def user(*parts: Any) -> dict[str, Any]:
    """Return a user's turn; a string is a text part."""
    return {"role": "user", "parts": [{"text": part} if isinstance(part, str) else part for part in parts]}
