"""Bodies that are sent in pieces: an upstream that does not read them is a time-out, and costs little memory."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.config.sections import TimeoutsConfig, UpstreamConfig
from gateway.errors import UpstreamTimeout
from gateway.gemini.call import GeminiCall
from gateway.gemini.wire import Content, GenerateContentRequest, Part
from gateway.upstream.client import GeminiClient
from gateway.upstream.upload import Upload

MB = 2**20


class NotReading:
    """An upstream that reads the headers and no more, until it is told to."""

    def __init__(self) -> None:
        self.url = ""
        self.asked = asyncio.Event()
        self.read_on = asyncio.Event()
        self.received = 0
        self.lost = asyncio.Event()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked.set()
        await self.read_on.wait()
        try:
            while data := await reader.read(MB):
                self.received += len(data)
        except ConnectionError:
            pass
        writer.close()
        self.lost.set()


@pytest.fixture
async def not_reading() -> AsyncIterator[NotReading]:
    upstream = NotReading()
    server = await asyncio.start_server(upstream.answer, "127.0.0.1", 0, limit=1024)
    upstream.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield upstream
    upstream.read_on.set()
    async with asyncio.timeout(60):
        await upstream.lost.wait()
    server.close()


def call(size: int) -> GeminiCall:
    return GeminiCall("m", GenerateContentRequest([Content([Part(text="a" * size)], "user")]))


def config(url: str, write: float) -> UpstreamConfig:
    return UpstreamConfig(base_url=url, timeouts=TimeoutsConfig(write=write))


@pytest.mark.row("A12", "U51")
async def test_a12_an_upstream_that_does_not_read_is_a_timeout(not_reading: NotReading) -> None:
    async with GeminiClient(config(not_reading.url, 0.1)) as client:
        with pytest.raises(UpstreamTimeout):
            async with asyncio.timeout(60):
                await client.send(call(25 * MB), "k")
        not_reading.read_on.set()
        async with asyncio.timeout(60):
            await not_reading.lost.wait()

    assert not_reading.received < 24 * MB


@pytest.mark.row("A12")
async def test_a12_so_is_one_that_does_not_read_a_stream(not_reading: NotReading) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(MB)

    async with GeminiClient(config(not_reading.url, 0.1)) as client:
        with pytest.raises(UpstreamTimeout):
            async with asyncio.timeout(60):
                await client.forward("POST", "/upload", {"Content-Length": str(2**40)}, endless(), "k")


@pytest.mark.row("A12")
async def test_a12_a_client_that_leaves_frees_the_connection(not_reading: NotReading) -> None:
    async with GeminiClient(config(not_reading.url, 30)) as client:
        task = asyncio.create_task(client.send(call(25 * MB), "k"))
        await not_reading.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    # the fixture waits for the end of the connection


@pytest.mark.row("U50")
async def test_u50_an_answer_before_the_end_of_the_body_is_read() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b'{"error": {"code": 413, "message": "too large", "status": "INVALID_ARGUMENT"}}'
        writer.write(
            b"HTTP/1.1 413 x\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
            % (len(body), body)
        )
        writer.close()
        answered.set()

    answered = asyncio.Event()
    server = await asyncio.start_server(answer, "127.0.0.1", 0, limit=1024)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with GeminiClient(config(url, 30)) as client, asyncio.timeout(60):
        with pytest.raises(Exception) as caught:  # noqa: PT011 - its status is what counts
            await client.send(call(20 * MB), "k")
        await answered.wait()
        await asyncio.sleep(0)
    assert getattr(caught.value, "status", None) == 413
    server.close()


async def test_an_upload_is_sent_whole_and_up_to_its_length() -> None:
    received = bytearray()

    class Writer:
        transport = None

        async def write(self, data: bytes) -> None:
            received.extend(data)

        async def drain(self) -> None:
            await asyncio.sleep(0)

    data = bytes(range(256)) * 1000
    await Upload(data, 1).write(Writer())  # type: ignore[arg-type]
    assert bytes(received) == data
    received.clear()
    await Upload(data, 1).write_with_length(Writer(), 100_000)  # type: ignore[arg-type]
    assert bytes(received) == data[:100_000]
    with pytest.raises(TypeError):
        Upload(data, 1).decode()
