"""Changes by operators, in the ledger's database. All functions block."""

import secrets

import sqlalchemy as sa
from msgspec import Struct, structs

from gateway.store.ledger.tables import audit

_CUT = {"who": 80, "how": 8, "what": 40, "target": 80, "detail": 400}
"""Characters of each column that are kept."""


class AuditEntry(Struct, frozen=True):
    """One change by an operator."""

    at: float
    """Seconds since 1970."""
    who: str
    """Name of the operator."""
    how: str
    """The way of signing in: `token`, `cookie` or `header`."""
    what: str
    """Name of the action, such as `key.revoke`."""
    target: str
    """Id of the key or name of the project that was changed; "" for the gateway itself."""
    detail: str = ""


def add(engine: sa.Engine, entry: AuditEntry) -> None:
    """Write an entry; texts that are too long are cut."""
    values = structs.asdict(entry)
    row = {name: value[: _CUT[name]] if name in _CUT else value for name, value in values.items()}
    with engine.begin() as connection:
        connection.execute(audit.insert(), {"id": secrets.token_hex(8), **row})


def page(
    engine: sa.Engine, limit: int, before: tuple[float, str] | None = None
) -> tuple[list[AuditEntry], tuple[float, str] | None]:
    """Return entries, newest first, and the place at which the next page begins, None after the last."""
    c = audit.c
    query = sa.select(audit).order_by(c.at.desc(), c.id.desc()).limit(limit + 1)
    if before is not None:
        query = query.where(sa.tuple_(c.at, c.id) < sa.tuple_(*map(sa.literal, before)))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        rows = connection.execute(query).all()
    entries = [AuditEntry(row.at, row.who, row.how, row.what, row.target, row.detail) for row in rows[:limit]]
    last = rows[limit - 1] if len(rows) > limit else None
    return entries, (last.at, last.id) if last is not None else None
