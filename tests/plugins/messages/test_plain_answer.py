"""A plain message is what the long way makes of the same events, byte for byte."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings

from gateway.gemini.events import Event, Finished, TextDelta, ThoughtDelta, TurnEnded, TurnStarted
from gateway.gemini.plain_answer import read_answer
from gateway.gemini.turn_reader import TurnReader
from gateway.gemini.usage import TokenCounts
from gateway.plugins.messages import plain_answer
from gateway.plugins.messages.response import MessagesStream
from gateway.plugins.messages.wire import encode
from tests.support.corpus import Record, recorded
from tests.support.plain import ANSWERS

EVENTS: list[Any] = [
    TurnStarted("r", "m"),
    TextDelta(0, "hi"),
    Finished(0, "stop"),
    TurnEnded(TokenCounts(3)),
]


def message() -> dict[str, Any]:
    return {"id": "msg_x", "type": "message", "role": "assistant", "model": "asked", "content": [],
            "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 0}}  # fmt: skip


def long_way(events: Sequence[Event]) -> bytes:
    encoder = MessagesStream(message())
    encoder.whole(events)
    return encode(encoder.message)


def both(events: Sequence[Event]) -> bool:
    """Compare the two messages of some events, if the plain way takes them. Return whether it does."""
    plain = message()
    is_plain = plain_answer.complete(plain, events)
    assert encode(plain) == (long_way(events) if is_plain else encode(message()))
    return is_plain


def of_answer(data: bytes) -> None:
    answer = read_answer(data)
    if answer is not None:
        both(TurnReader(lambda: "toolu_x").read_answer(answer))


@given(ANSWERS)
def test_both_messages_of_a_generated_answer_are_equal(data: bytes) -> None:
    of_answer(data)


@pytest.mark.slow
@settings(max_examples=10_000)
@given(ANSWERS)
def test_both_messages_of_10_000_generated_answers_are_equal(data: bytes) -> None:
    of_answer(data)


@pytest.mark.parametrize(
    "record", recorded(lambda r: r["endpoint"] == "generateContent" and r["status"] == 200)
)
def test_both_messages_of_a_recorded_answer_are_equal(record: Record) -> None:
    of_answer(json.dumps(record["response"]).encode())


@pytest.mark.parametrize(
    ("position", "other", "is_plain"),
    [
        (0, TurnStarted(None, None), True),
        (1, TextDelta(0, ""), True),
        (2, Finished(0, "length", None, "c2ln"), True),
        (2, Finished(0, "stop", stop_sequence="x"), True),
        (3, TurnEnded(TokenCounts(5, 2, 1, 4, 3), "flex"), True),
        (1, ThoughtDelta(0, "a"), False),
        (2, Finished(0, "content_filter"), False),
        (2, Finished(0, "stop", refusal="no"), False),
        (2, Finished(0, "stop", failure="NO_IMAGE"), False),
        (3, TurnEnded(TokenCounts(5, searches=1)), False),
    ],
)
def test_one_text_that_is_complete_is_plain(position: int, other: Event, *, is_plain: bool) -> None:
    assert both([*EVENTS[:position], other, *EVENTS[position + 1 :]]) is is_plain


def test_more_events_are_not_plain() -> None:
    assert both(EVENTS)
    assert not both([*EVENTS[:2], *EVENTS[1:]])
