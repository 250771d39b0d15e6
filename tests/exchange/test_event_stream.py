"""The response of a stream: its head is aiohttp's, or the one that the server gives."""

from time import monotonic

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import RawTestServer

from gateway.exchange.context import RequestContext, StreamHead
from gateway.exchange.event_stream import EventStream
from gateway.exchange.report import ExchangeReport


@pytest.mark.parametrize("head", [None, lambda *_: None, lambda _, headers, __: {**headers, "x-usual": "1", "Transfer-Encoding": "chunked"}])  # fmt: skip
async def test_the_head_is_aiohttps_unless_the_server_gives_one(head: StreamHead | None) -> None:
    context = RequestContext("r", "GET", "/", monotonic(), ExchangeReport(), stream_head=head)

    async def stream(request: web.BaseRequest) -> web.StreamResponse:
        response = EventStream()
        await response.begin(request, {"x-a": "b"}, context)  # type: ignore[arg-type]
        assert response.prepared
        await response.send(b"data", 1)
        assert response.push(b" pushed")
        await response.end(b" and end")
        return response

    async with RawTestServer(stream) as server, ClientSession() as session:
        for _ in range(2):  # on one connection
            async with session.get(server.make_url("/")) as response:
                assert await response.read() == b"data pushed and end"
                assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
                assert response.headers["x-a"] == "b"
                assert ("x-usual" in response.headers) == ("Date" not in response.headers)
