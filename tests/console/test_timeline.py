"""The time of a request by phases."""

import pytest

from gateway.console.timeline import Phase, Span, phases


def test_a_stream_after_a_failed_call() -> None:
    calls = [Span(700.0, 1900.0, answered=True), Span(10.0, 500.0, answered=False)]

    assert phases(calls, 1930.0, 900.0) == [
        Phase("before", 10.0),
        Phase("failed", 490.0),
        Phase("pauses", 200.0),
        Phase("first", 200.0),
        Phase("stream", 1000.0),
        Phase("after", 30.0),
    ]


def test_an_answer_that_is_no_stream_is_one_phase() -> None:
    assert phases([Span(5.0, 105.0, answered=True)], 106.0, None) == [
        Phase("before", 5.0),
        Phase("answer", 100.0),
        Phase("after", 1.0),
    ]


def test_what_two_calls_share_counts_once() -> None:
    hedged = [Span(0.0, 300.0, answered=False), Span(200.0, 400.0, answered=True)]

    assert phases(hedged, 400.0, None) == [Phase("failed", 200.0), Phase("answer", 200.0)]


@pytest.mark.parametrize("first_byte", [None, 0.0, 50.0, 9e9, -5.0])
@pytest.mark.parametrize(
    "calls",
    [
        [Span(-20.0, 50.0, answered=True)],  # the clock was set in between
        [Span(90.0, 4000.0, answered=True)],  # the call outlives the request
        [Span(500.0, 100.0, answered=False)],
        [
            Span(10.0, 20.0, answered=False),
            Span(15.0, 16.0, answered=False),
            Span(70.0, 80.0, answered=False),
        ],
    ],
)
def test_the_phases_are_the_whole_time_with_any_clock(calls: list[Span], first_byte: float | None) -> None:
    result = phases(calls, 100.0, first_byte)

    assert sum(phase.ms for phase in result) == pytest.approx(100.0, abs=0.3)
    assert all(phase.ms > 0 for phase in result)


def test_without_calls_there_are_no_phases() -> None:
    assert phases([], 100.0, 50.0) == []
