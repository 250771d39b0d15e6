"""The response of a stream: its head is aiohttp's, or the one that the server gives."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

import pytest
from aiohttp import ClientSession, web
from aiohttp.http import HttpVersion11
from aiohttp.test_utils import RawTestServer

from gateway.exchange.context import RequestContext, StreamHead
from gateway.exchange.replies import event_stream
from gateway.exchange.replies.event_stream import EventStream
from gateway.exchange.report import ExchangeReport

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def context(head: StreamHead | None = None) -> RequestContext:
    return RequestContext("r", "GET", "/", monotonic(), ExchangeReport(), stream_head=head)


@pytest.mark.parametrize("head", [None, lambda *_: None, lambda _, headers, __: {**headers, "x-usual": "1", "Transfer-Encoding": "chunked"}])  # fmt: skip
async def test_the_head_is_aiohttps_unless_the_server_gives_one(head: StreamHead | None) -> None:
    async def stream(request: web.BaseRequest) -> web.StreamResponse:
        response = EventStream()
        await response.begin(request, {"x-a": "b"}, context(head))  # type: ignore[arg-type]
        assert response.prepared
        await response.send(b"data", 1)
        assert response.push(b" pushed", monotonic())
        await response.end(b" and end")
        return response

    async with RawTestServer(stream) as server, ClientSession() as session:
        for _ in range(2):  # on one connection
            async with session.get(server.make_url("/")) as response:
                assert await response.read() == b"data pushed and end"
                assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
                assert response.headers["x-a"] == "b"
                assert ("x-usual" in response.headers) == ("Date" not in response.headers)


async def asked(handler: Handler, version: bytes) -> bytes:
    """Return all bytes of the answer to a request of a HTTP version, whose connection is closed after it."""
    async with RawTestServer(handler) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/%b\r\nHost: a\r\nConnection: close\r\n\r\n" % version)
        answer = await reader.read()
        writer.close()
        return answer


async def test_aiohttp_writes_a_body_that_is_more_than_chunks() -> None:
    pushed: list[bool] = []

    async def stream(request: web.BaseRequest) -> web.StreamResponse:
        response = EventStream()
        if request.version == HttpVersion11:
            response.enable_compression(web.ContentCoding.deflate)
        await response.begin(request, {}, context())  # type: ignore[arg-type]
        await response.send(b"data", 1)
        pushed.append(response.push(b"lost", monotonic()))
        await response.end(b" and end")
        return response

    old = await asked(stream, b"1.0")
    assert old.endswith(b"\r\n\r\ndata and end")
    assert b"Content-Encoding: deflate" in await asked(stream, b"1.1")
    assert pushed == [False, False]


async def test_a_client_that_has_left_is_a_connection_error() -> None:
    errors: list[str] = []

    async def stream(request: web.BaseRequest) -> web.StreamResponse:
        response = EventStream()
        await response.begin(request, {}, context())  # type: ignore[arg-type]
        assert request.transport is not None
        request.transport.close()
        assert not response.push(b"data", monotonic())
        for write in (response.send(b"data", 1), response.end(b"data")):
            try:
                await write
            except ConnectionError as error:
                errors.append(str(error))
        return response

    await asked(stream, b"1.1")
    assert errors == ["Cannot write to closing transport"] * 2


async def test_a_stream_that_goes_on_holds_nothing_for_a_body_that_was_read_nor_for_idle_time() -> None:
    held: list[tuple[bool, bool]] = []

    async def stream(request: web.BaseRequest) -> web.StreamResponse:
        response, protocol, content = EventStream(), request.protocol, request.content
        assert await request.read() == b"body"
        await response.begin(request, {}, context())  # type: ignore[arg-type]
        for _ in range(2):
            held.append((protocol._keepalive_handle is None, content._buffer is event_stream._NO_DATA))
            await response.send(b"data", 1)
        await response.end(b"")
        return response

    async with RawTestServer(stream) as server, ClientSession() as session:
        for _ in range(2):  # on one connection
            async with session.post(server.make_url("/"), data=b"body") as answer:
                assert await answer.read() == b"datadata"

    assert held[0] == (False, False)
    assert held[1] == held[3] == (True, True)
    assert not event_stream._NO_DATA
