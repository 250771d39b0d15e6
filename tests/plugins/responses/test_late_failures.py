"""A failure of Gemini's after the stream has begun: its code is the one that agents act on."""

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.plugins.chat.test_exchange import refused
from tests.support.frames import frames
from tests.support.servers import RawUpstream, Serve

TOO_LONG = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."
SPENT: dict[str, Any] = {
    "details": [{
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "quotaValue": "20"}],
    }],
}  # fmt: skip


@pytest.mark.row("G8")
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (refused(TOO_LONG), "context_length_exceeded"),
        (
            refused("You exceeded your current quota.", b"429 Too Many Requests", **SPENT),
            "insufficient_quota",
        ),
    ],
    ids=["context", "quota"],
)
async def test_g08_a_refusal_after_the_first_events_has_its_own_code(
    http: aiohttp.ClientSession,
    serve: Serve,
    raw_upstream: RawUpstream,
    answer: list[bytes | None],
    code: str,
) -> None:
    base = await serve("stream: {first_byte_grace: 0.05}\nplugins: {responses: {}}", raw_upstream.url)
    begun = asyncio.Event()
    raw_upstream.scripts = [[begun, *answer]]
    body = {"model": "gemini-2.5-flash", "stream": True, "input": "SLOW CTX"}
    headers = {"Authorization": "Bearer k"}
    async with http.post(f"{base}/v1/responses", json=body, headers=headers) as response:
        first = await response.content.readuntil(b"\n\n")
        begun.set()
        rest = await response.content.read()

    text = b"\n\n".join(f for f in (first + rest).split(b"\n\n") if f and not f.startswith(b":")) + b"\n\n"
    failed, error = frames(text)[-2:]
    assert failed["type"] == "response.failed"
    assert failed["response"]["error"]["code"] == error["code"] == code
    assert failed["response"]["status"] == "failed"
