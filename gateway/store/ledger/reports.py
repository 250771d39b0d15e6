"""Reports from the ledger: sums of calls, tokens and money. All functions block."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, get_args

import msgspec
import sqlalchemy as sa
from msgspec import Struct

from gateway.policy.budgets import Budget, Period, Unit
from gateway.policy.ledger import MOST_AMOUNT, MOST_COUNT
from gateway.store.ledger.budgets import bounded
from gateway.store.ledger.tables import attempt, budget

BY = ("client", "project", "model", "surface", "outcome")
"""Columns that sums can be grouped by."""
_CLIENTS = 500
"""Clients of one query: databases bound its parameters."""
_DAY = 86400
_UNGROUPED = dict.fromkeys(BY, "")
_NONE: Mapping[str, str] = {}
BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 300.0)
"""Upper bounds of the buckets of durations, in seconds; a bound belongs to its bucket."""


class Usage(Struct, frozen=True):
    """Sums over a group of calls. Columns that are not grouped by are ""; `start` is that of the bucket."""

    start: float
    client: str
    project: str
    model: str
    surface: str
    outcome: str | None
    calls: int
    prompt: int
    """Tool use included."""
    cached: int
    completion: int
    """Thoughts included."""
    thoughts: int
    heard: int
    """Audio tokens of the prompt."""
    spoken: int
    """Audio tokens of the completion."""
    searches: int
    micros: int
    """Millionths of a US dollar."""
    failures: int = 0
    """Calls that ended with an error."""
    estimated: int = 0
    """Calls whose cost is an estimate, because Google did not say it."""
    first_bytes: tuple[int, ...] = ()
    """Calls by time to the first content, in the buckets of BOUNDS; empty unless asked for."""
    durations: tuple[int, ...] = ()
    """The same by duration."""


def usage(
    engine: sa.Engine,
    since: float,
    until: float,
    by: Sequence[str] = (),
    bucket: int = 0,
    only: Sequence[str] | None = None,
    *,
    chosen: Mapping[str, str] = _NONE,
    times: bool = False,
    most: int | None = None,
) -> list[Usage]:
    """Return sums of the calls that began from `since` and before `until`, in seconds since 1970.

    They are grouped by the columns `by` (of BY) and by buckets of so many seconds, 0 for one bucket. `only` has the ids
    of the only clients to report, `chosen` the only value of other columns of BY. With `times`, calls are also counted
    by their durations. `most` is the number of rows at most.
    """
    c = attempt.c
    start = sa.func.floor(c.at / bucket) * bucket if bucket else sa.literal(since)
    keys = [c[name] for name in by]
    sums = {
        "calls": sa.func.count(),
        "prompt": _sum(c.prompt) + _sum(c.tool_use),
        "cached": _sum(c.cached),
        "completion": _sum(c.completion) + _sum(c.thoughts),
        "thoughts": _sum(c.thoughts),
        "heard": _sum(c.prompt_audio),
        "spoken": _sum(c.completion_audio),
        "searches": _sum(c.searches),
        "micros": _sum(c.micros, MOST_AMOUNT),
        "failures": _count(c.outcome == "error"),
        "estimated": _count(c.exact.is_(False)),
        **(
            _histogram("first_byte", c.first_byte_ms) | _histogram("duration", c.duration_ms) if times else {}
        ),
    }
    query = (
        sa.select(start.label("start"), *keys, *(value.label(name) for name, value in sums.items()))
        .where(c.at >= since, c.at < until)
        .group_by(*(["start"] if bucket else []), *keys)
        .order_by("start" if bucket else sa.literal_column("1"), *keys)
    )
    if only is not None:
        query = query.where(c.client.in_(only))
    query = query.where(*(c[name] == value for name, value in chosen.items())).limit(most)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        rows = connection.execute(query).mappings().all()
    return [_usage(dict(row), times=times) for row in rows if row["calls"]]


def _usage(row: dict[str, Any], *, times: bool) -> Usage:
    if times:
        row["first_bytes"] = [row.pop(f"first_byte_{i}") for i in range(len(BOUNDS) + 1)]
        row["durations"] = [row.pop(f"duration_{i}") for i in range(len(BOUNDS) + 1)]
    return msgspec.convert({**_UNGROUPED, **row}, Usage, strict=False)


def _count(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)


def _histogram(name: str, column: sa.ColumnElement[int]) -> dict[str, sa.ColumnElement[int]]:
    """Return a count for each bucket of BOUNDS, by label: both databases can sum, and only one knows percentiles."""
    edges = [-1.0, *(bound * 1000 for bound in BOUNDS), float(2**62)]
    return {
        f"{name}_{i}": _count(sa.and_(column > low, column <= high))
        for i, (low, high) in enumerate(pairwise(edges))
    }


def daily(engine: sa.Engine, since: float) -> dict[int, tuple[int, int]]:
    """Return cost, in millionths of a US dollar, and calls of each day (UTC) from `since`, by the day's begin."""
    c = attempt.c
    start = (sa.func.floor(c.at / _DAY) * _DAY).label("start")
    query = (
        sa.select(start, _sum(c.micros, MOST_AMOUNT), sa.func.count()).where(c.at >= since).group_by("start")
    )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        return {int(day): (int(micros), int(calls)) for day, micros, calls in connection.execute(query)}


def spent(engine: sa.Engine, client: str, budgets: Sequence[Budget], now: float) -> list[tuple[int, int]]:
    """Return what is spent and what is reserved of each budget in its current period, in its unit."""
    c = budget.c
    result = []
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for limit in budgets:
            row = connection.execute(
                sa.select(bounded(c.spent).label("spent"), bounded(c.reserved).label("reserved")).where(
                    c.client == client,
                    c.unit == limit.unit,
                    c.period == limit.period,
                    c.start == limit.start(now),
                )
            ).first()
            result.append((row.spent, row.reserved) if row is not None else (0, 0))
    return result


def spent_of_all(
    engine: sa.Engine, clients: Sequence[str], now: float
) -> dict[tuple[str, Unit, Period], int]:
    """Return what is spent of the clients' budgets in their current periods, by client, unit and period."""
    c = budget.c
    current = sa.or_(
        *(
            sa.and_(c.period == period, c.start == Budget("money", period, 0).start(now))
            for period in get_args(Period)
        )
    )
    columns = sa.select(c.client, c.unit, c.period, bounded(c.spent).label("spent")).where(current)
    result = {}
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for i in range(0, len(clients), _CLIENTS):
            rows = connection.execute(columns.where(c.client.in_(clients[i : i + _CLIENTS])))
            result.update({(row.client, row.unit, row.period): row.spent for row in rows})
    return result


def _sum(column: sa.ColumnElement[int], most: int = MOST_COUNT) -> sa.ColumnElement[int]:
    """Return a sum in which each row counts as `most` at most: earlier versions wrote larger numbers.

    SQLite's sum() fails when integers overflow (https://www.sqlite.org/lang_aggfunc.html#sumunc).
    """
    total = sa.func.sum(sa.case((column.is_(None), 0), else_=bounded(column, most)))
    return sa.func.coalesce(sa.cast(total, sa.BigInteger), 0)  # PostgreSQL sums to a decimal
