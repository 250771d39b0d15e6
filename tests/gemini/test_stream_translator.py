"""The stream machine: the same output for every cut of the input, and errors that lose nothing."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError, UnusableAnswer, UpstreamError, UpstreamTruncated
from gateway.gemini.events import Event, TextDelta
from gateway.gemini.stream_translator import StreamTranslator, decode, readable
from gateway.gemini.thought_signatures import SignatureKeys
from gateway.gemini.turn_reader import TurnReader
from gateway.gemini.usage import TokenCounts


class Names:
    """An encoder that writes texts, and the names of other events."""

    def encode(self, events: list[Event]) -> bytes:
        names = (e.text if isinstance(e, TextDelta) else f"<{type(e).__name__}>" for e in events)
        return "".join(names).encode()

    def texts(self, index: int, texts: list[str]) -> bytes:
        return self.encode([TextDelta(index, text) for text in texts])

    def fail(self, error: GatewayError) -> bytes:
        return f"!{error.code}".encode()


def translator(**options: Any) -> StreamTranslator:
    return StreamTranslator(TurnReader(lambda: "call_1", **options), Names())


def frames(*messages: Any) -> bytes:
    return b"".join(b"data: %s\r\n\r\n" % json.dumps(message).encode() for message in messages)


def text(words: str, **fields: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": [{"text": words}]}, **fields}]}


STREAM = frames(
    text("Zü"), text("rich"), {**text("!", finishReason="STOP"), "usageMetadata": {"promptTokenCount": 3}}
)


@given(st.lists(st.integers(0, len(STREAM)), max_size=6).map(sorted))
def test_every_cut_gives_the_same_bytes(cuts: list[int]) -> None:
    machine = translator()
    out = b""
    for start, end in zip([0, *cuts], [*cuts, len(STREAM)], strict=True):
        out += machine.feed(STREAM[start:end])
    out += machine.close()

    assert machine.error is None
    assert out.decode() == "<TurnStarted>Zürich!<Finished><TurnEnded>"
    assert machine.reader.counts == TokenCounts(3)


def test_an_error_comes_after_what_was_read_before_it() -> None:
    machine = translator()
    error = {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}
    out = machine.feed(frames(text("a"), error, text("b")))

    assert out == b"<TurnStarted>a"
    assert machine.error is not None
    assert machine.fail(machine.error) == b"!overloaded"


def test_a_cut_stream_is_truncated() -> None:
    machine = translator()
    machine.feed(frames(text("a")))

    assert machine.close() == b""
    assert isinstance(machine.error, UpstreamTruncated)


def test_an_empty_answer_can_be_accepted() -> None:
    machine = translator()
    machine.feed(frames({"candidates": [{"finishReason": "STOP"}]}))

    assert machine.close() == b""
    assert isinstance(machine.error, UnusableAnswer)
    assert machine.accept_empty() == b"<Finished><TurnEnded>"
    assert machine.error is None


@pytest.mark.parametrize("data", [b"data: <html>\n\n", b"data: [1]\n\n", b'data: {"candidates": 5}\n\n'])
def test_a_stream_that_is_not_geminis_is_an_error_without_its_text(data: bytes) -> None:
    machine = translator()

    assert machine.feed(data) == b""
    assert isinstance(machine.error, UpstreamError)
    assert machine.error.code == "upstream_bad_response"
    assert machine.error.message == "The upstream sent something that is not a Gemini answer."


def test_an_event_over_the_limit_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = translator()
    monkeypatch.setattr(machine._decoder, "_limit", 10)

    assert machine.feed(frames(text("a"))) == b""
    assert isinstance(machine.error, UpstreamError)


def test_signatures_wait_for_the_store() -> None:
    machine = translator(keyring=SignatureKeys("scope"))
    call = {"functionCall": {"name": "f"}, "thoughtSignature": "S"}
    machine.feed(frames({"candidates": [{"content": {"parts": [call]}}]}))

    assert [signed.signature for signed in machine.signed] == ["S"]
    machine.signed.clear()
    machine.feed(frames(text("", finishReason="STOP")))
    assert machine.signed == []


def test_a_payload_is_decoded_or_refused() -> None:
    assert decode(b'{"responseId":"r"}').response_id == "r"
    assert readable(b"[1]", json.loads) == [1]
    for payload in (b"", b"\xff", b"[" * 100_000):
        with pytest.raises(UpstreamError):
            decode(payload)


@pytest.mark.row("A4")
def test_a_long_number_in_an_answer_is_refused() -> None:
    """Python's json refuses a number of more than 4,300 digits, which the client would find in the arguments."""
    call = b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"a":%s}}}]}}]}'
    decode(call % (b'"' + b"7" * 5000 + b'"'))
    with pytest.raises(UpstreamError, match="a number of 400 or more digits") as caught:
        decode(call % (b"7" * 5000))

    assert caught.value.code == "upstream_bad_response"
