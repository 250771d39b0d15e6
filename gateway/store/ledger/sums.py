"""Sums of calls: from the calls themselves, and from sums by hour and by day that are made of them once.

An hour is summed some time after its end, a day once all its hours are. `ledger.summed` and `ledger.summed_days` say
how far that has come, in seconds since 1970. Whoever writes a call into a time that may be summed already sets both
back, so that it is summed again. A report reads days, hours at their edges, and single calls at the edges of these and
at the end. All functions block.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from time import monotonic
from typing import Any, NamedTuple

import sqlalchemy as sa
from msgspec import Struct

from gateway.policy.ledger import MOST_AMOUNT, MOST_COUNT
from gateway.store.ledger.budgets import bounded
from gateway.store.ledger.statements import Statements
from gateway.store.ledger.tables import BOUNDS, GROUPED, SUMMED, about, attempt, usage_sum

HOUR = 3600
DAY = 86400
LATE = 900.0
"""Seconds after which a call may be in a sum; the one who writes it then calls `set_back`."""
_MARGIN = 1800.0
"""Seconds after the end of an hour before which it is not summed: more than LATE, for clocks that differ."""
_SLACK = 60.0
_MARKS = {HOUR: "summed", DAY: "summed_days"}
Row = dict[str, Any]


class Wanted(Struct, frozen=True):
    """A request for sums of the calls that began within a time."""

    since: float
    until: float
    by: Sequence[str] = ()
    """Columns of GROUPED."""
    bucket: int = 0
    """Seconds; 0 for one bucket."""
    names: Sequence[str] = SUMMED
    """Sums, of SUMMED."""
    only: Sequence[str] | None = None
    """Ids of the only clients."""
    chosen: Mapping[str, str] = {}
    """Only values of columns of GROUPED."""
    most: int | None = None
    """Rows, at most."""


class Segment(NamedTuple):
    """Part of a time that is read from one kind of rows."""

    span: int
    """Seconds of a sum; 0 for single calls."""
    since: float
    until: float


def sums(engine: sa.Engine, wanted: Wanted) -> list[Row]:
    """Return the sums as rows with `start`, the columns of `by` and the names, in this order."""
    merged: dict[tuple[Any, ...], Row] = {}
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        marks = _marks(connection)
        for segment in segments(wanted, marks[HOUR], marks[DAY]):
            for row in connection.execute(_query(wanted, segment)).mappings():
                # no outcome is "" in a sum, and NULL in a call
                key = (row["start"], *(row[name] or None for name in wanted.by))
                if (known := merged.get(key)) is None:
                    merged[key] = {
                        **row,
                        **({"outcome": row["outcome"] or None} if "outcome" in wanted.by else {}),
                    }
                else:
                    for name in wanted.names:
                        known[name] += row[name]
    ordered = sorted(merged.items(), key=lambda entry: [part or "" for part in entry[0][1:]])
    ordered.sort(key=lambda entry: float(entry[0][0]))
    return [row for _, row in ordered][: wanted.most]


def segments(wanted: Wanted, hours: int, days: int) -> Iterator[Segment]:
    """Yield the parts of a time, the first first. Hours and days below these times are summed."""
    since, until, bucket = wanted.since, wanted.until, wanted.bucket
    first, last = _up(since, HOUR), min(_down(until, HOUR), hours)
    if bucket % HOUR or first >= last:
        yield Segment(0, since, until)
        return
    first_day, last_day = _up(first, DAY), min(_down(last, DAY), days)
    if bucket % DAY or first_day >= last_day:
        first_day = last_day = last
    parts = (
        Segment(0, since, first),
        Segment(HOUR, first, first_day),
        Segment(DAY, first_day, last_day),
        Segment(HOUR, last_day, last),
        Segment(0, last, until),
    )
    yield from (part for part in parts if part.since < part.until)


def catch_up(engine: sa.Engine, now: float, seconds: float) -> bool:
    """Sum hours and days that are over, for some seconds. Return whether there are no more."""
    end = monotonic() + seconds
    while _sum_next(engine, HOUR, now - _MARGIN) or _sum_next(engine, DAY, now):
        if monotonic() > end:
            return False
    return True


def set_back(sql: Statements, begin: float) -> None:
    """Have everything summed again that contains a call of this begin."""
    for span, name in _MARKS.items():
        start = _down(begin - _SLACK, span)
        # it always changes, so that whoever sums just now notices
        sql.execute(
            "UPDATE ledger SET value = (CASE WHEN value > ? THEN ? ELSE value END) - ? WHERE name = ?",
            (start, start, span, name),
        )


def prune(sql: Statements, before: float) -> None:
    """Delete the sums of times before one."""
    sql.execute("DELETE FROM usage_sum WHERE start + span <= ?", (before,))


def _sum_next(engine: sa.Engine, span: int, now: float) -> bool:
    """Sum the next hour from calls, or the next day from hours. Return False if there is none that is over.

    Everything is read before the transaction, which keeps others out for a moment only.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        marks = _marks(connection)
        ends = now if span == HOUR else min(now, marks[HOUR])
        column, source = (attempt.c.at, 0) if span == HOUR else (usage_sum.c.start, HOUR)
        query = sa.select(sa.func.min(column)).where(column >= marks[span])
        if span == DAY:
            query = query.where(usage_sum.c.span == HOUR)
        first = connection.execute(query).scalar()
        if first is None or (start := _down(first, span)) + span > ends:
            return False
        wanted = Wanted(start, start + span, GROUPED)
        rows = connection.execute(_query(wanted, Segment(source, start, start + span))).mappings().all()
    values = [{**row, "start": start, "span": span, "outcome": row["outcome"] or ""} for row in rows]
    with engine.begin() as connection:
        mark = sa.select(about.c.value).where(about.c.name == _MARKS[span]).with_for_update()
        if connection.execute(mark).scalar_one() != marks[span]:
            return True  # set back, or summed by another process
        connection.execute(
            usage_sum.delete().where(
                usage_sum.c.span == span, usage_sum.c.start >= marks[span], usage_sum.c.start <= start
            )
        )
        if values:
            connection.execute(usage_sum.insert(), values)
        connection.execute(about.update().where(about.c.name == _MARKS[span]).values(value=start + span))
    return True


def _marks(connection: sa.Connection) -> dict[int, int]:
    rows = connection.execute(sa.select(about.c.name, about.c.value)).all()
    values = {str(name): int(value) for name, value in rows}
    return {span: values.get(name, 0) for span, name in _MARKS.items()}


def _query(wanted: Wanted, segment: Segment) -> sa.Select[Any]:
    """Return the query of the sums of one segment."""
    table: sa.Table = usage_sum if segment.span else attempt
    time = table.c.start if segment.span else table.c.at
    start: sa.ColumnElement[Any] = sa.literal(wanted.since)
    if wanted.bucket:
        # SQLite divides whole numbers without a rest
        start = sa.func.floor(sa.cast(time, sa.Float) / wanted.bucket) * wanted.bucket
    keys = [table.c[name] for name in wanted.by]
    values = (
        [_total(table.c[name]).label(name) for name in wanted.names]
        if segment.span
        else [_OF_CALLS[name].label(name) for name in wanted.names]
    )
    query = (
        sa.select(start.label("start"), *keys, *values)
        .where(time >= segment.since, time < segment.until)
        .group_by(*([sa.text("1")] if wanted.bucket else []), *keys)
    )
    return _chosen(query, table, wanted, segment)


def _chosen(query: sa.Select[Any], table: sa.Table, wanted: Wanted, segment: Segment) -> sa.Select[Any]:
    if segment.span:
        query = query.where(table.c.span == segment.span)
    if wanted.only is not None:
        query = query.where(table.c.client.in_(wanted.only))
    return query.where(*(table.c[name] == value for name, value in wanted.chosen.items()))


def _total(column: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    # PostgreSQL sums to a decimal
    return sa.func.coalesce(sa.cast(sa.func.sum(column), sa.BigInteger), 0)


def _sum(column: sa.ColumnElement[int], most: int = MOST_COUNT) -> sa.ColumnElement[int]:
    """Return a sum in which each row counts as `most` at most: earlier versions wrote larger numbers.

    SQLite's sum() fails when integers overflow (https://www.sqlite.org/lang_aggfunc.html#sumunc).
    """
    return _total(sa.case((column.is_(None), 0), else_=bounded(column, most)))


def _count(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return _total(sa.case((condition, 1), else_=0))


def _histogram(name: str, column: sa.ColumnElement[int]) -> dict[str, sa.ColumnElement[int]]:
    """Return a count for each bucket of BOUNDS, by label: both databases can sum, and only one knows percentiles."""
    edges = [-1.0, *(bound * 1000 for bound in BOUNDS), float(2**62)]
    return {
        f"{name}_{i}": _count(sa.and_(column > low, column <= high))
        for i, (low, high) in enumerate(pairwise(edges))
    }


_c = attempt.c
_OF_CALLS: Mapping[str, sa.ColumnElement[int]] = {
    "calls": sa.func.count(),
    "prompt": _sum(_c.prompt) + _sum(_c.tool_use),
    "cached": _sum(_c.cached),
    "completion": _sum(_c.completion) + _sum(_c.thoughts),
    "thoughts": _sum(_c.thoughts),
    "heard": _sum(_c.prompt_audio),
    "spoken": _sum(_c.completion_audio),
    "searches": _sum(_c.searches),
    "micros": _sum(_c.micros, MOST_AMOUNT),
    "failures": _count(_c.outcome == "error"),
    "estimated": _count(_c.exact.is_(False)),
    **_histogram("first_byte", _c.first_byte_ms),
    **_histogram("duration", _c.duration_ms),
}


def _up(value: float, span: int) -> int:
    return -int(-value // span) * span


def _down(value: float, span: int) -> int:
    return int(value // span) * span
