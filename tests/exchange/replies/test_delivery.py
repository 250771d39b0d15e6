"""Answers and errors as they are sent: headers, status, and the format of the surface."""

import asyncio
import json
import math
import socket
import struct
from time import monotonic

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import RawTestServer, make_mocked_request

from gateway.config.sections import StreamConfig
from gateway.errors import BadRequest, GatewayError, MethodNotAllowed, RateLimited
from gateway.exchange.context import CONTEXT, RequestContext
from gateway.exchange.replies.delivery import (
    ERROR_RENDERER,
    StreamReply,
    add_gateway_headers,
    answer_headers,
    error_response,
    fail,
    limit_buffers,
)
from gateway.exchange.replies.timed_reply import Ticker
from gateway.exchange.report import ExchangeReport
from gateway.policy.clients.rate_limits import Window, WindowState
from tests.support.waiting import eventually

CONFIG = StreamConfig()
SO_MEMINFO, WMEM_QUEUED = 55, 5
"""Memory of a socket: the option and a field of linux/sock_diag.h."""


def context() -> RequestContext:
    return RequestContext("req_1", "POST", "/v1/x", monotonic(), ExchangeReport())


def body(response: web.Response) -> object:
    assert isinstance(response.body, bytes)
    return json.loads(response.body)


@pytest.mark.parametrize(
    ("notes", "adjusted", "expected"),
    [
        ([], [], None),
        (["user"], [], "user"),
        ([], ["tools"], "tools"),
        (["user", "n"], ["n", "tools", "tools"], "user,n,tools"),
    ],
)
def test_each_field_is_noted_once(notes: list[str], adjusted: list[str], expected: str | None) -> None:
    headers = answer_headers("m", notes, adjusted)

    assert headers.pop("x-gateway-model") == "m"
    assert headers == ({"x-gateway-notes": expected} if expected else {})


def test_every_answer_has_its_id_and_what_the_report_says() -> None:
    headers: dict[str, str] = {}
    add_gateway_headers(headers, context())
    assert headers == {"x-request-id": "req_1"}

    reported = context()
    reported.report.cached, reported.report.fallbacks = "hit", ["a overloaded", "b cooling_down"]
    reported.report.limits = (WindowState(Window("requests", 5, 60), 4, 12.0),)
    add_gateway_headers(headers, reported)

    assert headers == {
        "x-request-id": "req_1",
        "x-gateway-cache": "hit",
        "x-gateway-fallback": "a overloaded, b cooling_down",
        "x-ratelimit-limit-requests": "5",
        "x-ratelimit-remaining-requests": "4",
        "x-ratelimit-reset-requests": "12.000s",
    }


def test_an_error_is_openais_unless_the_surface_has_a_format() -> None:
    response = error_response(BadRequest("no", param="n", code="invalid_value"))

    assert response.status == 400
    assert body(response) == {
        "error": {"message": "no", "type": "invalid_request_error", "param": "n", "code": "invalid_value"}
    }


def test_an_error_has_the_headers_that_sdks_obey() -> None:
    limited = error_response(RateLimited("slow", retry_after=3))
    refused = error_response(MethodNotAllowed(frozenset({"POST", "GET"})))

    assert (limited.status, limited.headers["retry-after"]) == (429, "3")
    assert (refused.status, refused.headers["Allow"]) == (405, "GET, POST")


def test_a_failed_request_is_recorded_and_answered_in_its_surfaces_format() -> None:
    def render(error: GatewayError, request_id: str) -> tuple[int, bytes]:
        return 529, json.dumps([error.message, request_id]).encode()

    request = make_mocked_request("POST", "/v1/x")
    request[CONTEXT], request[ERROR_RENDERER] = context(), render
    response = fail(request, BadRequest("no", code="invalid_value", upstream_status=400))

    assert (response.status, body(response)) == (529, ["no", "req_1"])
    assert (request[CONTEXT].report.error, request[CONTEXT].report.upstream_status) == ("invalid_value", 400)


class Large:
    """Server that streams one event to clients, with buffers as `limit_buffers` sets them."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.transport: asyncio.Transport | None = None

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        limit_buffers(request)  # type: ignore[arg-type]  # only its transport is used
        self.transport = request.transport
        await response.write(b"x" * self._size)
        return response


@pytest.mark.row("C04")
async def test_a_large_event_does_not_wait_for_acknowledgements() -> None:
    """A buffer smaller than a segment of the loopback device waits 40 ms for each: 4 MB took 2.4 seconds."""
    large = Large(4_000_000)
    async with RawTestServer(large) as server, ClientSession() as session:
        began = monotonic()
        async with session.get(server.make_url("/")) as response:
            assert len(await response.read()) == 4_000_000
        assert monotonic() - began < 1


@pytest.mark.row("C05")
async def test_c05_the_kernel_holds_little_for_a_client_that_never_reads() -> None:
    large = Large(4_000_000)
    async with RawTestServer(large) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await eventually(lambda: large.transport is not None)
        transport = large.transport
        assert transport is not None
        waiting = -1
        while waiting != (waiting := transport.get_write_buffer_size()):  # until the kernel takes no more
            await asyncio.sleep(0.2)
        own = transport.get_extra_info("socket")
        queued = struct.unpack("9I", own.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 36))[WMEM_QUEUED]
        assert waiting > 2_000_000
        assert queued <= 150_000
        writer.close()


class Writes:
    """Server that streams pieces by StreamReply, and keeps what each write to the transport was."""

    def __init__(self, pieces: list[bytes], last: bytes) -> None:
        self._pieces, self._last = pieces, last
        self.writes: list[bytes] = []
        self.context = context()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        transport = request.transport
        assert transport is not None
        write = transport.write

        def kept(data: bytes) -> None:
            self.writes.append(bytes(data))
            write(data)

        transport.write = kept  # type: ignore[method-assign,assignment]
        async with StreamReply(request, Ticker(CONFIG), self.context, lambda: {"x-a": "b"}, CONFIG) as reply:  # type: ignore[arg-type]
            for piece in self._pieces:
                await reply.write(piece)
            return await reply.finish(self._last)


@pytest.mark.parametrize(
    ("pieces", "last", "bodies"),
    [
        ([b"one", b"two"], b"end", [b"3\r\none\r\n", b"3\r\ntwo\r\n", b"3\r\nend\r\n0\r\n\r\n"]),
        ([b"one"], b"", [b"3\r\none\r\n", b"0\r\n\r\n"]),
        ([], b"end", [b"3\r\nend\r\n0\r\n\r\n"]),
        ([], b"", [b"0\r\n\r\n"]),
    ],
)
async def test_headers_share_the_first_write_of_a_stream_and_its_end_the_last(
    pieces: list[bytes], last: bytes, bodies: list[bytes]
) -> None:
    writes = Writes(pieces, last)
    async with (
        RawTestServer(writes) as server,
        ClientSession() as session,
        session.get(server.make_url("/")) as response,
    ):
        assert await response.read() == b"".join(pieces) + last
        assert response.headers["x-a"] == "b"

    head, _, body = writes.writes[0].partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream")
    assert [body, *writes.writes[1:]] == bodies
    assert (writes.context.report.first_byte_ms is not None) == bool(pieces or last)


async def test_the_keep_alive_of_a_client_that_has_left_is_no_error() -> None:
    """The timer may be due after the transport closes, and before the request is cancelled."""
    tasks: list[asyncio.Task[None]] = []

    async def leaving(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        async with StreamReply(request, Ticker(CONFIG), context(), dict, CONFIG) as reply:  # type: ignore[arg-type]
            request.transport.close()
            reply.look(math.inf)
            assert reply._keep_alive is not None
            tasks.append(reply._keep_alive)
            await asyncio.sleep(30)
            return await reply.finish()

    async with RawTestServer(leaving, handler_cancellation=True) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert await reader.read() == b""
        writer.close()

    assert tasks[0].exception() is None  # raises if the task was cancelled
