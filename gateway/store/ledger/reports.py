"""What the ledger tells: sums of calls, tokens and money by whatever is asked for. All functions block."""

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa
from msgspec import Struct

from gateway.policy.budgets import Budget
from gateway.store.ledger.tables import attempt, budget

BY = ("client", "project", "model", "surface", "outcome")
"""What sums can be made by."""
_UNGROUPED = {"client": "", "project": "", "model": "", "surface": "", "outcome": ""}


class Usage(Struct, frozen=True):
    """Sums over some calls. Absent groupings are empty; `start` is the bucket's, or that of the whole time."""

    start: float
    client: str
    project: str
    model: str
    surface: str
    outcome: str | None
    calls: int
    prompt: int
    cached: int
    completion: int
    """Thoughts included."""
    thoughts: int
    heard: int
    """Of the prompt, what was sound."""
    spoken: int
    """Of the completion, the same."""
    searches: int
    micros: int
    """Millionths of a US dollar."""


def usage(
    made: sa.Engine,
    since: float,
    until: float,
    by: Sequence[str] = (),
    bucket: int = 0,
    only: str | None = None,
) -> list[Usage]:
    """Sums of the calls that began between two times, by some columns and by buckets of so many seconds (0: one)."""
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
        "micros": _sum(c.micros),
    }
    asked = (
        sa.select(start.label("start"), *keys, *(value.label(name) for name, value in sums.items()))
        .where(c.at >= since, c.at < until)
        .group_by(*(["start"] if bucket else []), *keys)
        .order_by("start" if bucket else sa.literal_column("1"), *keys)
    )
    if only is not None:
        asked = asked.where(c.client == only)
    with made.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        rows = connection.execute(asked).mappings().all()
    return [msgspec.convert({**_UNGROUPED, **row}, Usage, strict=False) for row in rows if row["calls"]]


def spent(made: sa.Engine, client: str, budgets: Sequence[Budget], now: float) -> list[tuple[int, int]]:
    """What was spent and is reserved of each budget, in its unit."""
    c = budget.c
    found = []
    with made.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for one in budgets:
            row = connection.execute(
                sa.select(c.spent, c.reserved).where(
                    c.client == client, c.unit == one.unit, c.period == one.period, c.start == one.start(now)
                )
            ).first()
            found.append((row.spent, row.reserved) if row is not None else (0, 0))
    return found


def _sum(column: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.cast(sa.func.sum(column), sa.BigInteger), 0)  # PostgreSQL sums to a decimal
