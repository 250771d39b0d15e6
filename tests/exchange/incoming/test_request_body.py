"""Reading a JSON body: what is refused, and how the error names the place."""

import asyncio
import gc
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.streams import StreamReader
from aiohttp.test_utils import make_mocked_request
from msgspec import Struct

from gateway.errors import BadRequest
from gateway.exchange.incoming.request_body import Body, parse, read_body, read_bytes, read_pieces, receive
from gateway.exchange.offload import HEAVY
from tests.support.servers import RawUpstream, Serve, chunked
from tests.support.waiting import eventually


class Inner(Struct):
    n: int
    name: str = ""


class Outer(Struct):
    inner: list[Inner] = []
    by_name: dict[str, int] = {}
    limited: msgspec.UnsetType | int = msgspec.UNSET


decode = msgspec.json.Decoder(Outer).decode


def fault(text: str) -> tuple[str | None, str | None, str]:
    with pytest.raises(BadRequest) as caught:
        parse(text.encode()).decode(decode)
    return caught.value.param, caught.value.code, caught.value.message


@pytest.mark.parametrize("text", ["", "{", '{"a": }', "\udcff", '{"a": "\\ud800"'])
def test_a_body_that_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse(text.encode("utf-8", "surrogateescape"))

    assert caught.value.code == "invalid_json"


@pytest.mark.parametrize("text", ["[]", "1", '"x"', "null"])
def test_a_body_that_is_not_an_object_is_refused(text: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse(text.encode())

    assert caught.value.code == "invalid_type"


@pytest.mark.parametrize(
    ("text", "param", "code"),
    [
        ('{"inner": 1}', "inner", "invalid_type"),
        ('{"inner": [{"n": 1}, {"n": "x"}]}', "inner[1].n", "invalid_type"),
        ('{"inner": [{}]}', "inner[0].n", "missing_required_parameter"),
        ('{"by_name": {"a": "x"}}', "by_name[...]", "invalid_type"),
    ],
)
def test_the_error_names_the_field(text: str, param: str, code: str) -> None:
    assert fault(text)[:2] == (param, code)


def test_fields_stay_undecoded() -> None:
    body = parse(b'{"a": [1, 2], "b": {"c": null}}')
    fields: dict[str, Any] = {name: bytes(raw) for name, raw in body.fields.items()}

    assert fields == {"a": b"[1, 2]", "b": b'{"c": null}'}


def test_a_large_body_is_heavy() -> None:
    small, large = parse(b'{"a": 1}'), parse(b'{"a": "%s"}' % (b"x" * HEAVY))

    assert (small.heavy, large.heavy) == (False, True)


def posted(*pieces: bytes, encoding: str = "identity") -> tuple[web.Request, StreamReader]:
    """Return a request, and its body as far as it has arrived."""
    loop = asyncio.get_running_loop()
    body = StreamReader(BaseProtocol(loop), 2**16, loop=loop)
    body._protocol.transport = asyncio.Transport()
    for piece in pieces:
        body.feed_data(piece)
    headers = {"Content-Encoding": encoding}
    return make_mocked_request("POST", "/", headers, payload=body, client_max_size=2**20), body


@pytest.mark.row("A5", "A27")
async def test_a27_a_body_that_was_waited_for_is_read_once_and_not_kept() -> None:
    request, body = posted(b'{"n"')
    waiting = asyncio.create_task(receive(request))
    await asyncio.sleep(0)
    assert not waiting.done()
    body.feed_data(b": 1}")
    body.feed_eof()
    await waiting

    assert (await read_body(request)).data == b'{"n": 1}'
    assert request._read_bytes is None
    assert await read_bytes(request) == b""


async def test_a_body_that_was_waited_for_can_be_read_as_aiohttp_does() -> None:
    request, body = posted(b'{"n": 1}')
    body.feed_eof()
    await receive(request)

    assert await request.json() == {"n": 1}


async def test_a_body_whose_encoding_is_refused_is_not_waited_for() -> None:
    request, _ = posted(b"x", encoding="br")
    await receive(request)
    with pytest.raises(BadRequest, match="Content-Encoding"):
        await read_body(request)


@pytest.mark.row("A27")
@pytest.mark.parametrize(
    ("pieces", "passed"),
    [([(29.0, 1), (0.9, 1)], 2), ([(29.0, 1), (1.1, 1)], 1), ([(30.0, 2**15), (29.0, 2**15), (30.0, 9)], 3), ([(25.0, 9)] * 9, 1)],
    ids=["in time", "late", "32 KiB each", "a few bytes each"],
)  # fmt: skip
async def test_a27_a_streamed_body_has_to_go_on(
    monkeypatch: pytest.MonkeyPatch, pieces: list[tuple[float, int]], passed: int
) -> None:
    now = 0.0
    monkeypatch.setattr("gateway.exchange.incoming.request_body.monotonic", lambda: now)
    request, body = posted()
    sizes: list[int] = []

    async def read() -> None:
        nonlocal now
        async for data in read_pieces(request, 30.0):
            sizes.append(len(data))
            now += 1000.0  # Google takes it slowly, which is not the client's fault

    reading = asyncio.create_task(read())
    for seconds, size in pieces:
        await asyncio.sleep(0)
        now += seconds
        body.feed_data(b"x" * size)
        await asyncio.sleep(0)
    body.feed_eof()
    if passed == len(pieces):
        await reading
    else:
        with pytest.raises(BadRequest, match="too slowly") as caught:
            await reading
        assert caught.value.status == 408

    assert sizes == [size for _, size in pieces[:passed]]


MESSAGES = [{"role": "user", "content": "hello"}]
STREAMED: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "gemini-2.5-flash", "messages": MESSAGES},
    "/v1/messages": {"model": "gemini-2.5-flash", "messages": MESSAGES, "max_tokens": 9},
    "/v1/responses": {"model": "gemini-2.5-flash", "input": "hello"},
}


def bodies() -> list[Body]:
    """Return every body that is alive in this process."""
    return [value for value in gc.get_objects() if type(value) is Body]


@pytest.mark.parametrize("path", STREAMED)
async def test_a_live_stream_does_not_hold_its_body(
    http: aiohttp.ClientSession, serve: Serve, raw_upstream: RawUpstream, path: str
) -> None:
    base = await serve("", raw_upstream.url)
    event = b'data: {"candidates":[{"content":{"parts":[{"text":"a"}]}}]}\r\n\r\n'
    raw_upstream.scripts = [[*chunked(event), None]]
    before = bodies()  # those of other tests, kept alive so that no new body takes the identity of one
    async with http.post(base + path, json={**STREAMED[path], "stream": True}) as response:
        assert await response.content.readany()
        assert [body for body in bodies() if not any(body is other for other in before)] == []
    await eventually(raw_upstream.left.is_set)
