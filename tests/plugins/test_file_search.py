"""A document of a file store has no address: each surface cites it by its title."""

import json
from typing import Any

import aiohttp
import pytest

from tests.support.servers import RawUpstream, Serve, ok, whole

ANSWER = {
    "candidates": [
        {
            "content": {"parts": [{"text": "Ask at the desk."}]},
            "finishReason": "STOP",
            "groundingMetadata": {
                "groundingChunks": [
                    {"retrievedContext": {"title": "handbook.pdf", "text": "Ask at the desk"}}
                ],
                "groundingSupports": [
                    {"segment": {"endIndex": 16, "text": "Ask at the desk."}, "groundingChunkIndices": [0]}
                ],
            },
        }
    ]
}
REQUESTS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "x"}]},
    "/v1/responses": {"input": "x", "store": False},
    "/v1/messages": {"max_tokens": 9, "messages": [{"role": "user", "content": "x"}]},
}


@pytest.mark.row("T10")
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("path", REQUESTS)
async def test_t10_the_title_reaches_the_client(
    http: aiohttp.ClientSession, serve: Serve, raw_upstream: RawUpstream, path: str, stream: bool
) -> None:
    event = b"data: " + json.dumps(ANSWER).encode() + b"\r\n\r\n"
    raw_upstream.scripts = [whole(event, kind=b"text/event-stream") if stream else ok(ANSWER)]
    base = await serve("", raw_upstream.url)
    body = {"model": "gemini-3.8-flash", "stream": stream, **REQUESTS[path]}
    async with http.post(base + path, json=body) as response:
        assert response.status == 200
        text = await response.text()

    assert "handbook.pdf" in text
    if path == "/v1/responses":
        assert '"file_citation"' in text
