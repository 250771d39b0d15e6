"""aiohttp's client as a transport: what the shared tests of both transports do not cover."""

from collections.abc import AsyncIterator

import pytest

from gateway.errors import UpstreamError
from gateway.upstream.aiohttp_transport import AiohttpTransport
from gateway.upstream.resolver import Resolver
from tests.support.fakegem import FakeGem, close
from tests.upstream.conftest import TIMES

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@pytest.fixture
async def transport(upstream: FakeGem) -> AsyncIterator[AiohttpTransport]:
    opened = AiohttpTransport(upstream.url, {}, Resolver(lambda _: False), TIMES, None, None)
    yield opened
    await opened.close()


async def upload() -> AsyncIterator[bytes]:
    yield b"12"
    yield b"345"


async def test_a_stream_is_uploaded_with_its_length(transport: AiohttpTransport, upstream: FakeGem) -> None:
    upstream.always = [HELLO]
    response = await transport.request("POST", "/upload", {"Content-Length": "5"}, upload())
    assert (response.status, response.content_type, await response.read()) == (
        200,
        "application/octet-stream",
        b"hello",
    )
    assert upstream.requests[0].endswith(b"\r\n\r\n12345")


async def test_an_upload_on_a_used_connection_is_not_repeated(
    transport: AiohttpTransport, upstream: FakeGem
) -> None:
    upstream.queue.extend([[HELLO], [close]])
    await (await transport.request("GET", "/", {}, None)).read()
    with pytest.raises(UpstreamError) as caught:
        await transport.request("POST", "/upload", {"Content-Length": "5"}, upload())
    assert caught.value.code == "upstream_unreachable"


async def test_a_proxy_gets_the_requests(upstream: FakeGem) -> None:
    proxied = AiohttpTransport(
        "http://gemini.example", {}, Resolver(lambda _: False), TIMES, None, upstream.url
    )
    upstream.always = [HELLO]
    response = await proxied.request("GET", "/x", {}, None)
    assert await response.read() == b"hello"
    assert upstream.requests[0].startswith(b"GET http://gemini.example/x HTTP/1.1\r\n")
    await proxied.close()
