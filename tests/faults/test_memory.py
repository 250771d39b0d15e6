"""Faults that take memory: large, compressed and endless answers, and large bodies.

Where the size of the process counts, the gateway is a process of its own.
"""

import asyncio
import gzip
import json
from time import monotonic

import pytest

from gateway.policy.load.memory import MemoryHold
from tests.soak.memory import MB, Request, chat, post
from tests.support.apart import Apart
from tests.support.fakegem import close, event, head, message, whole
from tests.support.rawc import RawClient
from tests.support.site import Site, WatchedServe
from tests.support.surfaces import (
    CHAT,
    CHAT_STREAM,
    MESSAGES,
    NATIVE,
    STREAMS,
    TRANSLATED,
    UNARY,
    Surface,
    assert_refused,
    assert_whole,
)
from tests.support.waiting import eventually

EVERY = pytest.mark.parametrize("surface", [*TRANSLATED, NATIVE])


def hold(site: Site, size: int) -> MemoryHold:
    """Hold memory of the gateway for another client."""
    result = site.services.memory.open()
    result.owner = "another"
    result.take(size)
    return result


@pytest.mark.row("A5", "P21")
@EVERY
async def test_a05_a_full_account_refuses_in_each_format_and_at_once(site: Site, surface: Surface) -> None:
    await site.start()
    other = hold(site, int(site.services.memory.limit * 0.8))
    began = monotonic()
    reply = await site.ask(surface, "x" * 200_000)
    elapsed = monotonic() - began
    assert_refused(reply, 529 if surface.name == "messages" else 503, "gateway_overloaded")
    assert reply.headers["retry-after"] == "2"
    assert elapsed < 0.2  # `make test-memory` measures it where nothing else runs
    assert not site.upstream.requests
    assert_whole(await site.ask(surface))  # a small one still has room
    other.release()
    assert_whole(await site.ask(surface, "x" * 200_000))


@pytest.mark.row("A5")
@EVERY
async def test_a05_the_account_is_exact_after_each_request(
    site: Site, surface: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.start()
    account = site.services.memory
    large = json.dumps(message("y" * 300_000)).encode()
    site.upstream.queue.append([event(json.loads(large)), close] if surface.streamed else whole(large))
    seen: list[int] = []
    original = account.own

    def own(holder: MemoryHold, size: int) -> None:
        seen.append(size)
        original(holder, size)

    monkeypatch.setattr(account, "own", own)
    for size in (10, 300_000):
        await site.ask(surface, "x" * size)
        await eventually(lambda: not account.used)
    await site.ask(surface, "x" * 300_000)
    await eventually(lambda: not account.used)
    assert max(seen) > 1_000_000
    assert account._by_owner == {}


@pytest.mark.row("A5")
async def test_a05_a_body_above_the_clients_share_alone_is_served(site: Site) -> None:
    await site.start(more="limits: {memory: 1048576}\n")
    assert_whole(await site.ask(CHAT, "x" * 900_000))


@pytest.mark.row("A5")
async def test_a05_a_length_that_is_only_announced_is_reserved_for_a_while(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.exchange.incoming.request_body._ANNOUNCED", 0.1)
    await site.start()
    account = site.services.memory
    async with await RawClient.open(site.base) as liar:
        await liar.send(
            f"POST {CHAT.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {site.key}\r\n"
            "Content-Length: 30000000\r\n\r\n{".encode()
        )
        await eventually(lambda: account.used > 100_000_000)
        await eventually(lambda: account.used < 1000)
        await liar.send(b" " * 400_000)
        await eventually(lambda: account.used > 1_000_000)
    await eventually(lambda: not account.used)


@pytest.mark.row("C15")
async def test_c15_a_body_above_the_limit_is_refused_before_it_is_read(site: Site) -> None:
    await site.start(more="limits: {body: 100000}\n")
    async with await RawClient.open(site.base) as client:
        await client.send(
            f"POST {CHAT.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {site.key}\r\n"
            "Content-Length: 100001\r\n\r\n".encode()
        )
        status, headers, body = await client.response()
    assert (status, json.loads(body)["error"]["code"]) == (413, "request_too_large")
    assert headers["connection"] == "close"


@pytest.mark.row("C16")
async def test_c16_a_chunked_body_is_refused_at_the_limit(site: Site) -> None:
    await site.start(more="limits: {body: 100000}\n")
    async with await RawClient.open(site.base) as client:
        await client.send(
            f"POST {CHAT.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {site.key}\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        await client.send(b"18698\r\n" + b" " * 0x18698 + b"\r\n" + b"10\r\n" + b" " * 16 + b"\r\n")
        status, _, body = await client.response()
    assert (status, json.loads(body)["error"]["code"]) == (413, "request_too_large")


@pytest.mark.row("U30")
@pytest.mark.parametrize("surface", TRANSLATED)
async def test_u30_a_gzip_answer_is_read(site: Site, surface: Surface) -> None:
    await site.start()
    answer = json.dumps(message()).encode()
    data = gzip.compress(b"data: " + answer + b"\r\n\r\n" if surface.streamed else answer)
    kind = "text/event-stream" if surface.streamed else "application/json"
    first = head(content_type=kind, content_encoding="gzip", content_length=len(data))
    site.upstream.always = [first + data]

    assert_whole(await site.ask(surface))


@pytest.mark.row("U31")
@pytest.mark.parametrize("surface", [CHAT, CHAT_STREAM, MESSAGES])
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "aes128gcm"])
async def test_u31_a_corrupt_or_unknown_encoding_is_a_502(
    site: Site, surface: Surface, encoding: str
) -> None:
    await site.start(retry="attempts: 1")
    data = b"\x1f\x8bnot what it says" * 10
    kind = "text/event-stream" if surface.streamed else "application/json"
    first = head(content_type=kind, content_encoding=encoding, content_length=len(data))
    site.upstream.always = [first + data, close]

    reply = await site.ask(surface)
    assert_refused(reply, 502)
    assert b"not what it says" not in reply.body


async def ask_raw(base: str, surface: Surface, size: int) -> tuple[int, bytes]:
    """Return the status and the body of the answer to a large request."""
    name = "x-goog-api-key: k" if surface is NATIVE else "Authorization: Bearer k"
    async with await RawClient.open(base) as client, asyncio.timeout(60):
        await client.post(surface.path, json.dumps(surface.body("x" * size)).encode(), name)
        status, _, body = await client.response()
        return status, body


@pytest.mark.row("U50")
@pytest.mark.parametrize("surface", UNARY)
async def test_u50_an_early_413_is_mapped_at_once(serve: WatchedServe, surface: Surface) -> None:
    answer = {
        "error": {
            "code": 413,
            "message": "Request payload size exceeds the limit",
            "status": "INVALID_ARGUMENT",
        }
    }
    body = json.dumps(answer).encode()
    length = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"

    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 413 Too Large\r\n{length}".encode() + body)
        writer.close()

    async with await asyncio.start_server(early, "127.0.0.1", 0, limit=1024) as server:
        base = await serve("", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        status, body = await ask_raw(base, surface, 20_000_000)
    assert status == 413
    assert b"Request payload size" in body


@pytest.mark.row("A12", "U51")
@pytest.mark.parametrize("surface", [*UNARY, *STREAMS, NATIVE])
async def test_u51_an_upstream_that_never_reads_is_a_504(serve: WatchedServe, surface: Surface) -> None:
    end = asyncio.Event()

    async def deaf(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await end.wait()
        writer.transport.abort()

    async with await asyncio.start_server(deaf, "127.0.0.1", 0, limit=1024) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        base = await serve.text(f"upstream: {{base_url: '{url}', timeouts: {{write: 0.2}}}}\n")
        try:
            status, body = await ask_raw(base, surface, 20_000_000)
        finally:
            end.set()
    assert status == 504
    assert json.loads(body)["error"]


@pytest.mark.slow
@pytest.mark.row("U21")
async def test_u21_one_event_of_10_mb_is_delivered_and_freed(apart: Apart) -> None:
    assert await apart.ask("gemini-large", stream=True) == 200
    assert apart.peak <= 45
    await eventually(lambda: apart.grown <= 10)


@pytest.mark.slow
@pytest.mark.row("U22")
async def test_u22_an_event_without_end_is_cut(apart: Apart) -> None:
    assert await apart.ask("gemini-endless", stream=True) == 502
    assert apart.peak <= 80
    await eventually(lambda: apart.grown <= 10)


@pytest.mark.slow
@pytest.mark.row("U30")
@pytest.mark.parametrize("stream", [True, False])
async def test_u30_a_gzip_bomb_is_cut(apart: Apart, *, stream: bool) -> None:
    assert await apart.ask("gemini-bomb", stream=stream) == 502
    assert apart.peak <= 110
    await eventually(lambda: apart.grown <= 10)


@pytest.mark.slow
@pytest.mark.row("A5")
async def test_a05_the_process_is_as_small_as_before_after_bodies_that_are_refused(apart: Apart) -> None:
    body = chat("x" * (30 * MB), 5)
    for _ in range(12):
        assert await post(apart.port, "127.0.0.1", Request("", CHAT.path, body)) == 400
    assert apart.peak <= 120
    await eventually(lambda: apart.grown <= 10)
