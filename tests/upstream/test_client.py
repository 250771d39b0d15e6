"""Calls of Gemini with aioresponses: what is sent, and the result of each answer."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aioresponses import aioresponses

from gateway.config.sections import UpstreamConfig
from gateway.errors import Unauthorized, UpstreamError, UpstreamTimeout, UpstreamTruncated
from gateway.gemini.call import GeminiCall
from gateway.gemini.wire import GenerateContentRequest
from gateway.upstream.client import GeminiClient

URL = "https://gemini.example/v1beta/models/gemini-2.5-flash:generateContent"
CALL = GeminiCall("gemini-2.5-flash", GenerateContentRequest([]))


@pytest.fixture
async def client() -> AsyncIterator[GeminiClient]:
    async with GeminiClient(
        UpstreamConfig(base_url="https://gemini.example/", transport="aiohttp")
    ) as opened:
        yield opened


@pytest.mark.row("S17", "S63")
async def test_a_call_carries_the_key_in_a_header_and_follows_no_redirect(client: GeminiClient) -> None:
    with aioresponses() as server:
        server.post(URL, body=b'{"candidates":[]}', content_type="application/json")
        assert await client.send(CALL, "hush") == b'{"candidates":[]}'
        ((_, (request,)),) = server.requests.items()

    assert request.kwargs["headers"]["x-goog-api-key"] == "hush"
    assert request.kwargs["allow_redirects"] is False
    assert request.kwargs["data"] == b'{"contents":[]}'


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        (TimeoutError(), UpstreamTimeout),
        (aiohttp.ServerTimeoutError(), UpstreamTimeout),
        (aiohttp.ServerDisconnectedError(), UpstreamError),
        (aiohttp.ClientPayloadError(), UpstreamTruncated),
        (aiohttp.InvalidURL("x"), UpstreamError),
        (ConnectionResetError(), UpstreamError),
    ],
)
async def test_foreign_exceptions_become_ours(
    client: GeminiClient, raised: Exception, error: type[Exception]
) -> None:
    with aioresponses() as server:
        server.post(URL, exception=raised)
        with pytest.raises(error) as caught:
            await client.send(CALL, "hush")

    assert "gemini.example" not in str(caught.value)


async def test_a_foreign_exception_without_a_meaning_passes(client: GeminiClient) -> None:
    with aioresponses() as server:
        server.post(URL, exception=ZeroDivisionError())
        with pytest.raises(ZeroDivisionError):
            await client.send(CALL, "hush")


async def test_a_refusal_is_read(client: GeminiClient) -> None:
    with aioresponses() as server:
        server.post(URL, status=400, body=b'{"error":{"code":400,"message":"API key not valid."}}')
        with pytest.raises(Unauthorized):
            await client.send(CALL, "hush")


async def test_an_answer_without_measure_is_cut(
    client: GeminiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.upstream.client.MAX_BODY", 10)
    with aioresponses() as server:
        server.post(URL, body=b"x" * 100, content_type="application/json")
        with pytest.raises(UpstreamError, match="larger than 10 bytes"):
            await client.send(CALL, "hush")


def test_a_tuned_model_and_a_stream_have_their_paths() -> None:
    assert GeminiCall("tunedModels/mine", CALL.request).path == "tunedModels/mine:generateContent"
    assert (
        GeminiCall("gemini-x", CALL.request, stream=True).path
        == "models/gemini-x:streamGenerateContent?alt=sse"
    )
