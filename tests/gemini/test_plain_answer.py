"""A plain answer has the events that the long way gives, or it goes the long way."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.gemini.call_names import CallRules
from gateway.gemini.events import Event, Finished, TextDelta, TurnEnded, TurnStarted
from gateway.gemini.plain_answer import one_text, read_answer
from gateway.gemini.stream_translator import decode
from gateway.gemini.thought_signatures import SignatureKeys
from gateway.gemini.turn_reader import TurnReader
from gateway.gemini.usage import TokenCounts
from tests.support.corpus import Record, recorded
from tests.support.plain import ANSWERS

PLAIN: dict[str, Any] = {
    "candidates": [{"content": {"parts": [{"text": "hi"}], "role": "model"}, "finishReason": "STOP", "index": 0}],
    "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5},
    "modelVersion": "gemini-2.5-flash",
    "responseId": "r",
}  # fmt: skip


def new_reader(model: str | None = None, base: int = 0) -> TurnReader:
    reader = TurnReader(lambda: "call_x", keyring=SignatureKeys("k"), base=base)
    reader.model = model
    return reader


def long_way(reader: TurnReader, data: bytes, *, accept_empty: bool) -> Sequence[Event]:
    events = reader.feed(decode(data))
    return events if reader.continuation else events + reader.close(whole=True, accept_empty=accept_empty)


def state(reader: TurnReader) -> dict[str, Any]:
    """Return what the exchange asks a reader for, once its answer is read."""
    names = ("counts", "tier", "version", "is_counted", "is_complete", "continuation", "signed", "begun", "failure",
             "unknown_reason", "citations_left_out", "grounding_bytes")  # fmt: skip
    return {name: getattr(reader, name) for name in names}


def both(data: bytes, model: str | None = None, base: int = 0) -> None:
    """Compare the two ways of an answer, if it is a plain one."""
    answer = read_answer(data)
    if answer is None:
        return
    for accept_empty in (False, True):
        plain, long = new_reader(model, base), new_reader(model, base)

        assert plain.read_answer(answer) == long_way(long, data, accept_empty=accept_empty)
        assert state(plain) == state(long)


OPTIONS = {
    "data": ANSWERS,
    "model": st.sampled_from([None, "gemini-2.5-flash", "asked"]),
    "base": st.sampled_from([0, 2]),
}


@given(**OPTIONS)
def test_both_ways_of_a_generated_answer_are_equal(data: bytes, model: str | None, base: int) -> None:
    both(data, model, base)


@pytest.mark.slow
@settings(max_examples=10_000)
@given(**OPTIONS)
def test_both_ways_of_10_000_generated_answers_are_equal(data: bytes, model: str | None, base: int) -> None:
    both(data, model, base)


@pytest.mark.parametrize(
    "record", recorded(lambda r: r["endpoint"] == "generateContent" and r["status"] == 200)
)
def test_both_ways_of_a_recorded_answer_are_equal(record: Record) -> None:
    both(json.dumps(record["response"]).encode())


def changed(**fields: Any) -> bytes:
    return json.dumps({**PLAIN, **fields}).encode()


def candidate(*parts: Any, **fields: Any) -> bytes:
    content = {"parts": list(parts), "role": "model"}
    return changed(candidates=[{"content": content, "finishReason": "STOP", **fields}])


def test_a_text_has_four_events() -> None:
    answer = read_answer(changed())

    assert answer is not None
    assert new_reader().read_answer(answer) == [
        TurnStarted("r", "gemini-2.5-flash"),
        TextDelta(0, "hi"),
        Finished(0, "stop"),
        TurnEnded(TokenCounts(prompt=3, completion=2)),
    ]


def test_the_last_signature_is_at_the_end() -> None:
    answer = read_answer(
        candidate(
            {"text": "a", "thoughtSignature": "eA=="}, {"text": "b"}, {"text": "", "thoughtSignature": "eQ=="}
        )
    )

    assert answer is not None
    events = new_reader().read_answer(answer)
    assert events[1:4] == [TextDelta(0, "a"), TextDelta(0, "b"), Finished(0, "stop", None, "eQ==")]


@pytest.mark.parametrize(
    "data",
    [
        candidate(),
        candidate({"text": ""}),
        candidate({"text": "a", "thought": True}),
        candidate({"text": "a"}, {"functionCall": {"name": "f"}}),
        candidate({"text": "a"}, index=1),
        candidate({"text": "a"}, finishReason="SAFETY"),
        candidate({"text": "a"}, finishReason=None),
        candidate({"text": "a"}, groundingMetadata={}),
        candidate(*[{"text": "a"}] * 257),
        changed(candidates=[]),
        changed(candidates=PLAIN["candidates"] * 2),
        changed(promptFeedback={}),
        changed(error={"code": 503}),
        changed(usageMetadata={"promptTokenCount": 10**400}),
        changed(usageMetadata={"promptTokenCount": -1}),
        b"",
        b"[]",
        changed(responseId="x").replace(b"x", b"\xff"),
    ],
)  # fmt: skip
def test_anything_else_is_not_plain(data: bytes) -> None:
    assert read_answer(data) is None


def test_a_reader_that_cuts_or_has_begun_takes_no_plain_answer() -> None:
    begun = new_reader()
    begun.feed(decode(changed()))

    assert new_reader().takes_answer
    assert not begun.takes_answer
    assert not TurnReader(lambda: "x", CallRules(stops=("a",))).takes_answer


@pytest.mark.parametrize(
    "data",
    [
        changed(),
        changed(usageMetadata=None),
        changed(usageMetadata={"totalTokenCount": 5}),
        changed(modelVersion="a b"),
    ],
)
def test_both_ways_of_a_usual_answer_are_equal(data: bytes) -> None:
    assert read_answer(data) is not None
    both(data)


ONE_TEXT: list[Event] = [
    TurnStarted("r", "m"), TextDelta(0, "hi"), Finished(0, "stop"), TurnEnded(TokenCounts(), None)
]  # fmt: skip


@pytest.mark.parametrize(
    ("events", "is_one"),
    [
        (ONE_TEXT, True),
        (ONE_TEXT[:3], False),
        ([*ONE_TEXT[:2], *ONE_TEXT[1:]], False),
        ([ONE_TEXT[0], ONE_TEXT[0], *ONE_TEXT[2:]], False),
        ([*ONE_TEXT[:2], Finished(0, "content_filter", "no"), ONE_TEXT[3]], False),
        ([*ONE_TEXT[:2], Finished(0, "stop", None, None, None, "MALFORMED"), ONE_TEXT[3]], False),
    ],
)
def test_one_text_is_neither_refused_nor_broken_off(events: list[Event], is_one: bool) -> None:
    assert one_text(events) == (tuple(events) if is_one else None)
