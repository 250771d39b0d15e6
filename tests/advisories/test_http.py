"""Advisories about HTTP itself, by raw sockets: bombs, tiny chunks, trailers, pipelines, long lines, smuggling."""

import gzip
import json
import random
import zlib
from typing import Any

import aiohttp
import pytest

from gateway.server.connection.protocol import Protocol
from tests.advisories.wire import HEAD, answered, post, raw, status
from tests.support.hostile import Bench, longest_absence
from tests.support.servers import RawUpstream, Serve, ok, whole
from tests.support.work import calls_made

CHAT = "/v1/chat/completions"
BOMB = gzip.compress(b'{"messages": "' + bytes(50_000_000), 9)
DEFLATED_BOMB = zlib.compress(bytes(50_000_000))
BODY = b'{"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "x"}]}'
ANSWER = {"candidates": [{"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}]}


def chunked_post(path: str, *pieces: bytes, end: bytes = b"0\r\n\r\n") -> list[bytes]:
    """Return a request whose body comes in chunks, and which closes its connection."""
    head = (
        b"POST %s HTTP/1.1\r\n" % path.encode()
        + HEAD
        + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    return [head, *(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces), end]


@pytest.fixture
async def url(serve: Serve, raw_upstream: RawUpstream) -> str:
    """A gateway with every surface, in front of an upstream that answers."""
    raw_upstream.scripts = [ok(ANSWER)]
    names = ("chat", "responses", "messages", "completions", "embeddings", "native", "models", "health")
    return await serve(f"plugins: {{{', '.join(f'{name}: {{}}' for name in names)}}}", raw_upstream.url)


@pytest.mark.row("S56")
@pytest.mark.parametrize(
    "encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "x-gzip", "GZIP", "identity, gzip"]
)
@pytest.mark.parametrize("path", [CHAT, "/v1/messages", "/v1beta/models/gemini-2.5-flash:generateContent"])
async def test_s56_a_compressed_body_is_bounded_or_refused(
    url: str, raw_upstream: RawUpstream, encoding: str, path: str
) -> None:
    """48 KB that become 50 MB: no answer of 5xx, and nothing of it reaches Google."""
    assert len(BOMB) < 60_000
    for data in (BOMB, DEFLATED_BOMB, b"\x28\xb5\x2f\xfd" + bytes(100), b"not compressed", BOMB[:1000]):
        answer = await answered(url, post(path, data, b"Content-Encoding: " + encoding.encode()))
        assert status(answer) in (400, 413, 415), data[:10]
        json.loads(answer.partition(b"\r\n\r\n")[2])
    assert raw_upstream.requests == []


@pytest.mark.row("S57")
async def test_s57_a_body_of_tiny_chunks_does_not_hold_the_loop(
    url: str, raw_upstream: RawUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """300,000 chunks of one byte: one read handles a bounded number of them, with a few calls for each."""
    reads: list[int] = []
    handle = Protocol.data_received

    def data_received(self: Protocol, data: bytes) -> None:
        reads.append(calls_made(lambda: handle(self, data)))

    monkeypatch.setattr(Protocol, "data_received", data_received)
    text = BODY[:-1] + b', "user": "' + b"x" * 300_000 + b'"}'
    pieces = [
        b"".join(b"1\r\n%c\r\n" % byte for byte in text[i : i + 20_000]) for i in range(0, len(text), 20_000)
    ]
    head = (
        b"POST %s HTTP/1.1\r\n" % CHAT.encode()
        + HEAD
        + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    answer = await answered(url, head, *pieces, b"0\r\n\r\n")

    assert status(answer) == 200
    assert len(raw_upstream.requests) == 1
    assert len(reads) > 5
    assert max(reads) < 120_000  # aiohttp stops reading the socket while 16,384 chunks wait
    assert sum(reads) < 8 * 300_000 + 10_000


@pytest.mark.row("S58")
@pytest.mark.parametrize("count", [1, 200, 5000])
async def test_s58_trailers_are_bounded(url: str, raw_upstream: RawUpstream, count: int) -> None:
    trailers = b"".join(b"X-%d: %s\r\n" % (i, b"y" * 50) for i in range(count))
    answer = await answered(url, *chunked_post(CHAT, BODY, end=b"0\r\n" + trailers + b"\r\n"))

    assert status(answer) == (200 if count == 1 else 400)
    assert len(raw_upstream.requests) == (count == 1)


@pytest.mark.row("S58")
@pytest.mark.parametrize("head", [b"".join(b"X-%d: y\r\n" % i for i in range(5000)), b"X: " + b"y" * 100_000 + b"\r\n",
                                  b"X" * 100_000 + b": y\r\n"])  # fmt: skip
async def test_s58_headers_are_bounded(url: str, head: bytes) -> None:
    answer = await answered(url, b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n")

    assert status(answer) in (400, 431)
    json.loads(answer.partition(b"\r\n\r\n")[2])


@pytest.mark.row("S59")
async def test_s59_pipelined_requests_wait_in_the_socket_not_in_memory(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """3,000 at once: they are answered in order, and few are read ahead of the answers."""
    deepest = 0
    handle = Protocol.data_received

    def data_received(self: Protocol, data: bytes) -> None:
        nonlocal deepest
        handle(self, data)
        deepest = max(deepest, len(self._messages))

    monkeypatch.setattr(Protocol, "data_received", data_received)
    one = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /v1/models/none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = await raw(url, *[one * 500] * 6, last, seconds=60)

    assert answer.count(b"HTTP/1.1 200 OK") == 3000
    assert answer.count(b"HTTP/1.1 401 ") == 1
    assert answer.rindex(b"HTTP/1.1 ") == answer.index(b"HTTP/1.1 401 ")
    assert 0 < deepest <= 1000


@pytest.mark.row("S60")
@pytest.mark.parametrize("head", [b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n",
                                  b"GET / HTTP/1.1\r\nHost: x\r\n%s: x\r\n\r\n", b"%s / HTTP/1.1\r\nHost: x\r\n\r\n",
                                  b"GET / %s\r\n\r\n", b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n"])  # fmt: skip
async def test_s60_a_line_that_comes_in_pieces_is_as_long_as_it_is(url: str, head: bytes) -> None:
    data = head % (b"a" * 1_000_000)
    answer = await answered(url, *(data[i : i + 100] for i in range(0, len(data), 100)))

    assert status(answer) in (400, 414, 431, 0)
    assert b"aaaa" not in answer


@pytest.mark.row("S61")
@pytest.mark.parametrize(
    "hosts", [b"Host: a\r\nHost: b\r\n", b"Host: a\r\nHost: a\r\n", b"Host: a\r\nhOST: b\r\n"]
)
async def test_s61_two_hosts_are_refused(url: str, hosts: bytes) -> None:
    answer = await answered(url, b"GET /healthz HTTP/1.1\r\n" + hosts + b"\r\n")

    assert status(answer) == 400


SMUGGLED = b"GET /v1/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
_LINE = b"POST /healthz HTTP/1.1\r\nHost: x\r\n"
SMUGGLING: dict[str, bytes] = {
    "length and chunks": _LINE + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": _LINE + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": _LINE + b"Content-Length: 0\r\nContent-Length: 43\r\n\r\n",
    "lengths in a list": _LINE + b"Content-Length: 0, 43\r\n\r\n",
    "length with a plus": _LINE + b"Content-Length: +0\r\n\r\n",
    "negative length": _LINE + b"Content-Length: -1\r\n\r\n",
    "length in hex": _LINE + b"Content-Length: 0x0\r\n\r\n",
    "length with an underscore": _LINE + b"Content-Length: 1_0\r\n\r\n",
    "length of other digits": _LINE + "Content-Length: \u0661\r\n\r\n".encode(),
    "empty length": _LINE + b"Content-Length:\r\n\r\n",
    "length with a blank inside": _LINE + b"Content-Length: 1 0\r\n\r\n",
    "length before the colon": _LINE + b"Content-Length : 43\r\n\r\n",
    "tab before the colon": _LINE + b"Content-Length\t: 43\r\n\r\n",
    "chunks before the colon": _LINE + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "unknown encoding": _LINE + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked twice": _LINE + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked not last": _LINE + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "two encodings": _LINE + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "control in encoding": _LINE + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "quoted encoding": _LINE + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "folded encoding": _LINE + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "folded length": _LINE + b"Content-Length: 4\r\n 3\r\n\r\n",
    "bare line feed": b"POST /healthz HTTP/1.1\nHost: x\nContent-Length: 43\n\n",
    "bare return": b"POST /healthz HTTP/1.1\rHost: x\r\n\r\n",
    "line feed in a value": _LINE + b"X: a\nContent-Length: 43\r\n\r\n",
    "return in a value": _LINE + b"X: a\rContent-Length: 43\r\n\r\n",
    "zero byte in a value": _LINE + b"X: a\x00b\r\n\r\n",
    "zero byte in a name": _LINE + b"X\x00: a\r\n\r\n",
    "no name": _LINE + b": a\r\n\r\n",
    "no colon": _LINE + b"Content-Length 43\r\n\r\n",
    "blank line first": b"\r\nPOST /healthz HTTP/9.1\r\nHost: x\r\n\r\n",
    "header first": b"Content-Length: 43\r\nPOST /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "chunk with a plus": _LINE + b"Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n",
    "chunk with a sign": _LINE + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    "chunk in 0x": _LINE + b"Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n",
    "chunk of other digits": _LINE + "Transfer-Encoding: chunked\r\n\r\n\u0661\r\na\r\n0\r\n\r\n".encode(),
    "chunk overflow": _LINE + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n\r\n",
    "chunk longer than said": _LINE + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
    "chunk with a bare line feed": _LINE + b"Transfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n",
    "chunk with a blank first": _LINE + b"Transfer-Encoding: chunked\r\n\r\n 1\r\na\r\n0\r\n\r\n",
    "extension with a line feed": _LINE + b"Transfer-Encoding: chunked\r\n\r\n1;a\nb\r\na\r\n0\r\n\r\n",
    "empty chunk size": _LINE + b"Transfer-Encoding: chunked\r\n\r\n\r\n0\r\n\r\n",
    "trailer with a length": _LINE + b"Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length 43\r\n\r\n",
    "tabs for spaces": b"POST\t/healthz\tHTTP/1.1\r\nHost: x\r\n\r\n",
    "version with a space": b"POST /healthz HTTP/1.1 \r\nHost: x\r\n\r\n",
    "version 1.10": b"POST /healthz HTTP/1.10\r\nHost: x\r\n\r\n",
    "version in other digits": "POST /healthz HTTP/1.\u0661\r\nHost: x\r\n\r\n".encode(),
    "lower-case version": b"POST /healthz http/1.1\r\nHost: x\r\n\r\n",
    "method with a colon": b"PO:ST /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "two hosts": b"POST /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "HTTP/2 on a plain port": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.row("S62")
@pytest.mark.parametrize("name", SMUGGLING)
async def test_s62_nothing_is_smuggled_behind_a_request(
    url: str, name: str, request_lines: list[Any]
) -> None:
    """A request of doubtful length is refused and its connection closed, or has no body: then the next is one of its own."""
    answer = await raw(url, SMUGGLING[name] + SMUGGLED, seconds=15)
    answers = answer.count(b"HTTP/1.1 ") + answer.count(b"HTTP/1.0 ")

    if status(answer) == 400:
        assert answers == 1
        assert b"smuggled" not in answer
        assert [line for line in request_lines if "smuggled" in line.path] == []
    else:
        pytest.fail(f"accepted: {answer[:200]!r}")


def broken_answers() -> list[bytes]:
    """Return the bytes of malformed answers: chunks, lengths, headers and status lines, and noise."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    chunks = b"Transfer-Encoding: chunked\r\n\r\n"
    result = [head + chunks + size + b"\r\n{}\r\n0\r\n\r\n" for size in (b"", b"g", b"-2", b"+2", b"0x2", b"f" * 17, b"2 ", b"\x00",
              b"2;" + b"a" * 70_000, "\u0662".encode())]  # fmt: skip
    result += [
        head + b"Content-Length: " + length + b"\r\n\r\n{}"
        for length in (b"", b"-1", b"99", b"1, 2", b"2\r\nContent-Length: 3", b"9" * 30)
    ]
    result += [line + b"\r\n\r\n{}" for line in (b"", b"HTTP/1.1", b"HTTP/1.1 99999 OK", b"HTTP/1.1 abc OK", b"HTTP/9.9 200 OK", b"\x00" * 50,
               b"HTTP/1.1 200 " + b"x" * 70_000, b"ICY 200 OK", b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade", b"HTTP/1.1 000 x")]  # fmt: skip
    result += [
        head + b"X" + bytes([code]) + b": y\r\nContent-Length: 2\r\n\r\n{}"
        for code in (0, 10, 13, 32, 127, 128, 255)
    ]
    rolls = random.Random(4)
    good = head + chunks + b"2\r\n{}\r\n0\r\n\r\n"
    for _ in range(60):
        spoilt = bytearray(good)
        for _ in range(rolls.randint(1, 4)):
            spoilt[rolls.randrange(len(spoilt))] = rolls.randrange(256)
        result.append(bytes(spoilt))
    return result


@pytest.mark.row("S64")
async def test_s64_malformed_answers_of_the_upstream_are_errors_of_the_upstream(
    serve: Serve, raw_upstream: RawUpstream, http: aiohttp.ClientSession
) -> None:
    url = await serve("plugins: {chat: {}, native: {}, health: {}}", raw_upstream.url)
    native = "/v1beta/models/gemini-2.5-flash:generateContent"
    for answer in broken_answers():
        raw_upstream.scripts = [[answer]]
        for path, stream in ((CHAT, False), (CHAT, True), (native, False)):
            body = {
                "model": "gemini-2.5-flash",
                "messages": [{"role": "user", "content": "x"}],
                "stream": stream,
            }
            async with http.post(url + path, json=body if path == CHAT else {"contents": []}) as response:
                try:
                    data = await response.read()
                except (
                    aiohttp.ClientPayloadError
                ):  # Gemini's own API is passed on as it comes, and cut where it was cut
                    assert path == native
                    continue
                assert response.status != 500 or b"internal_error" not in data, answer[:80]
                assert b"Traceback" not in data
    raw_upstream.scripts = [ok(ANSWER)]
    async with http.post(url + CHAT, data=BODY) as response:
        assert response.status == 200


@pytest.mark.row("S67")
async def test_s67_bad_cookies_are_not_a_line_of_the_log_each(
    url: str, serve: Serve, capfd: pytest.CaptureFixture[str], request_lines: list[Any]
) -> None:
    cookies = "; ".join(f"a{i}\x01[]={{\"'=;" for i in range(200)).encode()
    for _ in range(20):
        answer = await answered(url, b"GET /healthz HTTP/1.1\r\nHost: x\r\nCookie: " + cookies + b"\r\n\r\n")
        assert status(answer) in (200, 400)
    good = (
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nCookie: "
        + b"; ".join(b"a[%d]=b,c" % i for i in range(300))
        + b"\r\n\r\n"
    )
    for _ in range(20):
        assert status(await answered(url, good)) == 200
    await serve.stop()

    assert len(request_lines) >= 20
    assert capfd.readouterr().err.count("\n") <= 1


@pytest.mark.row("S69")
@pytest.mark.parametrize("protocol", [b"websocket", b"h2c", b"WebSocket, h2c", b"x"])
@pytest.mark.parametrize(
    "path", ["/v1/realtime", CHAT, "/healthz", "/v1beta/models/gemini-2.5-flash:generateContent", "/ws"]
)
async def test_s69_no_connection_is_upgraded(url: str, path: str, protocol: bytes) -> None:
    head = b"GET %s HTTP/1.1\r\n" % path.encode() + HEAD + b"Connection: Upgrade\r\nUpgrade: " + protocol
    head += b"\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
    answer = await answered(url, head)

    assert status(answer) not in (0, 101)
    assert b"upgrade: websocket" not in answer.lower()


@pytest.mark.row("S71")
@pytest.mark.parametrize("depth", [101, 254, 255, 1023, 1025, 10_000, 1_000_000])
@pytest.mark.parametrize("kind", ["arrays", "objects", "both"])
async def test_s71_deep_bodies_are_a_400(url: str, raw_upstream: RawUpstream, depth: int, kind: str) -> None:
    opened, closed = {"arrays": (b"[", b"]"), "objects": (b'{"a":', b"}"), "both": (b'[{"a":', b"}]")}[kind]
    for path in (CHAT, "/v1/responses", "/v1/messages"):
        for data in (opened * depth + b"1" + closed * depth, b'{"messages": %s' % (opened * depth)):
            body = data if data[:2] == b'{"' else b'{"model": "gemini-2.5-flash", "messages": %s}' % data
            answer = await answered(url, post(path, body))
            assert status(answer) == 400
    assert raw_upstream.requests == []


@pytest.mark.row("S71")
async def test_s71_a_deep_answer_of_the_upstream_is_an_error_of_the_upstream(
    url: str, raw_upstream: RawUpstream
) -> None:
    for depth in (150, 1000, 100_000):
        deep = b'{"candidates": ' + b"[" * depth + b"]" * depth + b"}"
        args = (
            b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"a":'
            + b"[" * depth
            + b"]" * depth
            + b"}}}]}}]}"
        )
        for data in (deep, args):
            raw_upstream.scripts = [whole(data)]
            answer = await answered(url, post(CHAT, BODY))
            assert status(answer) in (200, 502), answer[:200]
            assert b"internal_error" not in answer


@pytest.mark.row("S47")
@pytest.mark.parametrize(
    "body",
    [{"n": 10**9}, {"top_logprobs": 10**9}, {"stop": ["x"] * 50_000}, {"logit_bias": {str(i): 1 for i in range(50_000)}},
     {"max_tokens": 10**18}, {"seed": 10**300}, {"chat_template_kwargs": {"x": "y" * 10**6}}, {"tools": [{"type": "function", "function": {"name": f"f{i}"}} for i in range(1000)]},
     {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"pattern": "(a+)+$" * 1000}}}},
     {"user": "x" * 2**20}, {"metadata": {"a": ["b"] * 100_000}}],
)  # fmt: skip
async def test_s47_no_option_holds_the_loop(body: dict[str, Any]) -> None:
    bench = Bench()
    await bench.start()
    data = json.dumps(
        {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "x"}], **body}
    ).encode()
    code, seconds = await longest_absence(bench, data)
    await bench.stop()

    assert code in (200, 400)
    assert seconds < 0.1
