"""Large answers: the same bytes as small ones, in a thread or in pieces."""

import asyncio
import json
import threading
from typing import Any

import pytest

from gateway.errors import UnusableAnswer, UpstreamTruncated
from gateway.exchange.calls import large_answers
from gateway.exchange.offload import HEAVY_ANSWER
from gateway.gemini.events import Event, Finished, TextDelta
from gateway.gemini.stream_translator import StreamTranslator
from gateway.gemini.turn_reader import TurnReader

MAIN = threading.main_thread().name


class Names:
    """An encoder that writes one line for each event, and notes how many it got at once."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.threads: set[str] = set()

    def encode(self, events: list[Event]) -> bytes:
        self.sizes.append(len(events))
        self.threads.add(threading.current_thread().name)
        return b"".join(f"{event!r}\n".encode() for event in events)

    def texts(self, index: int, texts: list[str]) -> bytes:
        return self.encode([TextDelta(index, text) for text in texts])

    def fail(self, error: Exception) -> bytes:
        return str(error).encode()


class Watched(TurnReader):
    """A reader that notes the threads it runs in."""

    def __init__(self) -> None:
        super().__init__(lambda: "call")
        self.threads: set[str] = set()

    def feed(self, response: Any) -> list[Event]:
        self.threads.add(threading.current_thread().name)
        return super().feed(response)

    def read_answer(self, answer: Any) -> list[Event]:
        self.threads.add(threading.current_thread().name)
        return super().read_answer(answer)


def message(*texts: str, **candidate: Any) -> bytes:
    parts = [{"text": text} for text in texts]
    return json.dumps({"candidates": [{"content": {"parts": parts}, **candidate}]}).encode()


def event(data: bytes) -> bytes:
    return b"data: " + data + b"\r\n\r\n"


@pytest.mark.row("A4")
@pytest.mark.parametrize(("size", "in_thread"), [(10, False), (HEAVY_ANSWER, True)])
async def test_a_large_whole_answer_is_read_in_a_thread(size: int, *, in_thread: bool) -> None:
    reader = Watched()
    events = await large_answers.read_whole(reader, [message("x" * size, finishReason="STOP")])

    assert (reader.threads == {MAIN}) is not in_thread
    assert [type(each) for each in events[1:3]] == [TextDelta, Finished]


async def test_an_empty_answer_is_unusable_unless_accepted() -> None:
    with pytest.raises(UnusableAnswer):
        await large_answers.read_whole(Watched(), [message(finishReason="STOP")])

    assert len(await large_answers.read_whole(Watched(), [message()], accept_empty=True)) == 3


def test_what_is_large() -> None:
    translator = StreamTranslator(Watched(), Names())

    assert not large_answers.is_large(translator, b"x" * HEAVY_ANSWER)
    assert large_answers.is_large(translator, b"x" * (HEAVY_ANSWER + 1))
    translator.feed(b"data: " + b"x" * HEAVY_ANSWER)
    assert large_answers.is_large(translator, b"\n")


STREAMS: dict[str, list[bytes]] = {
    "many small events": [event(message("a")) * 2000, event(message("b", finishReason="STOP"))],
    "one event of many parts": [event(message(*["a"] * 5000, finishReason="STOP"))],
    "one large text": [event(message("a" * 200_000, finishReason="STOP"))],
    "an event that is not closed": [b"data: " + message("a" * 50_000, finishReason="STOP")],
    "a JSON array": [b"[" + message(*["a"] * 9000, finishReason="STOP") + b"]"],
    "no end": [event(message("a")) * 2000],
    "no JSON": [event(message("a")) * 2000, event(b"{") * 9000],
}


@pytest.mark.row("A4")
@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("read", [1000, 100_000])
async def test_a_large_stream_is_translated_as_a_small_one(name: str, read: int) -> None:
    data = b"".join(STREAMS[name])
    plain, pieces = (StreamTranslator(Watched(), Names()) for _ in range(2))
    expected = plain.feed(data)
    if plain.error is None:
        expected += plain.close()
    out = b""
    for i in range(0, len(data), read):
        out += await large_answers.translate(pieces, data[i : i + read])
        if pieces.error is not None:
            break
    else:
        out += await large_answers.close(pieces)

    assert out == expected
    assert type(pieces.error) is type(plain.error)
    assert (pieces.error is None) == (name not in ("no end", "no JSON"))
    if name == "no end":
        assert isinstance(pieces.error, UpstreamTruncated)


@pytest.mark.row("A4")
async def test_others_run_between_the_pieces_and_an_encoder_stays_on_the_loop() -> None:
    reader, encoder = Watched(), Names()
    translator = StreamTranslator(reader, encoder)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await large_answers.translate(translator, event(message("a")) * 2000)
    between = turns
    await large_answers.translate(translator, event(message(*["a"] * 10_000)))
    task.cancel()

    assert between >= 8
    assert max(encoder.sizes) <= 512
    assert encoder.threads == {MAIN}
    assert len(reader.threads) == 2  # the large event is read in another


@pytest.mark.row("A4")
async def test_much_grounding_is_read_in_a_thread_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    translator = StreamTranslator(TurnReader(lambda: "call"), Names())
    metadata = {"webSearchQueries": ["x" * 5000]}
    for _ in range(9):
        translator.feed(event(message("a", groundingMetadata=metadata)))
    translator.feed(event(message("a", finishReason="STOP")))
    threads: set[str] = set()

    def watched(reader: TurnReader, **options: bool) -> list[Event]:
        threads.add(threading.current_thread().name)
        return close(reader, **options)

    close = TurnReader.close
    monkeypatch.setattr(TurnReader, "close", watched)
    assert b"Finished" in await large_answers.close(translator)

    assert MAIN not in threads
