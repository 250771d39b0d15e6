"""Budgets in the ledger's database: set aside before a call, charged after it. All functions block.

What comes together is decided together, client by client: one statement for each budget while there is room for all,
and each request for itself where there is not.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import sqlalchemy as sa

from gateway.errors import BudgetExceeded
from gateway.policy.budgets import Budget
from gateway.policy.ledger import Intent, Settlement
from gateway.store.ledger.tables import attempt, budget

Claim = tuple[str, str, float, int]
"""Set aside for one call: unit, period, its start, and how much."""

_HERE = [budget.c[name] == sa.bindparam(f"b_{name}") for name in ("client", "unit", "period", "start")]
_N: sa.BindParameter[int] = sa.bindparam("n", type_=sa.BigInteger)
_SET_ASIDE = (
    budget.update()
    .where(*_HERE, budget.c.spent + budget.c.reserved + _N <= sa.bindparam("most", type_=sa.BigInteger))
    .values(reserved=budget.c.reserved + _N)
)
_KNOWN = sa.select(budget.c.client).where(*_HERE)
_USED = sa.select(budget.c.spent + budget.c.reserved).where(*_HERE)
_BEGUN = budget.insert().values(spent=0, reserved=0)
_CHARGE = (
    budget.update()
    .where(*_HERE)
    .values(
        reserved=sa.case((budget.c.reserved + _N > 0, budget.c.reserved + _N), else_=0),
        spent=budget.c.spent + sa.bindparam("cost", type_=sa.BigInteger),
    )
)


def lock(connection: sa.Connection, rows: Iterable[Intent | Settlement]) -> None:
    """Take hold of every budget that these rows change, in one order: no two processes can then wait for each other.

    SQLite has one writer at a time anyway.
    """
    clients = {row.client for row in rows if (row.budgets if isinstance(row, Intent) else row.reserved)}
    if clients and connection.dialect.name != "sqlite":
        c = budget.c
        mine = sa.select(c.client).where(c.client.in_(sorted(clients)))
        connection.execute(mine.order_by(c.client, c.unit, c.period, c.start).with_for_update()).all()


def reserve(
    connection: sa.Connection, intents: Sequence[tuple[int, Intent]]
) -> Iterator[tuple[int, Intent, list[Claim] | BudgetExceeded]]:
    """What was set aside for each of some numbered intents, or why it cannot be."""
    for client, found in groupby(sorted(intents, key=lambda one: one[1].client), lambda one: one[1].client):
        group = list(found)
        claims = [_claims(row) for _, row in group]
        if len(group) > 1 and _together(connection, client, claims):
            for (i, row), claimed in zip(group, claims, strict=True):
                yield i, row, [claim for claim, _ in claimed]
            continue
        for i, row in group:
            try:
                yield i, row, _reserve(connection, row)
            except BudgetExceeded as error:
                yield i, row, error


def _claims(intent: Intent) -> list[tuple[Claim, Budget]]:
    return [
        (
            (one.unit, one.period, one.start(intent.at),
             intent.reserve_micros if one.unit == "money" else intent.reserve_tokens),
            one,
        )
        for one in intent.budgets
    ]  # fmt: skip


def _together(connection: sa.Connection, client: str, claims: list[list[tuple[Claim, Budget]]]) -> bool:
    """Set aside for all of one client's calls at once, or for none."""
    sums: dict[tuple[Budget, float], int] = {}
    for claimed in claims:
        for (_, _, start, n), one in claimed:
            sums[one, start] = sums.get((one, start), 0) + n
    done: list[tuple[str, str, float, int]] = []
    for (one, start), n in sums.items():
        if not _set_aside(connection, client, one, start, n):
            for unit, period, begun, taken in done:
                charge(connection, client, (unit, period, begun), -taken, 0)
            return False
        done.append((one.unit, one.period, start, n))
    return True


def _reserve(connection: sa.Connection, intent: Intent) -> list[Claim]:
    """Set aside in every budget, or in none. Raises BudgetExceeded."""
    found: list[Claim] = []
    for (unit, period, start, wanted), one in _claims(intent):
        if not _set_aside(connection, intent.client, one, start, wanted):
            for taken_unit, taken_period, begun, n in found:
                charge(connection, intent.client, (taken_unit, taken_period, begun), -n, 0)
            raise BudgetExceeded(_refusal(connection, intent.client, one, start, wanted))
        found.append((unit, period, start, wanted))
    return found


def _refusal(connection: sa.Connection, client: str, one: Budget, start: float, wanted: int) -> str:
    """What is left, and what this would have taken at most."""
    key = {"b_client": client, "b_unit": one.unit, "b_period": one.period, "b_start": start}
    used = connection.execute(_USED, key).scalar() or 0
    left, asked = (_amount(one, n) for n in (max(0, one.limit - used), wanted))
    return (
        f"This key's {one.unit} budget ({_amount(one, one.limit)}, {one.period}) has {left} left, and this request "
        f"could take {asked}. A smaller max_tokens takes less."
    )


def _amount(one: Budget, n: int) -> str:
    return (
        f"{n / 1_000_000:.6f}".rstrip("0").rstrip(".") + " dollars" if one.unit == "money" else f"{n} tokens"
    )


def _set_aside(connection: sa.Connection, client: str, one: Budget, start: float, wanted: int) -> bool:
    """One statement decides, so that no two processes can both have the last of a budget."""
    key = {"b_client": client, "b_unit": one.unit, "b_period": one.period, "b_start": start}
    wish = {**key, "n": wanted, "most": one.limit}
    if connection.execute(_SET_ASIDE, wish).rowcount:
        return True
    if wanted > one.limit or connection.execute(_KNOWN, key).first() is not None:
        return False
    with connection.begin_nested() as point:
        try:
            connection.execute(
                _BEGUN, {"client": client, "unit": one.unit, "period": one.period, "start": start}
            )
        except sa.exc.IntegrityError:  # another process was quicker
            point.rollback()
    return bool(connection.execute(_SET_ASIDE, wish).rowcount)


def charge(
    connection: sa.Connection, client: str, key: tuple[str, str, float], reserved: int, spent: int
) -> None:
    """Change a budget's sums; neither falls below zero."""
    unit, period, start = key
    change = {"n": reserved, "cost": max(0, spent)}
    connection.execute(
        _CHARGE, {"b_client": client, "b_unit": unit, "b_period": period, "b_start": start, **change}
    )


def release(connection: sa.Connection, settlements: Sequence[Settlement]) -> None:
    """Give back what was set aside, and charge what it cost; of those that did not settle before."""
    if not settlements:
        return
    ids = [one.id for one in settlements]
    open_rows = sa.select(attempt.c.id, attempt.c.client, attempt.c.reserved).where(
        attempt.c.id.in_(ids), attempt.c.ended.is_(None), attempt.c.reserved != ""
    )
    reserved = {row.id: (row.client, row.reserved) for row in connection.execute(open_rows)}
    sums: dict[tuple[str, tuple[str, str, float]], tuple[int, int]] = {}
    for one in settlements:
        client, told = reserved.pop(one.id, ("", "[]"))
        for unit, period, start, n in json.loads(told):
            spent = max(0, one.micros if unit == "money" else one.counts.total)
            back, cost = sums.get((client, (unit, period, start)), (0, 0))
            sums[client, (unit, period, start)] = back - n, cost + spent
    for (client, key), (back, cost) in sorted(sums.items()):
        charge(connection, client, key, back, cost)
