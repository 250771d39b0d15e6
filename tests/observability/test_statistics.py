"""Sums over log records: histograms, and a bounded number of labels."""

from typing import Any

import pytest
from msgspec import structs

from gateway.observability.request_log import RequestLog
from gateway.observability.statistics import (
    _DURATIONS,
    _FIRST_BYTES,
    _GAPS,
    _MAX_NOTES,
    Histogram,
    Statistics,
)


def record(status: int = 200, **fields: Any) -> RequestLog:
    return RequestLog("id", "POST", "/", status=status, model="m", attempts=1, **fields)


@pytest.mark.parametrize(
    ("value", "cumulative"),
    [(0.0, [1, 1, 1]), (1.0, [1, 1, 1]), (1.01, [0, 1, 1]), (5.0, [0, 1, 1]), (5.01, [0, 0, 1])],
)
def test_a_bound_is_within_its_bucket(value: float, cumulative: list[int]) -> None:
    histogram = Histogram((1.0, 5.0))
    histogram.observe(value)

    assert (histogram.cumulative(), histogram.sum) == (cumulative, value)


def test_counts_are_cumulative_and_the_last_is_all() -> None:
    histogram = Histogram((1.0, 5.0))
    for value in (0.5, 0.75, 4.0, 100.0):
        histogram.observe(value)

    assert (histogram.cumulative(), histogram.sum) == ([2, 3, 4], 105.25)


@pytest.mark.parametrize("bounds", [_DURATIONS, _FIRST_BYTES, _GAPS])
def test_bounds_rise(bounds: tuple[float, ...]) -> None:
    assert list(bounds) == sorted(set(bounds))


def test_milliseconds_become_seconds_by_model() -> None:
    totals = Statistics()
    totals.add(record(duration_ms=1500.0, first_byte_ms=250.0, chunk_gap_ms=125.0))
    totals.add(record(duration_ms=500.0))
    counts = totals.models["m"]

    assert (counts.duration.sum, counts.duration.cumulative()[-1]) == (2.0, 2)
    assert (counts.first_byte.sum, counts.first_byte.cumulative()[-1]) == (0.25, 1)
    assert (counts.chunk_gap.sum, counts.chunk_gap.cumulative()[-1]) == (0.125, 1)


@pytest.mark.parametrize(
    "failed", [record(404, error="model_not_found"), record(200, error="model_not_found"), record(499)]
)
def test_only_success_makes_a_models_name_a_label(failed: RequestLog) -> None:
    totals = Statistics()
    totals.add(failed)

    assert list(totals.exchanges) == [("", failed.status)]
    assert list(totals.models) == [""]


def test_made_up_fields_are_one_label_in_the_end() -> None:
    totals = Statistics()
    totals.add(record(notes=["user"]))
    totals.add(record(notes=[f"x{i}" for i in range(2 * _MAX_NOTES)]))
    totals.add(record(notes=["user", "late"]))

    assert len(totals.notes) == _MAX_NOTES + 1
    assert totals.notes["user"] == 2
    assert totals.notes["other"] == _MAX_NOTES + 2


def test_dummies_are_counted_when_first_sent_and_when_sent_after_a_refusal() -> None:
    totals = Statistics()
    totals.add(record(notes=["messages[1].tool_calls[0].thought_signature", "user"]))
    totals.add(record(adjusted=["input.thought_signature"]))
    totals.add(record(notes=["user"], adjusted=["user"]))

    assert totals.dummies == 2


def test_only_so_many_models_are_counted_apart() -> None:
    totals = Statistics()
    for i in range(1000):
        totals.called(f"gemini-{i}")
        totals.failed(f"gemini-{i}", "not_found")

    assert len(totals.calls) == len(totals.failures) == 301
    assert totals.calls["other"] == totals.failures["other", "not_found"] == 700
    for i in range(1000):
        totals.add(structs.replace(record(200), model=f"tunedModels/{i}"))
        totals.add(structs.replace(record(200), model=f"cached-{i}", attempts=0))

    assert len(totals.exchanges) == 301
    assert len(totals.models) <= 301
    assert totals.exchanges["other", 200] == 2000 - 300
