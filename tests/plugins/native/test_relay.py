"""An answer of Gemini's API that breaks off on its way to the client."""

import json

import aiohttp
import pytest

from gateway.observability.request_log import RequestLog
from tests.support.servers import RawUpstream, Serve, chunked
from tests.support.waiting import eventually

PATH = "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
EVENT = b'data: {"candidates":[{"content":{"parts":[{"text":"a"}]}}]}\r\n\r\n'
BODY = {"contents": [{"parts": [{"text": "hi"}]}]}


async def test_a_stream_that_breaks_off_ends_with_googles_error(
    http: aiohttp.ClientSession, serve: Serve, raw_upstream: RawUpstream, request_lines: list[RequestLog]
) -> None:
    raw_upstream.scripts = [chunked(EVENT)]  # the last chunk is missing
    base = await serve("", raw_upstream.url)
    async with http.post(base + PATH, json=BODY) as response:
        text = await response.text()

    assert response.status == 200
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
    assert events[-1]["error"]["code"] == 502
    assert events[-1]["error"]["message"] == "The upstream stream ended before completion."
    await eventually(lambda: bool(request_lines))
    assert request_lines[0].error == "upstream_incomplete"


async def test_a_whole_answer_that_breaks_off_is_cut(
    http: aiohttp.ClientSession, serve: Serve, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [chunked(b'{"candidates": [', kind=b"application/json")]
    base = await serve("", raw_upstream.url)
    async with http.post(base + PATH.partition("?")[0], json=BODY) as response:
        assert response.status == 200
        with pytest.raises(aiohttp.ClientError):
            await response.read()


async def test_an_error_before_the_answer_has_its_own_status(
    http: aiohttp.ClientSession, serve: Serve
) -> None:
    base = await serve("", "http://127.0.0.1:9")
    async with http.post(base + PATH, json=BODY) as response:
        assert (response.status, (await response.json())["error"]["status"]) == (502, "INTERNAL")
