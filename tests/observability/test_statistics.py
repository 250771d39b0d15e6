"""Sums over log records: histograms, and a bounded number of labels."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.observability.request_log import RequestLog
from gateway.observability.statistics import (
    _DURATIONS,
    _GAPS,
    _MAX_NOTES,
    FIRST_BYTES,
    MAX_CLIENTS,
    OTHER,
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


@pytest.mark.parametrize("bounds", [_DURATIONS, FIRST_BYTES, _GAPS])
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


@pytest.mark.parametrize(
    "failed",
    [record(429, error="rate_limit_exceeded"), record(200, error="upstream_incomplete"), record(499)],
)
def test_o16_a_failed_request_has_the_model_that_gemini_was_asked_for(failed: RequestLog) -> None:
    totals = Statistics()
    totals.called("m")
    totals.add(failed)
    totals.add(structs.replace(failed, model="made-up", attempts=0))

    assert totals.exchanges == {("m", failed.status): 1, ("", failed.status): 1}
    assert list(totals.models) == ["m"]


def test_o16_a_name_in_the_form_of_a_key_is_no_label() -> None:
    totals = Statistics()
    secret = "gemini-AIzaSyCanary0123456789"
    totals.called(secret)
    totals.failed(secret, "not_found")
    totals.add(structs.replace(record(404, error="model_not_found"), model=secret))

    assert totals.calls == {"other": 1}
    assert totals.failures == {("other", "not_found"): 1}
    assert totals.exchanges == {("", 404): 1}


def test_o16_requests_tokens_and_cost_are_counted_by_key() -> None:
    totals = Statistics()
    totals.add(record(200, key="key_a", prompt_tokens=10, completion_tokens=5))
    totals.add(record(200, key="key_a", prompt_tokens=1))
    totals.add(record(429, key="key_a", error="insufficient_quota"))
    totals.add(record(200, prompt_tokens=7))
    totals.charged("key_a", "m", 30)
    totals.charged("key_a", "m", 12)
    totals.charged("", "m", 0)

    assert totals.client_requests == {("key_a", 200): 2, ("key_a", 429): 1, ("", 200): 1}
    assert totals.client_tokens == {
        ("key_a", "input"): 11, ("key_a", "output"): 5, ("", "input"): 7, ("", "output"): 0,
    }  # fmt: skip
    assert totals.micros == {("key_a", "m"): 42}


def test_o16_only_so_many_keys_are_counted_apart() -> None:
    totals = Statistics()
    for i in range(3 * MAX_CLIENTS):
        totals.add(record(200, key=f"key_{i}", prompt_tokens=1))
        totals.charged(f"key_{i}", "m", 1)
    totals.add(record(200, key="key_0"))

    assert len(totals.client_requests) == len(totals.micros) == MAX_CLIENTS + 1
    assert totals.client_requests["key_0", 200] == 2
    assert totals.client_requests["other", 200] == totals.micros["other", "m"] == 2 * MAX_CLIENTS
    assert totals.client_tokens["other", "input"] == 2 * MAX_CLIENTS


MODELS = ("m", "n", None)
RECORDS = st.builds(
    RequestLog,
    st.just("r"),
    st.just("POST"),
    st.just("/"),
    status=st.sampled_from([200, 200, 200, 404, 499, 502]),
    model=st.sampled_from(MODELS),
    key=st.sampled_from([None, "key_a", "key_b"]),
    attempts=st.integers(0, 2),
    first_byte_ms=st.none() | st.floats(0, 5000),
    chunk_gap_ms=st.none() | st.floats(0, 5000),
    duration_ms=st.floats(0, 5000),
    prompt_tokens=st.none() | st.integers(0, 9),
    completion_tokens=st.none() | st.integers(0, 9),
    notes=st.none() | st.just(["a"]),
    cached=st.sampled_from([None, None, None, "hit"]),
    error=st.sampled_from([None, None, None, "overloaded"]),
    failures=st.sampled_from([[], [], ["overloaded"]]),
    hedge=st.sampled_from([None, None, "won"]),
)


def sums(statistics: Statistics) -> list[object]:
    """Return all sums, in the order in which they are exposed."""
    result: list[object] = [
        list(getattr(statistics, name).items())
        for name in ("exchanges", "client_requests", "client_tokens", "errors", "cache", "notes", "hedges")
    ]
    for model, values in statistics.models.items():
        histograms = values.duration, values.first_byte, values.chunk_gap
        times = [(one.counts, round(one.sum, 6)) for one in histograms]
        result.append((model, times, values.prompt_tokens, values.completion_tokens))
    return [*result, statistics.saved, statistics.broken]


@given(st.lists(st.tuples(RECORDS, st.booleans()), max_size=30))
def test_usual_requests_are_counted_as_all_others(records: list[tuple[RequestLog, bool]]) -> None:
    """Also where sums are read in between."""
    short, long = Statistics(), Statistics()
    for record, is_read in records:
        short.add(record)
        long.add(record)
        long._usual.clear()
        if is_read:
            assert sums(short) == sums(long)

    assert sums(short) == sums(long)


def test_usual_requests_are_not_kept_for_each_name_of_a_client() -> None:
    statistics = Statistics()
    for number in range(1000):
        for _ in range(2):
            statistics.add(RequestLog("r", "POST", "/", 200, model=f"m{number}", attempts=1, prompt_tokens=1))

    assert len(statistics._usual) == 300
    assert statistics.exchanges[OTHER, 200] == 1400
