"""The client's side of a streamed speech: one that leaves."""

import aiohttp

from tests.plugins.speech.conftest import TONE, Speaker, spoken
from tests.support.servers import Serve
from tests.support.waiting import eventually

L16 = "audio/L16;codec=pcm;rate=24000"


async def test_a_client_that_leaves_ends_the_call(
    http: aiohttp.ClientSession, serve: Serve, speaker: Speaker
) -> None:
    base = await serve("", speaker.url)
    chunk = spoken(TONE, L16)
    del chunk["candidates"][0]["finishReason"]
    speaker.answers = [[chunk, "hold"]]
    async with http.post(
        f"{base}/v1/audio/speech", json={"input": "Hi", "response_format": "pcm", "stream_format": "audio"}
    ) as response:
        assert await response.content.readexactly(len(TONE)) == TONE
    await eventually(lambda: speaker.last.transport is None or speaker.last.transport.is_closing())
    speaker.hold.set()
