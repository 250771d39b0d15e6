"""What WebSockets hold before a request takes it: counted as it arrives, bounded, with a deadline and a mask."""

import asyncio
import base64
import itertools
import json
import os
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp.http import WebSocketError
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.exchange.incoming import websocket_frames
from gateway.exchange.incoming.websocket_frames import Frames
from gateway.observability.request_log import RequestLog
from gateway.plugin import SERVICES
from gateway.plugins.responses import websocket
from gateway.policy.load.memory import MemoryAccount
from tests.support.rawc import RawClient
from tests.support.servers import Fake, RawUpstream, Serve, chunked
from tests.support.waiting import eventually

TEXT, PING, PONG = 1, 9, 10
KIB = 1024
NOTHING = b'{"type":"nothing"}'
BEGIN = b'data: {"candidates":[{"content":{"parts":[{"text":"Once"}]}}]}\r\n\r\n'


def frame(data: bytes, opcode: int = TEXT, *, last: bool = True, masked: bool = True) -> bytes:
    """Return a frame with a mask of zeros."""
    mask, size = (0x80, len(data)) if masked else (0, len(data))
    head = bytes([(0x80 if last else 0) | opcode])
    if size < 126:
        head += bytes([mask | size])
    elif size < 2**16:
        head += bytes([mask | 126]) + struct.pack(">H", size)
    else:
        head += bytes([mask | 127]) + struct.pack(">Q", size)
    return head + (bytes(4) if masked else b"") + data


def create(text: str) -> bytes:
    return frame(json.dumps({"type": "response.create", "model": "gemini-2.5-flash", "input": text}).encode())


@asynccontextmanager
async def opened(base: str, key: str = "nobody", early: bytes = b"") -> AsyncIterator[RawClient]:
    """Yield a WebSocket. `early` is sent with the handshake."""
    lines = [
        "GET /v1/responses HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: websocket",
        "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        f"Authorization: Bearer {key}", "", "",
    ]  # fmt: skip
    async with await RawClient.open(base) as client:
        await client.send("\r\n".join(lines).encode() + early)
        assert b" 101 " in await asyncio.wait_for(client.reader.readuntil(b"\r\n\r\n"), 60)
        yield client


async def received(client: RawClient) -> tuple[int, bytes]:
    """Return the opcode and the payload of the next frame; (-1, b"") for a connection that is cut."""
    try:
        first, size = await asyncio.wait_for(client.reader.readexactly(2), 60)
        if size >= 126:
            width = 2 if size == 126 else 8
            size = int.from_bytes(await client.reader.readexactly(width), "big")
        return first & 0x0F, await client.reader.readexactly(size)
    except (ConnectionError, asyncio.IncompleteReadError):
        return -1, b""


async def error_of(client: RawClient) -> dict[str, Any]:
    """Return the next message, which is an error."""
    opcode, data = await received(client)
    assert opcode == TEXT, (opcode, data)
    message: dict[str, Any] = json.loads(data)
    assert message["type"] == "error"
    return message


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "_LOOK", 0.05)


class Sink:
    """A parser that accepts everything."""

    def __init__(self) -> None:
        self.size = 0

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.size += len(data)
        return False, b""


def frames_of(limit: int = 10**9) -> tuple[Frames, MemoryAccount]:
    account = MemoryAccount(limit)
    return Frames(Sink(), account.open()), account


_MESSAGES = st.lists(
    st.tuples(
        st.lists(st.integers(0, 300) | st.sampled_from([125, 126, 65535, 65536]), min_size=1, max_size=4),
        st.integers(0, 125),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=50)
@given(_MESSAGES, st.lists(st.integers(1, 12) | st.integers(100, 70_000), max_size=20))
def test_the_account_does_not_depend_on_how_bytes_arrive(
    messages: list[tuple[list[int], int]], cuts: list[int]
) -> None:
    data, sizes = b"", []
    for fragments, ping in messages:
        for number, size in enumerate(fragments):
            opcode, last = (0 if number else TEXT), number == len(fragments) - 1
            data += frame(b"x" * size, opcode, last=last) + frame(b"p" * ping, PING)
        sizes.append(sum(fragments))
    frames, account = frames_of()
    at = 0
    for step in itertools.cycle([*cuts, 20_000]):
        frames.feed_data(data[at : at + step])
        at += step
        if at >= len(data):
            break

    assert frames.is_between
    for fragments, ping in messages:
        for _ in fragments:
            frames.read_control(ping)
    for size, (fragments, _) in zip(sizes, messages, strict=True):
        hold = frames.taken()
        assert size * 4 <= hold.size <= size * 4 + 256 + 16 * len(fragments)
        hold.release()
    assert account.used == 0


@pytest.mark.row("A5")
def test_a05_only_the_message_that_is_taken_leaves_the_account() -> None:
    frames, account = frames_of()
    frames.feed_data(frame(b"a" * KIB) + frame(b"b" * 100 * KIB, last=False))
    first = frames.taken()
    first.release()
    assert account.used >= 400 * KIB

    frames.feed_data(frame(b"c" * KIB, 0))
    second = frames.taken()
    assert account.used == second.size >= 404 * KIB


@pytest.mark.row("A5")
def test_a05_empty_messages_and_control_frames_count_too() -> None:
    frames, account = frames_of()
    frames.feed_data(frame(b"") * 1000)
    assert account.used >= 200 * 1000
    frames.feed_data(frame(b"", PONG) * 1000)
    assert account.used >= 400 * 1000


@pytest.mark.row("S69")
@pytest.mark.parametrize("cut", [1, 2])
def test_s69_a_frame_without_a_mask_is_refused(cut: int) -> None:
    frames, account = frames_of()
    data = frame(b"x" * 200, masked=False)
    frames.feed_data(data[: cut - 1])
    with pytest.raises(WebSocketError, match="masked"):
        frames.feed_data(data[cut - 1 :])
    assert account.used == 0


def fragments(size: int, count: int) -> bytes:
    """Return the beginning of a message."""
    return frame(b"x" * size, last=False) + frame(b"x" * size, 0, last=False) * (count - 1)


@pytest.mark.row("S69")
@pytest.mark.parametrize("size", [0, 1, 100])
def test_s69_a_message_in_too_many_fragments_is_refused(size: int) -> None:
    frames, _ = frames_of()
    frames.feed_data(fragments(size, 1000) + frame(b"", 0))
    frames.feed_data(fragments(size, 1000) + frame(b"", PING) * 100)
    with pytest.raises(WebSocketError, match="too many fragments"):
        frames.feed_data(frame(b"x" * size, 0, last=False) * 1000)


def test_a_large_message_has_as_many_fragments_as_its_client_s_buffers() -> None:
    frames, _ = frames_of()
    frames.feed_data(fragments(KIB, 20_000) + frame(b"", 0))
    assert frames.taken().size >= 20_000 * KIB


@pytest.mark.row("A27")
def test_a27_a_message_has_a_deadline_from_its_first_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(websocket_frames, "monotonic", lambda: now)
    frames, _ = frames_of()
    assert not frames.is_late(now + 10**6, 30)
    data = frame(b"x" * 200 * KIB)
    frames.feed_data(data[:1])
    assert frames.is_late(now + 31, 30)
    frames.feed_data(data[1 : 100 * KIB])
    now += 25
    frames.feed_data(data[100 * KIB : 100 * KIB + 10])
    assert not frames.is_late(now + 29, 30)
    assert frames.is_late(now + 31, 30)
    frames.pardon(now + 31)
    assert not frames.is_late(now + 32, 30)
    frames.feed_data(data[100 * KIB + 10 :])
    assert not frames.is_late(now + 10**6, 30)


@pytest.mark.row("A27")
def test_a27_neither_pings_nor_single_bytes_prolong_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(websocket_frames, "monotonic", lambda: now)
    frames, _ = frames_of()
    frames.feed_data(frame(b"x" * 10, last=False))
    for _ in range(2):
        now += 20
        frames.feed_data(frame(b"y" * 100, PING))
    assert frames.is_late(now, 30)

    frames, _ = frames_of()
    for _ in range(3):
        now += 20
        frames.feed_data(frame(b"x", 0, last=False))
    assert frames.is_late(now, 30)


@pytest.mark.row("A5")
@pytest.mark.parametrize("taken", [False, True])
async def test_a05_the_end_of_a_message_releases_no_other(serve: Serve, fake: Fake, *, taken: bool) -> None:
    base = await serve("limits: {memory: 64000000}", fake.url)
    memory = serve.app[SERVICES].memory
    half = frame(b'{"type":"response.create","input":"' + b"x" * 1_000_000, last=False)
    async with opened(base) as client:
        if taken:
            await client.send(frame(NOTHING))
            await error_of(client)
        await client.send(frame(NOTHING) + half)
        await error_of(client)
        await eventually(lambda: memory.used >= 4_000_000)
        await client.send(frame(NOTHING, PING))
        assert (await received(client))[0] == PONG
        assert memory.used >= 4_000_000
    await eventually(lambda: memory.used == 0)


@pytest.mark.row("A5", "C42")
@pytest.mark.parametrize("size", [10_000, 1_000_000])
async def test_a05_half_messages_of_one_client_hold_half_at_most(
    serve: Serve, fake: Fake, size: int, request_lines: list[RequestLog]
) -> None:
    base = await serve("limits: {memory: 4000000}", fake.url)
    memory = serve.app[SERVICES].memory
    clients, most = [], 0
    for _ in range(4_000_000 // (size * 4) + 4):
        context = opened(base)
        client = await context.__aenter__()
        clients.append(context)
        client.writer.write(frame(NOTHING) + frame(b"x" * size, last=False))
        await received(client)
        most = max(most, memory.used)
    await eventually(lambda: any(line.error == "gateway_overloaded" for line in request_lines))
    assert most <= max(2_000_000, 4_100_000 if size > 500_000 else 0)
    if size <= 500_000:
        other = memory.open()
        other.owner = "another"
        other.take(1_000_000)
        other.release()
    for context in clients:
        await context.__aexit__(None, None, None)
    await eventually(lambda: memory.used == 0)


async def test_control_frames_are_held_until_they_are_answered(serve: Serve, fake: Fake) -> None:
    base = await serve("", fake.url)
    memory = serve.app[SERVICES].memory
    async with opened(base) as client:
        await client.send(frame(b"p" * 125, PING) * 200 + frame(b"", PONG) * 200 + frame(b"last", PING))
        pongs = [await received(client) for _ in range(201)]
        assert pongs[-1] == (PONG, b"last")
        assert memory.used == 0


async def test_a_message_with_the_handshake_is_counted_and_answered(serve: Serve, fake: Fake) -> None:
    base = await serve("", fake.url)
    memory = serve.app[SERVICES].memory
    async with opened(base, early=frame(NOTHING) + frame(b"x" * 100, last=False)) as client:
        assert (await error_of(client))["status"] == 400
        assert memory.used >= 400
        await client.send(frame(b"", 0))
        assert (await error_of(client))["error"]["code"] == "invalid_json"
        assert memory.used == 0
    async with opened(base, early=frame(NOTHING, masked=False)) as client:
        assert await received(client) == (8, b"\x03\xea")


@pytest.mark.row("S69")
async def test_s69_a_frame_without_a_mask_ends_its_connection(
    serve: Serve, fake: Fake, request_lines: list[RequestLog]
) -> None:
    base = await serve("", fake.url)
    async with opened(base) as client:
        await client.send(frame(NOTHING, masked=False))
        assert await received(client) == (8, b"\x03\xea")
    await eventually(lambda: len(request_lines) == 1)
    assert (request_lines[0].status, request_lines[0].error) == (101, "invalid_request")


@pytest.mark.row("S69")
async def test_s69_too_many_fragments_end_the_connection(
    serve: Serve, fake: Fake, request_lines: list[RequestLog]
) -> None:
    base = await serve("", fake.url)
    async with opened(base) as client:
        await client.send(fragments(0, 1100))
        assert await received(client) == (8, b"\x03\xf0")
    await eventually(lambda: len(request_lines) == 1)
    assert (request_lines[0].status, request_lines[0].error) == (101, "invalid_request")


@pytest.mark.row("A27")
@pytest.mark.parametrize(
    "beginning", [b"\x81", frame(b"x" * 100)[:-1], frame(b"x" * 60_000, last=False), frame(b"p", PING)[:3]]
)
async def test_a27_a_half_message_has_a_deadline(
    serve: Serve, fake: Fake, impatient: None, request_lines: list[RequestLog], beginning: bytes
) -> None:
    base = await serve("connections: {body_timeout: 0.2}", fake.url)
    async with opened(base) as client:
        await client.send(beginning)
        assert await received(client) == (8, struct.pack(">H", 1008))
    await eventually(lambda: len(request_lines) == 1)
    assert request_lines[0].error == "request_timeout"
    await eventually(lambda: serve.app[SERVICES].memory.used == 0)


@pytest.mark.row("A27")
async def test_a27_a_half_message_behind_a_response_cuts_both(
    serve: Serve, raw_upstream: RawUpstream, impatient: None, request_lines: list[RequestLog]
) -> None:
    raw_upstream.scripts = [[*chunked(BEGIN), None]]
    base = await serve("connections: {body_timeout: 0.2}", raw_upstream.url)
    async with opened(base) as client:
        await client.send(create("hi") + frame(b"x" * 100, last=False))
        while (await received(client))[0] == TEXT:
            pass
        await asyncio.wait_for(raw_upstream.left.wait(), 60)
    await eventually(lambda: len(request_lines) == 2)
    assert request_lines[1].error == "request_timeout"
    assert serve.app[SERVICES].memory.used == 0


@pytest.mark.row("A27")
@pytest.mark.parametrize(
    "messages", [b"", frame(NOTHING), frame(b'{"type":"response.create","generate":false}')]
)
async def test_a27_a_connection_without_an_answer_is_idle(
    serve: Serve, fake: Fake, impatient: None, messages: bytes
) -> None:
    base = await serve("connections: {idle_timeout: 0.3}", fake.url)
    async with opened(base) as client:
        await client.send(messages)
        while (frame := await received(client))[0] == TEXT:
            pass
        assert frame == (8, struct.pack(">H", 1001))


async def test_a_connection_with_an_answer_stays_open(serve: Serve, fake: Fake, impatient: None) -> None:
    base = await serve("connections: {idle_timeout: 0.2, body_timeout: 0.2}", fake.url)
    async with opened(base) as client:
        for _ in range(2):
            await client.send(create("hi"))
            while b'"response.completed"' not in (await received(client))[1]:
                pass
            await asyncio.sleep(0.5)
        await client.send(frame(b"", PING))
        assert await received(client) == (PONG, b"")


@pytest.mark.row("C42")
@pytest.mark.parametrize(
    ("key", "places"),
    [(lambda _: "nobody", 2), (lambda number: f"nobody-{number}", 4)],
    ids=["key", "address"],
)
async def test_c42_one_client_does_not_get_all_connections(
    serve: Serve, fake: Fake, key: Callable[[int], str], places: int
) -> None:
    base = await serve("plugins: {responses: {websockets: 8}}", fake.url)
    contexts = [opened(base, key(number)) for number in range(places)]
    for context in contexts:
        await context.__aenter__()
    with pytest.raises(AssertionError):
        await opened(base, key(places)).__aenter__()
    if places == 2:
        async with opened(base, "another") as client:
            await client.send(create("hi"))
            assert (await received(client))[0] == TEXT
    await contexts.pop().__aexit__(None, None, None)

    async def comes_in() -> bool:
        try:
            async with opened(base, key(places)):
                return True
        except AssertionError:
            return False

    async with asyncio.timeout(60):
        while not await comes_in():
            await asyncio.sleep(0.01)
    for context in contexts:
        await context.__aexit__(None, None, None)
