"""Too long a prompt is told in the words that each surface's agents look for, before and inside a stream."""

import asyncio
import json
import re
from typing import Any

import aiohttp
import pytest

from tests.support.servers import RawUpstream, Serve

MESSAGE = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."
OPENAI = (
    "This model's maximum context length is 1048576 tokens. However, your messages resulted in 1200000 tokens. "
    "Please reduce the length of the messages."
)
ANTHROPIC = "prompt is too long: 1200000 tokens > 1048576 maximum"
STATUS = {"error": {"code": 400, "message": MESSAGE, "status": "INVALID_ARGUMENT"}}
TEXT = [{"role": "user", "content": "CTXLONG"}]
SURFACES: list[tuple[str, dict[str, Any], str]] = [
    ("/v1/chat/completions", {"messages": TEXT}, OPENAI),
    ("/v1/responses", {"input": "CTXLONG"}, OPENAI),
    ("/v1/completions", {"prompt": "CTXLONG"}, OPENAI),
    ("/v1/messages", {"messages": TEXT, "max_tokens": 100}, ANTHROPIC),
]


AGENTS = [
    ("Claude Code", r"(?i)prompt is too long[^0-9]*(\d+)\s*tokens?\s*>\s*(\d+)", ANTHROPIC),
    ("Cline", r"prompt is too long", ANTHROPIC),
    ("Cline", r"context length", OPENAI),
    ("pi, opencode", r"(?i)prompt is too long", ANTHROPIC),
    ("pi, opencode", r"(?i)maximum context length is \d+ tokens", OPENAI),
    ("pi, opencode", r"(?i)reduce the length of the messages", OPENAI),
    ("CrewAI", r"(?i)maximum context length", OPENAI),
    ("LiteLLM", r"This model's maximum context length is", OPENAI),
]
"""Agents, what each looks for (docs/refer/mapping/errors.md, "Words that agents act on"), and the words that it gets."""


@pytest.mark.row("G6")
@pytest.mark.parametrize(("agent", "pattern", "words"), AGENTS)
def test_g06_each_agent_finds_its_words(agent: str, pattern: str, words: str) -> None:
    match = re.search(pattern, words)

    assert match is not None, agent
    assert match.groups() in ((), ("1200000", "1048576"))


def refused() -> bytes:
    data = json.dumps(STATUS).encode()
    head = (
        f"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


def inside() -> bytes:
    data = b"data: " + json.dumps(STATUS).encode() + b"\r\n\r\n"
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n" + data


async def answer(http: aiohttp.ClientSession, base: str, path: str, body: dict[str, Any]) -> tuple[int, str]:
    async with http.post(base + path, json={"model": "gemini-2.5-flash", **body}) as response:
        return response.status, await response.text()


@pytest.mark.row("G6")
@pytest.mark.parametrize(("path", "body", "words"), SURFACES)
@pytest.mark.parametrize("streamed", [True, False])
async def test_g06_before_a_stream(
    http: aiohttp.ClientSession, serve: Serve, raw_upstream: RawUpstream,
    path: str, body: dict[str, Any], words: str, streamed: bool,
) -> None:  # fmt: skip
    raw_upstream.scripts = [[refused()]]
    base = await serve("", raw_upstream.url)
    status, text = await answer(http, base, path, {**body, "stream": streamed})

    error = json.loads(text)["error"]
    assert (status, error["message"], error["type"]) == (400, words, "invalid_request_error")
    if path != "/v1/messages":
        assert error["code"] == "context_length_exceeded"


@pytest.mark.row("G6")
@pytest.mark.parametrize(("path", "body", "words"), SURFACES)
async def test_g06_inside_a_stream(
    http: aiohttp.ClientSession, serve: Serve, raw_upstream: RawUpstream,
    path: str, body: dict[str, Any], words: str,
) -> None:  # fmt: skip
    """The grace is over, so status 200 is sent before Google refuses."""
    gate = asyncio.Event()
    raw_upstream.scripts = [[gate, inside()]]
    base = await serve("stream: {first_byte_grace: 0.02, keep_alive: 30}", raw_upstream.url)
    async with http.post(base + path, json={"model": "gemini-2.5-flash", **body, "stream": True}) as response:
        gate.set()
        text = await response.text()

    assert response.status == 200
    assert words in text
    assert ("context_length_exceeded" in text) is (path != "/v1/messages")
