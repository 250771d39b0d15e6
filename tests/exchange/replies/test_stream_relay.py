"""The relay of a stream: what is pushed in the call that brings it, and what has to wait."""

import asyncio
import contextlib
import json
import math
from typing import Any

import pytest
import uvloop
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from gateway.errors import GatewayError, Overloaded, UpstreamError, UpstreamTruncated
from gateway.exchange.replies import stream_relay
from gateway.exchange.replies.stream_relay import StreamRelay
from gateway.exchange.report import ExchangeReport
from gateway.gemini.call import GeminiCall
from gateway.gemini.stream_translator import StreamTranslator
from gateway.gemini.thought_signatures import SignatureKeys, Signed
from gateway.gemini.turn_reader import TurnReader
from gateway.plugins.chat.response import ChatStream, Envelope
from gateway.policy.load.memory import MemoryAccount, MemoryHold
from gateway.upstream.client import Incoming
from gateway.upstream.http1.response import Http1Response
from tests.exchange.calls.test_call_state import state
from tests.support.servers import Serve, chunked, read_request
from tests.support.stream_ways import pieces

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def event(text: str = "word", **fields: Any) -> bytes:
    candidate = {"content": {"parts": [{"text": text}]}, "index": 0, **fields}
    return b"data: %s\r\n\r\n" % json.dumps({"candidates": [candidate], "responseId": "r"}).encode()


CALL = (
    b"data: %s\r\n\r\n"
    % json.dumps(
        {
            "candidates": [
                {"content": {"parts": [{"functionCall": {"name": "f"}, "thoughtSignature": "c2ln"}]}}
            ]
        }
    ).encode()
)
END = event("", finishReason="STOP")


class Client:
    """A reply that keeps what was written, and how."""

    begun = True

    def __init__(self) -> None:
        self.steps: list[tuple[str, bytes]] = []
        self.is_slow = False

    def push(self, data: bytes, now: float) -> bool:
        if not self.is_slow:
            self.steps.append(("push", data))
        return not self.is_slow

    async def write(self, data: bytes) -> None:
        self.steps.append(("write", data))

    async def finish(self, last: bytes = b"") -> web.StreamResponse:
        self.steps.append(("finish", last))
        return web.StreamResponse()

    @property
    def data(self) -> bytes:
        return b"".join(data for _, data in self.steps)

    @property
    def ways(self) -> list[str]:
        return [way for way, _ in self.steps]


class ReadingClient(Client):
    """A reply that takes no pushes."""

    push = None  # type: ignore[assignment]


class Sender:
    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()

    def leave(self) -> None:
        pass

    def read_on(self) -> None:
        pass

    def acknowledge_later(self) -> None:
        pass


class Relayed:
    """A relay whose upstream the test plays."""

    def __init__(self, client: Client | None = None, memory: MemoryHold | None = None) -> None:
        self.client = client or Client()
        self.upstream = Http1Response(Sender(), 1)
        self.upstream.begin(200, "text/event-stream", b"")
        self.state = state(own_key=True)
        if memory is not None:
            self.state.context = structs.replace(self.state.context, memory=memory)
        self.state.report.unsent = 1
        numbers = iter(range(100))
        reader = TurnReader(lambda: f"call_{next(numbers)}", keyring=SignatureKeys("k"))
        self.state.begin(reader)
        self.translator = StreamTranslator(reader, ChatStream(Envelope("x", 1, "m"), include_usage=True))
        self.stored: list[tuple[str, int]] = []
        relay = StreamRelay(self.state, self.translator, self.client, self._store)
        self.task = asyncio.create_task(relay.run(self, "k", None))

    def kept(self) -> tuple[bytes, int | None]:
        """Return the key under which the answer is kept, and the number of its messages so far."""
        messages = self.translator.messages
        return self.state.cache_key, None if messages is None else len(messages)

    async def open(self, call: GeminiCall, key: str) -> Incoming:
        return Incoming(self.upstream, math.inf)

    async def _store(self, signed: list[Signed]) -> None:
        await asyncio.sleep(0)
        self.stored += [(part.signature, len(self.client.steps)) for part in signed]
        signed.clear()

    async def feed(self, data: bytes, *, last: bool = False) -> None:
        """Let data arrive, and let the relay come to rest."""
        self.upstream.feed([data], last=last)
        if last:
            self.upstream.end()
        for _ in range(8):
            await asyncio.sleep(0)


async def test_content_after_the_first_is_pushed_and_the_end_is_one_write() -> None:
    relayed = Relayed()
    await relayed.feed(event("a"))
    relayed.upstream.feed([event("b")])
    assert relayed.client.ways == ["write", "push"]  # in the call that brought it
    await relayed.feed(event("c") + END, last=True)
    await relayed.task

    assert relayed.client.ways == ["write", "push", "finish"]
    assert b'"content":"c"' in relayed.client.steps[-1][1]
    assert relayed.client.data.endswith(b"data: [DONE]\n\n")


async def test_nothing_is_pushed_to_a_client_that_has_to_read_first() -> None:
    relayed = Relayed()
    await relayed.feed(event("a"))
    relayed.client.is_slow = True
    await relayed.feed(event("b"))
    await relayed.feed(event("c"))
    relayed.client.is_slow = False
    await relayed.feed(event("d"))

    assert relayed.client.ways == ["write", "write", "write", "push"]
    relayed.task.cancel()


async def test_a_signature_is_stored_before_its_part_is_written() -> None:
    relayed = Relayed()
    await relayed.feed(event("a"))
    await relayed.feed(event("b") + CALL)
    assert relayed.stored == [("c2ln", 1)]
    assert relayed.client.ways == ["write", "write"]
    await relayed.feed(event("c"))
    await relayed.feed(event("d"))

    assert relayed.client.ways == ["write", "write", "write", "push"]
    relayed.task.cancel()


async def test_an_error_comes_after_the_text_before_it() -> None:
    relayed = Relayed()
    await relayed.feed(event("a"))
    await relayed.feed(
        event("b") + b'data: {"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}\r\n\r\n'
    )
    with pytest.raises(GatewayError):
        await relayed.task
    assert b'"content":"b"' in relayed.client.data


async def test_a_stream_without_an_end_is_truncated_and_not_finished() -> None:
    relayed = Relayed()
    await relayed.feed(event("a"))
    await relayed.feed(event("b"), last=True)
    with pytest.raises(UpstreamTruncated):
        await relayed.task
    assert relayed.client.ways == ["write", "write"]
    assert b'"content":"b"' in relayed.client.data


async def test_an_upstream_that_fails_in_mid_stream_raises_its_error() -> None:
    relayed = Relayed()
    await relayed.feed(event("a"))
    await relayed.feed(event("b"))
    relayed.upstream.fail(UpstreamError("gone"))
    with pytest.raises(UpstreamError, match="gone"):
        await relayed.task


async def test_memory_that_is_refused_ends_the_stream_not_the_event_loop() -> None:
    account = MemoryAccount(10**7)
    memory = account.open()
    memory.take(7 * 10**6)
    relayed = Relayed(memory=memory)
    await relayed.feed(event("a"))
    account.unsent = 10**7
    relayed.upstream.feed([event("b" * 200_000)])
    with pytest.raises(Overloaded):
        await relayed.task


async def test_the_stream_is_not_finished_while_another_choice_is_under_way() -> None:
    relayed = Relayed()
    relayed.state.report.unsent = 2
    await relayed.feed(event("a") + END, last=True)
    await relayed.task
    assert relayed.client.ways == ["write"]


async def test_a_stream_that_is_too_large_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_relay, "LARGEST", len(event("a")) * 2)
    relayed = Relayed()
    relayed.state.cache_key, relayed.translator.messages = b"k", []
    await relayed.feed(event("a"))
    await relayed.feed(event("b"))
    assert relayed.kept() == (b"k", 2)
    await relayed.feed(event("c"))

    assert relayed.kept() == (b"", None)
    relayed.task.cancel()


async def test_gaps_are_between_reads_of_one_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(stream_relay, "monotonic", lambda: now[0])
    report = ExchangeReport(unsent=1)
    for attempt in range(2):
        now[0] += 50
        relayed = Relayed()
        relayed.state.report = report
        for _ in range(3):
            now[0] += 1 + attempt
            await relayed.feed(event("a"))
        relayed.task.cancel()

    assert report.chunk_gap == 2


STREAM = event("a") + event("\u00fc") + CALL + event("b") + event("c") + event("d") + END


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, len(STREAM)), max_size=10),
    st.lists(st.booleans(), min_size=11, max_size=11),
    st.sampled_from(list(LOOPS)),
)
def test_pushed_or_read_the_bytes_are_the_same(cuts: list[int], slow: list[bool], loop: str) -> None:
    async def relayed_to(client: Client) -> bytes:
        relayed = Relayed(client)
        arriving = [piece for piece in pieces(STREAM, cuts) if piece]
        for data, client.is_slow in zip(arriving[:-1], slow, strict=False):
            await relayed.feed(data)
        await relayed.feed(arriving[-1], last=True)
        await relayed.task
        return client.data

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        pushed = runner.run(relayed_to(Client()))
        assert pushed == runner.run(relayed_to(ReadingClient()))
    assert pushed.endswith(b"data: [DONE]\n\n")


class Flood:
    """An upstream that writes a long stream as fast as it is read."""

    text = "x" * 20_000
    count = 400

    def __init__(self) -> None:
        self.all_sent = asyncio.Event()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for piece in chunked(*[event(self.text)] * self.count, END):
            writer.write(piece or b"")
            await writer.drain()
        self.all_sent.set()
        writer.write(b"0\r\n\r\n")
        writer.close()


async def slow_client() -> tuple[bool, bytes]:
    """Return whether the upstream has sent all while the client did not read, and what it read then."""
    upstream, serving = Flood(), Serve()
    server = await asyncio.start_server(upstream.answer, "127.0.0.1", 0)
    base = await serving("", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    reader, writer = await asyncio.open_connection("127.0.0.1", int(base.rpartition(":")[2]), limit=1024)
    body = json.dumps({"messages": [{"role": "user", "content": "x"}], "stream": True}).encode()
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer AQ.k\r\nConnection: close\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    data = await reader.read(1)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(upstream.all_sent.wait(), 0.3)
    had_sent_all = upstream.all_sent.is_set()
    data += await reader.read()
    writer.close()
    server.close()
    await serving.stop()
    return had_sent_all, data


@pytest.mark.parametrize("loop", LOOPS)
def test_a_client_that_does_not_read_makes_the_upstream_wait_and_gets_every_byte(loop: str) -> None:
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        had_sent_all, data = runner.run(slow_client())

    assert not had_sent_all
    assert data.count(Flood.text.encode()) == Flood.count
    assert data.endswith(b"0\r\n\r\n")
