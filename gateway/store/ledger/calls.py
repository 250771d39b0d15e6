"""Single calls of Gemini from the ledger, and their costs by request. All functions block.

A request is looked for within a time, because the table has an index by time only.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from msgspec import Struct

from gateway.store.ledger.tables import attempt

FILTERS = ("client", "project", "model", "outcome", "surface")
"""Columns by which calls can be chosen."""
Place = tuple[float, str]
"""Begin and id of a call: where the next page begins."""


class Call(Struct, frozen=True):
    """One call. Numbers are None until it has ended."""

    id: str
    at: float
    request_id: str
    client: str
    project: str
    model: str
    surface: str
    outcome: str | None
    status: int | None
    prompt: int | None
    cached: int | None
    completion: int | None
    thoughts: int | None
    searches: int | None
    micros: int | None
    price: str | None
    exact: bool | None
    first_byte_ms: int | None
    duration_ms: int | None


_COLUMNS = tuple(attempt.c[name] for name in Call.__struct_fields__)


def page(
    engine: sa.Engine,
    since: float,
    until: float,
    chosen: Mapping[str, Sequence[str]],
    limit: int,
    before: Place | None = None,
) -> tuple[list[Call], Place | None]:
    """Return calls that began within a time, newest first, and where the next page begins, None after the last.

    `chosen` has the values of some of FILTERS.
    """
    c = attempt.c
    query = sa.select(*_COLUMNS).where(c.at >= since, c.at < until)
    for name, values in chosen.items():
        query = query.where(c[name].in_(values))
    if before is not None:
        query = query.where(sa.tuple_(c.at, c.id) < sa.tuple_(*map(sa.literal, before)))
    calls = _read(engine, query.order_by(c.at.desc(), c.id.desc()).limit(limit + 1))
    last = calls[limit - 1] if len(calls) > limit else None
    return calls[:limit], (last.at, last.id) if last is not None else None


def of_request(engine: sa.Engine, request_id: str, since: float, until: float) -> list[Call]:
    """Return the calls of one request, the first first."""
    c = attempt.c
    query = sa.select(*_COLUMNS).where(c.at >= since, c.at < until, c.request_id == request_id)
    return _read(engine, query.order_by(c.at, c.id).limit(100))


def costs(engine: sa.Engine, request_ids: Sequence[str], since: float, until: float) -> dict[str, int]:
    """Return the cost in millionths of a US dollar of those requests that have one."""
    c = attempt.c
    query = (
        sa.select(c.request_id, sa.func.sum(c.micros))
        .where(c.at >= since, c.at < until, c.request_id.in_(request_ids), c.micros.is_not(None))
        .group_by(c.request_id)
    )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        return {request_id: int(micros) for request_id, micros in connection.execute(query)}


def _read(engine: sa.Engine, query: sa.Select[Any]) -> list[Call]:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        return [Call(**row) for row in connection.execute(query).mappings()]
