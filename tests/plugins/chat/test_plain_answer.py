"""A plain completion is what the long way makes of the same events, byte for byte."""

import json
from typing import Any

import pytest
from hypothesis import given, settings

from gateway.gemini.events import Event, Finished, TextDelta, TurnEnded, TurnStarted
from gateway.gemini.plain_answer import counts_of, read_answer
from gateway.gemini.turn_reader import TurnReader
from gateway.gemini.usage import TokenCounts
from gateway.gemini.wire import NO_JSON, LogprobsResult
from gateway.plugins.chat import plain_answer, response
from gateway.plugins.chat.answer_wire import encode
from gateway.plugins.chat.response import Envelope
from tests.support.corpus import Record, recorded
from tests.support.plain import ANSWERS

EVENTS: list[Any] = [
    TurnStarted("r", "m"),
    TextDelta(0, "hi"),
    Finished(0, "stop"),
    TurnEnded(TokenCounts(3)),
]


def envelope() -> Envelope:
    return Envelope("chatcmpl-x", 1, "asked")


def both(data: bytes) -> None:
    """Compare the completions of an answer, if it is a plain one: by events, in one look, and without events."""
    answer = read_answer(data)
    if answer is None:
        return
    events = TurnReader(lambda: "call_x").read_answer(answer)
    named, named_too = envelope(), envelope()
    plain = plain_answer.completion(events, named)
    if plain is not None:
        assert encode(plain) == encode(response.completion(events, named_too))
        assert named == named_too
    direct = plain_answer.of_answer(answer, counts_of(answer), named := envelope())
    assert (direct is None) == (len(answer.candidates[0].content.parts) != 1)
    if direct is not None:
        assert encode(direct) == encode(response.completion(events, named_too := envelope()))
        assert named == named_too


@given(ANSWERS)
def test_both_completions_of_a_generated_answer_are_equal(data: bytes) -> None:
    both(data)


@pytest.mark.slow
@settings(max_examples=10_000)
@given(ANSWERS)
def test_both_completions_of_10_000_generated_answers_are_equal(data: bytes) -> None:
    both(data)


@pytest.mark.parametrize(
    "record", recorded(lambda r: r["endpoint"] == "generateContent" and r["status"] == 200)
)
def test_both_completions_of_a_recorded_answer_are_equal(record: Record) -> None:
    both(json.dumps(record["response"]).encode())


@pytest.mark.parametrize(
    "end",
    [
        Finished(0, "length"),
        Finished(0, "stop", None, "c2ln"),
        Finished(0, "tool_calls"),
        Finished(0, "stop", message="words"),
        Finished(0, "stop", stop_sequence="x"),
    ],
)
@pytest.mark.parametrize("tier", [None, "standard", "PRIORITY", 3])
def test_both_completions_of_an_end_are_equal(end: Finished, tier: Any) -> None:
    events = [*EVENTS[:2], end, TurnEnded(TokenCounts(3, 1, 0, 2, 1, 3), tier)]

    plain = plain_answer.completion(events, envelope())
    assert plain is not None
    assert encode(plain) == encode(response.completion(events, envelope()))


@pytest.mark.parametrize(
    ("position", "other"),
    [
        (0, TextDelta(0, "a")),
        (1, TextDelta(1, "a")),
        (1, TextDelta(0, "a", LogprobsResult())),
        (2, Finished(0, "stop", refusal="no")),
        (2, Finished(0, "stop", failure="NO_IMAGE")),
        (2, TextDelta(0, "a")),
        (3, Finished(0, "stop")),
    ],
)
def test_other_events_are_not_plain(position: int, other: Event) -> None:
    assert plain_answer.completion(EVENTS, envelope()) is not None
    assert plain_answer.completion([*EVENTS[:position], other, *EVENTS[position + 1 :]], envelope()) is None
    assert plain_answer.completion([*EVENTS, EVENTS[-1]], envelope()) is None


def test_parts_of_googles_tools_are_not_plain() -> None:
    end = Finished(0, "stop", server_parts=type(NO_JSON)(b"[]"))

    assert plain_answer.completion([*EVENTS[:2], end, EVENTS[3]], envelope()) is None
