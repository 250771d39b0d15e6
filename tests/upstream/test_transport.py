"""What both transports do: framing, errors, and which connections are used again."""

import asyncio
import gzip
import ssl
import zlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.config.sections import TimeoutsConfig
from gateway.errors import (
    GatewayError,
    UpstreamDropped,
    UpstreamError,
    UpstreamTimeout,
    UpstreamTruncated,
    UpstreamUnreachable,
)
from gateway.upstream.http1.pool import Http1Pool
from gateway.upstream.resolver import Resolver
from gateway.upstream.transport import Response, Transport, tls_context
from tests.support.certificates import Authority
from tests.support.fakegem import FakeGem, Step, chunk, close, pause, reset
from tests.support.waiting import eventually
from tests.upstream.conftest import TIMES, NewTransport

JSON = b"Content-Type: application/json; charset=UTF-8\r\n"
HELLO = b"HTTP/1.1 200 OK\r\n" + JSON + b"Content-Length: 5\r\n\r\nhello"


def answer(body: bytes, headers: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\n" + JSON + headers + b"\r\n" + body


def chunks(*pieces: bytes) -> bytes:
    return answer(b"".join(map(chunk, pieces)) + b"0\r\n\r\n", b"Transfer-Encoding: chunked\r\n")


async def ask(transport: Transport, body: bytes | None = b"{}", *, whole: bool = True) -> Response:
    return await transport.request("POST", "/x", {"x-goog-api-key": "hush"}, body, whole=whole)


async def body_of(response: Response) -> bytes:
    pieces = []
    try:
        while data := await response.read():
            pieces.append(data)
    finally:
        response.close()
    return b"".join(pieces)


async def text(transport: Transport, *, whole: bool = True) -> tuple[int, bytes]:
    response = await ask(transport, whole=whole)
    return response.status, await body_of(response)


async def test_a_request_has_its_path_its_headers_and_its_body(
    new_transport: NewTransport, upstream: FakeGem
) -> None:
    transport = new_transport(upstream.url)
    upstream.always = [HELLO]
    response = await transport.request("POST", "/a/b%20c?d=e", {"x-goog-api-key": "hush"}, b"{}")
    assert (response.status, response.content_type) == (200, "application/json")
    assert response.headers["content-TYPE"] == "application/json; charset=UTF-8"
    assert await body_of(response) == b"hello"

    head, _, body = upstream.requests[0].partition(b"\r\n\r\n")
    line, *fields = head.split(b"\r\n")
    headers = dict(field.lower().split(b": ", 1) for field in fields)
    assert line == b"POST /a/b%20c?d=e HTTP/1.1"
    assert headers[b"host"] == upstream.url.removeprefix("http://").encode()
    assert (headers[b"x-goog-api-key"], headers[b"x-fixed"]) == (b"hush", b"1")
    assert (headers[b"content-length"], body) == (b"2", b"{}")


async def test_a_get_has_no_body_and_a_header_replaces_a_fixed_one(
    new_transport: NewTransport, upstream: FakeGem
) -> None:
    upstream.always = [HELLO]
    await body_of(await new_transport(upstream.url).request("GET", "/", {"X-Fixed": "2"}, None))

    head = upstream.requests[0].lower()
    assert head.startswith(b"get / http/1.1\r\n")
    assert b"x-fixed: 2\r\n" in head
    assert b"x-fixed: 1\r\n" not in head
    assert b"content-length" not in head


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([HELLO], id="length"),
        pytest.param([chunks(b"hel", b"lo")], id="chunks"),
        pytest.param(
            [*(chunks(b"hel", b"lo")[i : i + 1] for i in range(len(chunks(b"hel", b"lo"))))], id="bytes"
        ),
        pytest.param([b"HTTP/1.1 100 Continue\r\n\r\n" + HELLO], id="100"),
        pytest.param([b"HTTP/1.1 103 Early Hints\r\nContent-Length: 3\r\nLink: x\r\n\r\n" + HELLO], id="103"),
    ],
)
async def test_a_whole_answer_keeps_its_connection(
    new_transport: NewTransport, upstream: FakeGem, steps: list[Step], whole: bool
) -> None:
    transport = new_transport(upstream.url)
    upstream.always = steps
    for _ in range(3):
        assert await text(transport, whole=whole) == (200, b"hello")
    assert len(upstream.connections) == 1


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([answer(b"hello"), close], id="ended by the connection"),
        pytest.param(
            [answer(b"hello", b"Content-Length: 5\r\nConnection: close\r\n")], id="Connection: close"
        ),
        pytest.param([HELLO.replace(b"HTTP/1.1", b"HTTP/1.0"), close], id="HTTP/1.0"),
        pytest.param([HELLO, pause(0.02), HELLO], id="unasked bytes"),
        pytest.param([HELLO + HELLO], id="two answers at once"),
        pytest.param([HELLO, close], id="closed while idle"),
        pytest.param([HELLO, reset], id="reset while idle"),
    ],
)
async def test_a_connection_that_is_not_as_good_as_new_is_not_used_again(
    new_transport: NewTransport, upstream: FakeGem, steps: Sequence[Step]
) -> None:
    transport = new_transport(upstream.url)
    upstream.queue.append(steps)
    assert await text(transport) == (200, b"hello")
    await asyncio.sleep(0.05)  # what follows arrives while the connection waits

    upstream.always = [answer(b"other", b"Content-Length: 5\r\n")]
    assert await text(transport) == (200, b"other")
    assert [connection.requests for connection in upstream.connections] == [1, 1]


@pytest.mark.parametrize(
    ("steps", "error"),
    [
        pytest.param([HELLO[:-2], close], UpstreamTruncated, id="cut length"),
        pytest.param([chunks(b"hello")[:-7], close], UpstreamTruncated, id="cut chunks"),
        pytest.param([chunks(b"hello")[:-7], reset], UpstreamError, id="reset"),
        pytest.param([close], UpstreamError, id="closed without a word"),
        pytest.param([HELLO[:20], close], UpstreamError, id="closed in the head"),
        pytest.param([b"SSH-2.0-x\r\n\r\n"], UpstreamError, id="not HTTP"),
        pytest.param(
            [answer(b"5\r\nhello\r\n0\r\n\r\n", b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n")],
            UpstreamError,
            id="length and chunks",
        ),
        pytest.param(
            [answer(b"hello", b"Content-Length: 5\r\nContent-Length: 3\r\n")], UpstreamError, id="two lengths"
        ),
        pytest.param([answer(b"hello", b"Content-Length: -5\r\n")], UpstreamError, id="negative length"),
        pytest.param(
            [answer(b"-1\r\nhello\r\n", b"Transfer-Encoding: chunked\r\n")], UpstreamError, id="chunk size"
        ),
    ],
)
async def test_a_broken_answer_is_an_error_and_costs_its_connection(
    new_transport: NewTransport, upstream: FakeGem, steps: Sequence[Step], error: type[UpstreamError]
) -> None:
    transport = new_transport(upstream.url)
    upstream.queue.append(steps)
    with pytest.raises(error) as caught:
        await text(transport)
    assert "127.0.0.1" not in str(caught.value)
    upstream.always = [HELLO]
    assert await text(transport) == (200, b"hello")
    assert upstream.connections[1].requests == 1


async def test_a_reset_is_not_the_end_of_a_body(upstream: FakeGem) -> None:
    """aiohttp takes it for the end of a body that the connection delimits; Gemini's answers tell their own end."""
    pool = Http1Pool(upstream.url, {}, Resolver(lambda _: False), TIMES, None)
    upstream.always = [answer(b"hello"), reset]
    with pytest.raises(UpstreamError):
        await text(pool)
    await pool.close()


async def test_what_came_before_a_cut_is_read(new_transport: NewTransport, upstream: FakeGem) -> None:
    upstream.queue.append([answer(chunk(b"hel"), b"Transfer-Encoding: chunked\r\n"), pause(0.02), close])
    response = await ask(new_transport(upstream.url), whole=False)
    assert await response.read() == b"hel"
    with pytest.raises(UpstreamTruncated):
        await response.read()
    response.close()


async def test_a_head_without_an_end_is_refused(new_transport: NewTransport, upstream: FakeGem) -> None:
    upstream.queue.append(
        [b"HTTP/1.1 200 OK\r\n", *[b"X-%d: %s\r\n" % (i, b"y" * 4000) for i in range(40)], None]
    )
    with pytest.raises(UpstreamError):
        await text(new_transport(upstream.url))


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_a_compressed_answer_is_read(
    new_transport: NewTransport, upstream: FakeGem, coding: str
) -> None:
    data = (gzip.compress if coding == "gzip" else zlib.compress)(b"hello")
    upstream.always = [
        answer(data, f"Content-Encoding: {coding}\r\nContent-Length: {len(data)}\r\n".encode())
    ]
    assert await text(new_transport(upstream.url)) == (200, b"hello")


async def test_a_body_that_is_not_what_its_coding_says_is_an_error(
    new_transport: NewTransport, upstream: FakeGem
) -> None:
    """The connection may be kept: what frames the body is right."""
    transport = new_transport(upstream.url)
    upstream.queue.append([answer(b"hello", b"Content-Encoding: gzip\r\nContent-Length: 5\r\n")])
    with pytest.raises(UpstreamError):
        await text(transport)
    upstream.always = [HELLO]
    assert await text(transport) == (200, b"hello")


async def test_silence_is_a_timeout_in_the_head_and_in_the_body(
    new_transport: NewTransport, upstream: FakeGem
) -> None:
    transport = new_transport(upstream.url, TimeoutsConfig(connect=5, idle=0.1, write=5))
    for steps in ([None], [HELLO[:-2], None]):
        upstream.queue.append(steps)
        with pytest.raises(UpstreamTimeout):
            await text(transport)


async def test_a_slow_answer_that_is_never_silent_for_long_is_whole(
    new_transport: NewTransport, upstream: FakeGem
) -> None:
    transport = new_transport(upstream.url, TimeoutsConfig(connect=5, idle=1, write=5))
    wait = pause(0.4)
    upstream.queue.append([HELLO[:10], wait, HELLO[10:-4], wait, HELLO[-4:-2], wait, HELLO[-2:]])
    assert await text(transport) == (200, b"hello")


async def test_an_idle_connection_has_no_timeout_of_a_request(
    new_transport: NewTransport, upstream: FakeGem
) -> None:
    transport = new_transport(upstream.url, TimeoutsConfig(connect=5, idle=0.1, write=5))
    upstream.always = [HELLO]
    for _ in range(2):
        assert await text(transport) == (200, b"hello")
        await asyncio.sleep(0.25)
    assert len(upstream.connections) == 1


async def test_a_reader_that_is_cancelled_ends_the_upstream_request(
    new_transport: NewTransport, upstream: FakeGem
) -> None:
    transport = new_transport(upstream.url)
    ended = asyncio.Event()

    async def left(_: object) -> None:
        await upstream.current.reader.read()
        ended.set()

    for before in (b"", HELLO[:-2]):
        ended.clear()
        upstream.queue.append([before, left])
        upstream.requests.clear()
        task = asyncio.ensure_future(text(transport))
        await eventually(lambda: bool(upstream.requests))
        await asyncio.sleep(0.02)  # what comes before the silence arrives
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(60):
            await ended.wait()
    upstream.always = [HELLO]
    assert await text(transport) == (200, b"hello")


async def test_a_stream_that_is_left_ends_the_upstream_request(
    new_transport: NewTransport, upstream: FakeGem
) -> None:
    transport = new_transport(upstream.url)
    upstream.queue.append([answer(chunk(b"he"), b"Transfer-Encoding: chunked\r\n"), None])
    response = await ask(transport, whole=False)
    assert await response.read() == b"he"
    response.close()
    upstream.always = [HELLO]
    assert await text(transport) == (200, b"hello")
    assert [c.requests for c in upstream.connections] == [1, 1]


async def test_a_reader_that_waits_makes_the_upstream_wait(
    new_transport: NewTransport, upstream: FakeGem
) -> None:
    size, written = 20_000_000, 0

    async def flood(connection: object) -> None:
        nonlocal written
        writer = upstream.current.writer
        writer.write(answer(b"", b"Content-Length: %d\r\n" % size))
        for _ in range(200):
            writer.write(b"x" * (size // 200))
            await writer.drain()
            written += size // 200

    upstream.queue.append([flood])
    response = await ask(new_transport(upstream.url), whole=False)
    before = -1
    while before != written:  # the upstream still gets rid of something: into the sockets' buffers
        before = written
        await asyncio.sleep(0.05)
    assert written < size - 5_000_000
    assert len(await body_of(response)) == size


async def test_a_closed_connection_of_the_pool_says_so(
    new_transport: NewTransport, upstream: FakeGem
) -> None:
    transport = new_transport(upstream.url)
    upstream.queue.extend([[HELLO], [close]])
    await text(transport)
    with pytest.raises(UpstreamDropped):
        await text(transport)
    upstream.queue.append([close])
    with pytest.raises(UpstreamError) as caught:
        await text(transport)
    assert not isinstance(caught.value, UpstreamDropped), "a new connection has answered nobody"


async def test_an_answer_before_the_end_of_the_request_ends_both(
    new_transport: NewTransport, upstream: FakeGem
) -> None:
    """The upstream refuses a body of 30 MB after its head, and reads no more."""
    refusal = b"HTTP/1.1 413 Too Large\r\n" + JSON + b"Content-Length: 2\r\n\r\n{}"
    answered, ended = asyncio.Event(), asyncio.Event()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(refusal)
        await writer.drain()
        await answered.wait()
        writer.transport.abort()
        ended.set()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0, limit=2**16)
    transport = new_transport(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    async with asyncio.timeout(60):
        response = await ask(transport, b"x" * 30 * 2**20)
        assert (response.status, await body_of(response)) == (413, b"{}")
        answered.set()
        await ended.wait()
    server.close()


async def test_a_refused_connection_is_unreachable_and_was_not_sent(new_transport: NewTransport) -> None:
    with pytest.raises(UpstreamUnreachable) as caught:
        await text(new_transport("http://127.0.0.1:1"))
    assert not caught.value.sent


async def test_a_connection_that_takes_too_long_is_a_timeout(
    new_transport: NewTransport, upstream: FakeGem
) -> None:
    await upstream.swallow()
    with pytest.raises(UpstreamTimeout) as caught:
        await text(new_transport(upstream.url, TimeoutsConfig(connect=0.1, idle=5, write=5)))
    assert not caught.value.sent


async def test_the_next_address_is_tried(
    new_transport: NewTransport, upstream: FakeGem, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = [
        {
            "hostname": "two.example",
            "host": host,
            "port": upstream.port,
            "family": family,
            "proto": 6,
            "flags": 0,
        }
        for host, family in (("::1", 10), ("127.0.0.1", 2))
    ]
    monkeypatch.setattr("gateway.upstream.resolver._addresses", lambda *_: addresses)
    upstream.always = [HELLO]
    assert await text(new_transport(f"http://two.example:{upstream.port}")) == (200, b"hello")


@pytest.mark.parametrize("fault", ["", "unknown authority", "wrong name"])
async def test_tls(new_transport: NewTransport, upstream: FakeGem, tmp_path: Path, fault: str) -> None:
    authority = Authority(tmp_path)
    trusting = tls_context.__wrapped__() if fault == "unknown authority" else authority.trusting()
    await upstream.stop()
    await upstream.start(authority.server("other.example" if fault == "wrong name" else "127.0.0.1"))
    upstream.always = [HELLO]
    transport = new_transport(f"https://127.0.0.1:{upstream.port}", tls=trusting)
    if not fault:
        for _ in range(2):
            assert await text(transport) == (200, b"hello")
        assert len(upstream.connections) == 1
        return
    with pytest.raises(UpstreamUnreachable) as caught:
        await text(transport)
    assert (caught.value.sent, caught.value.most_attempts) == (False, 1)
    assert upstream.requests == []


async def test_a_tls_connection_that_is_cut_cuts_the_answer(
    new_transport: NewTransport, upstream: FakeGem, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    await upstream.stop()
    await upstream.start(authority.server("127.0.0.1"))
    upstream.always = [HELLO[:-2], reset]
    with pytest.raises(UpstreamError):
        await text(new_transport(f"https://127.0.0.1:{upstream.port}", tls=authority.trusting()))


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/a b", {}),
        ("/a\r\nX: y", {}),
        ("/a", {"x-goog-api-key": "a\r\nX: y"}),
        ("/a", {"x-goog-api-key": "a\nX: y"}),
    ],
)
async def test_nothing_ends_a_line_of_the_head(
    new_transport: NewTransport, upstream: FakeGem, path: str, headers: dict[str, str]
) -> None:
    with pytest.raises(GatewayError):
        await new_transport(upstream.url).request("POST", path, headers, b"{}")
    assert all(b"X: y" not in request and b" b" not in request for request in upstream.requests)


def test_the_context_of_tls_checks_names_and_certificates() -> None:
    context = tls_context.__wrapped__()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
