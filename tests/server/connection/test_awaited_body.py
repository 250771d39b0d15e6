"""Bodies of clients that wait for `100 Continue`; on real connections in `test_protocol`."""

import asyncio

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpVersion, HttpVersion10, HttpVersion11, RawRequestMessage
from aiohttp.streams import StreamReader
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from gateway.server.connection.awaited_body import AwaitedBody, is_awaited, without_expect


def message(expect: str, version: HttpVersion = HttpVersion11) -> RawRequestMessage:
    headers = CIMultiDictProxy(CIMultiDict({"Host": "a", "Expect": expect}))
    return RawRequestMessage("POST", "/", version, headers, (), False, None, False, False, URL("/"))


async def test_the_client_is_asked_once_and_not_before_somebody_reads() -> None:
    asked: list[StreamReader] = []
    stream = StreamReader(BaseProtocol(asyncio.get_running_loop()), 2**16)
    body = AwaitedBody(stream, asked.append)

    assert body.is_awaited
    assert not body.is_eof()
    assert asked == []
    stream.feed_data(b"one")
    stream.feed_eof()
    assert await body.read(1) == b"o"
    assert await body.read() == b"ne"
    assert asked == [stream]
    assert not body.is_awaited


def test_only_one_expectation_of_http_1_1_is_waited_for() -> None:
    assert is_awaited(message("100-Continue"))
    assert not is_awaited(message("100-continue", HttpVersion10))
    assert not is_awaited(message("200-ok"))


def test_the_other_headers_remain() -> None:
    assert dict(without_expect(message("100-continue")).headers) == {"Host": "a"}
