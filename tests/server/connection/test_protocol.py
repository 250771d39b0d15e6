"""Connections: what aiohttp's parser refuses, expectations, upgrades, time limits, and the limit per address."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from gateway.observability.request_log import RequestLog
from tests.support.servers import Fake, RawUpstream, Serve, chunked
from tests.support.waiting import eventually

CANARY = b"AIzaSyCanary0123456789"


RAW = {
    "no request line": b"\x00\x01\x02 " + CANARY + b"\r\n\r\n",
    "an odd method": b"BR@W / HTTP/1.1\r\nHost: " + CANARY + b"\r\n\r\n",
    "an odd version": b"GET / HTTP/9.9\r\nX: " + CANARY + b"\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\nK: " + CANARY + b"\r\n\r\n",
    "length and chunks": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\nK: " + CANARY + b"\r\n\r\n0\r\n\r\n",
    "a blank before the colon": b"GET / HTTP/1.1\r\nHost : " + CANARY + b"\r\n\r\n",
    "a long header": b"GET / HTTP/1.1\r\nHost: x\r\nA: " + CANARY * 1000 + b"\r\n\r\n",
    "a long line": b"GET /" + CANARY * 1000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS on the plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + CANARY + b"\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("name", RAW)
async def test_a_request_that_the_parser_refuses_is_answered_in_json_without_an_echo(
    gateway: str, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.rpartition(":")[2]))
    writer.write(RAW[name])
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")

    assert head.startswith((b"HTTP/1.0 4", b"HTTP/1.1 4"))
    assert b"Access-Control-Allow-Origin: *" in head
    assert json.loads(body)["error"]["type"] == "invalid_request_error"
    assert CANARY not in answer
    assert CANARY.decode() not in "".join(capfd.readouterr())


class Peer:
    """A client that writes bytes and reads answers, on one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, *pieces: bytes) -> None:
        self.writer.write(b"".join(pieces))

    async def answer(self) -> tuple[int, dict[str, str], Any]:
        """Return status, headers and the decoded body of the next answer."""
        async with asyncio.timeout(60):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(head[0].split()[1]), headers, json.loads(body) if body else None

    async def rest(self) -> bytes:
        """Return what arrives until the other side closes."""
        async with asyncio.timeout(60):
            return await self.reader.read()


@pytest.fixture
async def peers() -> AsyncIterator[Callable[[str], Awaitable[Peer]]]:
    """Connects clients to the URL of a server."""
    opened: list[Peer] = []

    async def connect(url: str) -> Peer:
        opened.append(Peer(*await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))))
        return opened[-1]

    yield connect
    for peer in opened:
        peer.writer.close()


CHAT = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
KEY = b"Authorization: Bearer k\r\n"
BODY = b'{"messages": [{"role": "user", "content": "hello"}]}'
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
Connect = Callable[[str], Awaitable[Peer]]


@pytest.mark.row("A22", "C19")
@pytest.mark.parametrize("value", [b"x", b"200-ok", b"100-continue, x", b"AIzaSyCanary0123456789"])
@pytest.mark.parametrize(
    "path", [b"/v1/chat/completions", b"/v1/nothing", b"/v1beta/models/m:generateContent"]
)
async def test_a22_an_unknown_expectation_is_refused_in_json(
    gateway: str, peers: Connect, value: bytes, path: bytes
) -> None:
    peer = await peers(gateway)
    peer.send(b"POST ", path, b" HTTP/1.1\r\nHost: x\r\nExpect: ", value, b"\r\n", KEY, LENGTH, b"\r\n")
    status, headers, body = await peer.answer()

    assert status == 417
    assert headers["connection"] == "close"
    assert body["error"]["type"] == "invalid_request_error"
    assert CANARY.decode() not in str(body)


@pytest.mark.row("A22", "C19")
@pytest.mark.parametrize(
    "head",
    [CHAT, CHAT.replace(b"chat/completions", b"responses"), CHAT.replace(b"/v1/chat/completions", b"/v1beta/models/m:generateContent"),
     CHAT.replace(b"/v1/chat/completions", b"/upload/v1beta/files"), CHAT.replace(b"chat/completions", b"nothing")],
)  # fmt: skip
async def test_a22_a_client_without_a_key_is_refused_before_it_sends_its_body(
    gateway: str, peers: Connect, head: bytes
) -> None:
    peer = await peers(gateway)
    peer.send(head, b"Expect: 100-continue\r\n", LENGTH, b"\r\n")
    status, headers, _ = await peer.answer()

    assert status in (401, 404)
    assert headers["connection"] == "close"
    assert b"100 Continue" not in await peer.rest()


@pytest.mark.row("A22", "C19")
@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
async def test_a22_a_client_with_a_key_is_asked_for_its_body(
    gateway: str, peers: Connect, version: bytes
) -> None:
    peer = await peers(gateway)
    peer.send(CHAT.replace(b"HTTP/1.1", version), KEY, b"Expect: 100-Continue\r\n", LENGTH, b"\r\n")
    if version == b"HTTP/1.1":
        assert (await peer.answer())[0] == 100
    peer.send(BODY)
    status, headers, _ = await peer.answer()

    assert status == 200
    assert headers.get("connection") != "close"


@pytest.mark.row("A22", "C19")
async def test_a22_a_client_that_does_not_wait_is_not_asked(gateway: str, peers: Connect) -> None:
    peer = await peers(gateway)
    peer.send(CHAT, KEY, b"Expect: 100-continue\r\n", LENGTH, b"\r\n", BODY)

    assert (await peer.answer())[0] == 200


UPGRADES = [b"websocket", b"h2c", b"TLS/1.2", b"websocket, h2c"]


@pytest.mark.row("A22", "C45")
@pytest.mark.parametrize("name", UPGRADES)
@pytest.mark.parametrize("size", [2, 70_000, 400_000])
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "in pieces"])
async def test_a22_after_an_early_error_no_request_hangs(
    gateway: str, peers: Connect, name: bytes, size: int, whole: bool
) -> None:
    peer = await peers(gateway)
    head = CHAT + b"Connection: Upgrade\r\nUpgrade: " + name + b"\r\nContent-Length: %d\r\n\r\n" % size
    peer.send(head, b"x" * (size if whole else size // 2))
    status, headers, _ = await peer.answer()
    peer.send(b"" if whole else b"x" * (size - size // 2), b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")

    assert status == 401
    if headers.get("connection") == "close":
        assert await peer.rest() == b""
    else:
        assert (await peer.answer())[0] == 200


@pytest.mark.row("A22", "C45")
@pytest.mark.parametrize("name", UPGRADES)
async def test_a22_a_request_that_offers_an_upgrade_is_answered_as_any_other(
    gateway: str, peers: Connect, name: bytes
) -> None:
    peer = await peers(gateway)
    for _ in range(3):  # Java's HttpClient offers h2c with each request
        peer.send(
            CHAT, KEY, LENGTH, b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: ", name, b"\r\n\r\n", BODY
        )
        assert (await peer.answer())[0] == 200


@pytest.mark.row("A22", "C17")
@pytest.mark.parametrize(
    "encoding", [b"gzip", b"deflate", b"br", b"zstd", b"x-gzip", b"gzip, gzip", b"nonsense"]
)
async def test_a22_a_body_that_cannot_be_decoded_closes_the_connection_in_good_order(
    gateway: str, peers: Connect, encoding: bytes
) -> None:
    peer = await peers(gateway)
    peer.send(CHAT, KEY, b"Content-Encoding: ", encoding, b"\r\n", LENGTH, b"\r\n", BODY)
    status, headers, body = await peer.answer()
    peer.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")

    assert status == 415
    assert body["error"]["type"] == "invalid_request_error"
    if headers.get("connection") == "close":
        assert await peer.rest() == b""
    else:
        assert (await peer.answer())[0] == 200


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that runs fifty times as fast."""
    monkeypatch.setattr("gateway.server.connection.protocol._TICK", 0.02)


LIMITS = "connections: {header_timeout: 5, body_timeout: 8, idle_timeout: 60}"


@pytest.mark.row("A27", "C01", "C03")
@pytest.mark.parametrize(
    "first",
    [b"", b"POS", CHAT, CHAT + KEY + b"X: "],
    ids=["nothing", "three letters", "a header", "half a header"],
)
async def test_a27_a_client_that_does_not_complete_its_headers_is_cut(
    serve: Serve, quick: None, peers: Connect, first: bytes
) -> None:
    peer = await peers(await serve(LIMITS))
    third = len(first) // 3
    for piece in (first[:third], first[third:-third], first[-third:]):
        peer.send(piece)
        await asyncio.sleep(0.03)
    answer = await peer.rest()

    assert (
        not answer
        if not first
        else json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "invalid_request"
    )
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n") is bool(first)


@pytest.mark.row("A27", "C01")
async def test_a27_the_headers_of_a_later_request_have_their_time_too(
    serve: Serve, fake: Fake, quick: None, peers: Connect
) -> None:
    peer = await peers(await serve(LIMITS, fake.url))
    for _ in range(2):
        peer.send(CHAT, KEY, LENGTH, b"\r\n", BODY)
        assert (await peer.answer())[0] == 200
        await asyncio.sleep(0.3)  # three times as long as headers may take: nothing was begun
    peer.send(CHAT)

    assert (await peer.rest()).startswith(b"HTTP/1.1 408 ")


@pytest.mark.row("A27", "C02")
@pytest.mark.parametrize(
    "path", [b"/v1/chat/completions", b"/v1/messages", b"/v1beta/models/m:generateContent", b"/v1/embeddings"]
)
async def test_a27_a_body_without_progress_is_refused(
    serve: Serve,
    quick: None,
    peers: Connect,
    path: bytes,
    event_lines: list[dict[str, Any]],
    request_lines: list[RequestLog],
) -> None:
    peer = await peers(
        await serve(LIMITS + "\nplugins: {chat: {}, messages: {}, native: {}, embeddings: {}}")
    )
    head = CHAT.replace(b"/v1/chat/completions", path)
    peer.send(head, KEY, b"Content-Length: 100\r\n\r\n", BODY)
    status, headers, body = await peer.answer()

    assert status == 408
    assert headers["connection"] == "close"
    assert body["error"]["message"] == "The request was not complete in time."
    assert await peer.rest() == b""
    assert [line.status for line in request_lines] == [408]
    assert not event_lines


@pytest.mark.row("A27", "C02")
async def test_a27_an_upload_without_progress_is_the_client_s_fault(
    serve: Serve, fake: Fake, quick: None, peers: Connect, request_lines: list[RequestLog]
) -> None:
    peer = await peers(await serve(LIMITS + "\nplugins: {native: {}}", fake.url))
    peer.send(
        CHAT.replace(b"/v1/chat/completions", b"/upload/v1beta/files"),
        KEY,
        b"Content-Length: 100\r\n\r\n",
        BODY,
    )
    status, headers, body = await peer.answer()

    assert (status, headers["connection"]) == (408, "close")
    assert body["error"]["message"] == "The request was not complete in time."
    assert [line.error for line in request_lines] == ["request_timeout"]


@pytest.mark.row("A27", "C02")
async def test_a27_a_slow_body_with_progress_is_read(
    serve: Serve, fake: Fake, quick: None, peers: Connect
) -> None:
    peer = await peers(await serve(LIMITS, fake.url))
    peer.send(CHAT, KEY, LENGTH, b"\r\n")
    for start in range(0, len(BODY), 4):  # longer than body_timeout in all
        await asyncio.sleep(0.03)
        peer.send(BODY[start : start + 4])

    assert (await peer.answer())[0] == 200


@pytest.mark.row("A27")
async def test_a27_a_stream_is_not_cut_by_the_limits_of_requests(
    serve: Serve, raw_upstream: RawUpstream, quick: None, peers: Connect
) -> None:
    raw_upstream.scripts = [
        [*chunked(b'data: {"candidates":[{"content":{"parts":[{"text":"a"}]}}]}\r\n\r\n'), None]
    ]
    peer = await peers(await serve(LIMITS, raw_upstream.url))
    body = BODY[:-1] + b', "stream": true}'
    peer.send(CHAT, KEY, b"Content-Length: %d\r\n\r\n" % len(body), body)
    await peer.reader.readuntil(b'"content":"a"')
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(peer.reader.read(), 0.5)


@pytest.mark.row("A27")
async def test_a27_an_address_with_too_many_connections_is_told(serve: Serve, peers: Connect) -> None:
    base = await serve("connections: {per_address: 2, trusted_proxies: []}")
    first, second, third = [await peers(base) for _ in range(3)]
    status, headers, body = await third.answer()

    assert (status, headers["connection"]) == (429, "close")
    assert body["error"]["message"] == "Too many connections from this address."
    assert await third.rest() == b""
    for peer in (first, second):
        peer.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await peer.rest()).startswith(b"HTTP/1.1 200")
    fourth = await peers(base)
    fourth.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await fourth.answer())[0] == 200


@pytest.mark.row("A27")
async def test_a27_cut_and_refused_connections_are_counted_in_the_log(
    serve: Serve,
    quick: None,
    peers: Connect,
    event_lines: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.server.connection.protocol._REPORT", 10)
    base = await serve("connections: {header_timeout: 2, per_address: 2, trusted_proxies: []}")
    for _ in range(3):
        await peers(base)
    await eventually(lambda: event_lines)

    assert (
        event_lines[0]["message"]
        == "connections: 2 cut by header_timeout or body_timeout, 1 refused by per_address"
    )


async def test_requests_that_arrive_together_are_answered_in_their_order(
    gateway: str, peers: Connect
) -> None:
    peer = await peers(gateway)
    texts = [b"one", b"two", b"three"]
    bodies = [b'{"messages":[{"role":"user","content":"%b"}]}' % text for text in texts]
    peer.send(*(CHAT + KEY + b"Content-Length: %d\r\n\r\n%b" % (len(body), body) for body in bodies))
    answers = [(await peer.answer())[2]["choices"][0]["message"]["content"] for _ in texts]

    assert answers == ["You said: one", "You said: two", "You said: three"]
