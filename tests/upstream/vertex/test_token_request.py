"""Requests for access tokens: what google-auth gets, and where they never go."""

import asyncio
from typing import Any

import pytest
from aiohttp import web
from google.auth.exceptions import TransportError

from gateway.upstream.vertex.token_request import TokenRequest, TokenResponse
from tests.support.servers import upstream_of


async def ask(request: TokenRequest, url: str, **fields: Any) -> TokenResponse:
    return await asyncio.to_thread(lambda: request(url, **fields))


async def test_an_answer_is_returned_whatever_its_status(aiohttp_server: Any) -> None:
    async def answer(request: web.Request) -> web.Response:
        text = f"{request.method} {request.headers['x-a']} {await request.text()}"
        return web.Response(text=text, status=418, headers={"Date": "Thu, 01 Jan 2026 00:00:00 GMT"})

    request = TokenRequest(None)
    url = await upstream_of(aiohttp_server, answer)

    response = await ask(request, url, method="POST", body="a=b", headers={"x-a": "1"}, timeout=5, unknown=1)

    assert (response.status, response.data) == (418, b"POST 1 a=b")
    assert request.clock_offset > 86400  # this machine's clock is ahead of that Date


async def test_no_redirect_is_followed(aiohttp_server: Any) -> None:
    asked = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=302, headers={"Location": "/elsewhere", "Date": "nonsense"})

    response = await ask(
        TokenRequest(None), await upstream_of(aiohttp_server, answer) + "/token", method="POST", body=b""
    )

    assert (response.status, asked) == (302, ["/token"])


async def test_the_environments_proxy_is_not_used(
    aiohttp_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="direct")

    async def by_proxy(request: web.Request) -> web.Response:
        return web.Response(text=f"by proxy {request.host}")

    proxy = await upstream_of(aiohttp_server, by_proxy)
    monkeypatch.setenv("http_proxy", proxy)
    url = await upstream_of(aiohttp_server, answer)

    assert (await ask(TokenRequest(None), url)).data == b"direct"
    assert (await ask(TokenRequest(proxy), "http://tokens.example/token")).data == b"by proxy tokens.example"
    metadata = {"metadata-flavor": "Google"}  # no proxy reaches the metadata server
    assert (await ask(TokenRequest(proxy), url, headers=metadata)).data == b"direct"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/token", "file:///etc/passwd", "ftp://127.0.0.1/a"])
def test_without_an_answer_it_is_google_auths_error(url: str) -> None:
    with pytest.raises(TransportError) as caught:
        TokenRequest(None)(url)

    assert not caught.value.retryable


@pytest.mark.parametrize("status", [200, 503])
async def test_an_answer_that_breaks_off_is_google_auths_error(status: int) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d A\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" % status)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(TransportError):
            await ask(TokenRequest(None), f"http://127.0.0.1:{port}/token")
