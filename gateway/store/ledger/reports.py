"""Reports from the ledger: sums of calls, tokens and money. All functions block."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import msgspec
import sqlalchemy as sa
from msgspec import Struct

from gateway.policy.clients.budgets import Budget, Period, Unit
from gateway.store.ledger.budgets import bounded
from gateway.store.ledger.sums import Wanted, sums
from gateway.store.ledger.tables import BOUNDS, GROUPED, SUMMED, budget

BY = GROUPED
"""Columns that sums can be grouped by."""
_CLIENTS = 500
"""Clients of one query: databases bound its parameters."""
_DAY = 86400
_UNGROUPED = dict.fromkeys(BY, "")
_NONE: Mapping[str, str] = {}
_WITHOUT_TIMES = SUMMED[: SUMMED.index("first_byte_0")]


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
    names = SUMMED if times else _WITHOUT_TIMES
    rows = sums(engine, Wanted(since, until, by, bucket, names, only, chosen, most))
    return [_usage(row, times=times) for row in rows if row["calls"]]


def _usage(row: dict[str, Any], *, times: bool) -> Usage:
    if times:
        row["first_bytes"] = [row.pop(f"first_byte_{i}") for i in range(len(BOUNDS) + 1)]
        row["durations"] = [row.pop(f"duration_{i}") for i in range(len(BOUNDS) + 1)]
    return msgspec.convert({**_UNGROUPED, **row}, Usage, strict=False)


def daily(engine: sa.Engine, since: float, until: float) -> dict[int, tuple[int, int]]:
    """Return cost, in millionths of a US dollar, and calls of each day (UTC), by the day's begin."""
    rows = sums(engine, Wanted(since, until, (), _DAY, ("micros", "calls")))
    return {int(row["start"]): (int(row["micros"]), int(row["calls"])) for row in rows}


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
