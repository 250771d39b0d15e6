"""Requests by minute."""

from gateway.observability.minutes import Counts, Minutes, total
from gateway.observability.request_log import RequestLog
from gateway.observability.statistics import Statistics


class Clock:
    now = 6000.0

    def __call__(self) -> float:
        return self.now


def record(
    status: int = 200, error: str | None = None, first: float | None = None, *failures: str
) -> RequestLog:
    return RequestLog(
        "r", "POST", "/", status, "m", first_byte_ms=first, attempts=1, error=error, failures=list(failures)
    )


def test_each_minute_has_its_own_counts() -> None:
    statistics, clock = Statistics(), Clock()
    statistics.add(record())
    minutes = Minutes(statistics, clock)
    for entry in (record(), record(200, None, None, "overloaded"), record(429, "rate_limit_exceeded")):
        statistics.add(entry)
    clock.now += 60
    minutes.tick()
    for entry in (
        record(503, "overloaded"),
        record(200, "upstream_incomplete"),
        record(499),
        record(404, "x"),
    ):
        statistics.add(entry)
    shown = minutes.between(0, 1e9)

    assert [(start, counts[:4]) for start, counts in shown] == [(6000, (1, 1, 1, 0)), (6060, (1, 0, 1, 2))]
    assert total(counts for _, counts in shown)[:4] == (2, 1, 2, 2)
    assert [start for start, _ in minutes.between(6060, 6061)] == [6060]
    assert total([]) == Counts()


def test_a_percentile_is_interpolated_in_its_bucket() -> None:
    statistics, clock = Statistics(), Clock()
    minutes = Minutes(statistics, clock)
    assert minutes.between(0, 1e9)[0][1].percentile_ms(0.5) is None
    for _ in range(90):
        statistics.add(record(first=150.0))
    for _ in range(10):
        statistics.add(record(first=3000.0))
    ((_, counts),) = minutes.between(0, 1e9)

    assert 100 < (counts.percentile_ms(0.5) or 0) < 250
    assert counts.percentile_ms(0.95) == 3000.0
    assert (counts.bucket_ms(0.5), counts.bucket_ms(0.95)) == ((100.0, 250.0), (2000.0, 4000.0))
    assert Counts().bucket_ms(0.95) is None
    assert Counts(first_bytes=(0,) * 11 + (4,)).bucket_ms(0.5) == (120_000.0, None)
    assert Counts(first_bytes=(0,) * 11 + (4,)).percentile_ms(0.5) == 120_000


def test_a_day_is_kept_and_no_more() -> None:
    statistics, clock = Statistics(), Clock()
    minutes = Minutes(statistics, clock)
    for _ in range(2000):
        clock.now += 60
        minutes.tick()

    assert len(minutes.between(0, 1e9)) == 25 * 60 + 1
