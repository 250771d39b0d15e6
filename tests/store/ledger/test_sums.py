"""Sums by hour and by day: the same as of single calls, whatever was written when."""

from typing import Any

import pytest
import sqlalchemy as sa

from gateway.store.ledger import sums
from gateway.store.ledger.reports import usage
from gateway.store.ledger.statements import statements
from gateway.store.ledger.sums import DAY, HOUR, Segment, Wanted, catch_up, prune, segments, set_back
from gateway.store.ledger.tables import attempt, open_engine, usage_sum

START = 1_700_006_400.0
"""A midnight, UTC."""
NOW = START + 4 * DAY


def call(number: int, at: float, **values: Any) -> dict[str, Any]:
    return {
        "id": f"{number:032x}", "at": at, "request_id": "req_1", "client": f"key_{number % 3}", "project": "blue",
        "model": f"gemini-{number % 2}", "surface": "chat", "reserved": "", "ended": at + 1, "outcome": "ok",
        "status": 200, "prompt": 10, "tool_use": None, "completion": 5, "micros": number, "exact": True,
        "first_byte_ms": 90 * number, "duration_ms": 400 * number, **values,
    }  # fmt: skip


@pytest.fixture
def engine(url: str) -> Any:
    """A ledger with a call in each 97 minutes of three days, the last ones of which have not ended."""
    engine = open_engine(url, None)
    calls = [call(n, START + n * 97 * 60.0) for n in range(44)]
    for row in calls[-2:]:
        row.update(ended=None, outcome=None, micros=None, exact=None)
    with engine.begin() as connection:
        connection.execute(attempt.insert(), calls)
    yield engine
    engine.dispose()


def everything(engine: sa.Engine) -> list[Any]:
    """Return what reports say, by all kinds of buckets and columns, at whole hours and between them."""
    ranges = [(0.0, 2e9), (START + 1800, START + 2 * DAY + 5000)]
    return [
        usage(engine, since, until, by, bucket, only, chosen=chosen, times=True)
        for since, until in ranges
        for by, only, chosen in (
            ((), ["key_1"], {"model": "gemini-0"}),
            (("client", "model"), None, {}),
            (("outcome",), None, {}),
        )
        for bucket in (0, 60, 3600, 86400)
    ]


def rows(engine: sa.Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(usage_sum)).scalar_one())


def test_reports_are_the_same_before_and_after_summing(engine: sa.Engine) -> None:
    before = everything(engine)
    done = catch_up(engine, NOW, 60)

    assert done
    assert rows(engine) > 44
    assert everything(engine) == before
    assert sum(row.calls for row in before[4]) == 44


def test_a_report_of_past_days_reads_no_calls(engine: sa.Engine) -> None:
    before = usage(engine, START, START + 2 * DAY, ("client",), DAY)
    catch_up(engine, NOW, 60)
    with engine.begin() as connection:
        connection.execute(attempt.delete())

    assert usage(engine, START, START + 2 * DAY, ("client",), DAY) == before


def test_hours_that_are_not_over_for_long_are_not_summed(engine: sa.Engine) -> None:
    catch_up(engine, START + 2 * HOUR + 1799, 60)
    early = rows(engine)
    catch_up(engine, START + 2 * HOUR + 1800, 60)

    assert (early, rows(engine)) == (1, 2)


def test_a_late_call_is_in_the_next_sums(engine: sa.Engine) -> None:
    catch_up(engine, NOW, 60)
    with engine.begin() as connection:
        connection.execute(attempt.insert(), call(99, START + 1.5 * DAY))
        set_back(statements(connection), START + 1.5 * DAY)
    of_calls = everything(engine)
    catch_up(engine, NOW, 60)

    assert sum(row.calls for row in of_calls[4]) == 45
    assert everything(engine) == of_calls


def test_a_call_that_is_written_while_an_hour_is_summed_is_not_lost(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = sums._query
    late = iter([call(99, START + 100)])

    def reading(wanted: Wanted, segment: Segment) -> Any:
        query = read(wanted, segment)
        if segment.since == START + 97 * 60 // HOUR * HOUR and (row := next(late, None)):
            with engine.begin() as connection:
                connection.execute(attempt.insert(), row)
                set_back(statements(connection), row["at"])
        return query

    monkeypatch.setattr(sums, "_query", reading)
    catch_up(engine, NOW, 60)
    monkeypatch.undo()

    assert sum(row.calls for row in usage(engine, START, START + DAY)) == 16
    assert next(late, None) is None


def test_old_sums_are_deleted(engine: sa.Engine) -> None:
    catch_up(engine, NOW, 60)
    with engine.begin() as connection:
        prune(statements(connection), START + DAY)

    assert [row.start for row in usage(engine, 0, 2e9, (), DAY)] == [START + DAY, START + 2 * DAY]


def test_catching_up_stops_in_time(engine: sa.Engine) -> None:
    assert not catch_up(engine, NOW, 0)
    assert rows(engine) == 1


@pytest.mark.parametrize(
    ("since", "until", "bucket", "hours", "days", "expected"),
    [
        (0, 1e5, 0, 0, 0, [(0, 0, 1e5)]),
        (0, 1e5, 60, 10**9, 10**9, [(0, 0, 1e5)]),
        (10, 1e5, 3600, 10**9, 10**9, [(0, 10, 3600), (HOUR, 3600, 97200), (0, 97200, 1e5)]),
        (10, 3e5, 0, 10**9, 10**9, [(0, 10, 3600), (HOUR, 3600, 86400), (DAY, 86400, 259200), (HOUR, 259200, 298800), (0, 298800, 3e5)]),
        (0, 2e9, 86400, 90000, 86400, [(DAY, 0, 86400), (HOUR, 86400, 90000), (0, 90000, 2e9)]),
        (0, 2e9, 86400, 90000, 0, [(HOUR, 0, 90000), (0, 90000, 2e9)]),
    ],
)  # fmt: skip
def test_a_time_is_read_from_the_largest_sums_that_are_there(
    since: float, until: float, bucket: int, hours: int, days: int, expected: list[Segment]
) -> None:
    assert list(segments(Wanted(since, until, (), bucket), hours, days)) == expected
