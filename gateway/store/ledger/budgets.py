"""Budgets in the ledger's database: reserved before a call, charged after it. All functions block.

Calls of one client that come together are decided together: one statement for each budget if there is room for all of
them, else each call by itself.
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
"""The reservation of a call in one budget: unit, period, start of the period, amount."""

_MOST = 2**61
"""The largest number of a budget that counts: the sum of two and a call's amount fits into 64 bits."""
_ROW = [budget.c[name] == sa.bindparam(f"b_{name}") for name in ("client", "unit", "period", "start")]
_AMOUNT: sa.BindParameter[int] = sa.bindparam("amount", type_=sa.BigInteger)


def bounded(column: sa.ColumnElement[int], most: int = _MOST) -> sa.ColumnElement[int]:
    """Return a column with larger numbers than `most` cut, so that sums of rows of any age do not overflow."""
    return sa.case((column < most, column), else_=sa.literal(most, sa.BigInteger))


_SPENT, _RESERVED = bounded(budget.c.spent), bounded(budget.c.reserved)
_MOST_USED = sa.bindparam("most", type_=sa.BigInteger)
_RESERVE = (
    budget.update()
    .where(*_ROW, _MOST_USED >= _SPENT + _RESERVED + _AMOUNT)
    .values(reserved=_RESERVED + _AMOUNT)
)
_EXISTS = sa.select(budget.c.client).where(*_ROW)
_USED = sa.select(_SPENT + _RESERVED).where(*_ROW)
_CREATE = budget.insert().values(spent=0, reserved=0)
_CHARGE = (
    budget.update()
    .where(*_ROW)
    .values(
        reserved=sa.case((_RESERVED + _AMOUNT > 0, _RESERVED + _AMOUNT), else_=0),
        spent=_SPENT + sa.bindparam("cost", type_=sa.BigInteger),
    )
)


def lock(connection: sa.Connection, rows: Iterable[Intent | Settlement]) -> None:
    """Lock all budgets that these rows change, in one order, so that no two processes wait for each other.

    SQLite needs no locks: it has one writer at a time.
    """
    clients = {row.client for row in rows if (row.budgets if isinstance(row, Intent) else row.reserved)}
    if clients and connection.dialect.name != "sqlite":
        c = budget.c
        locked = sa.select(c.client).where(c.client.in_(sorted(clients)))
        connection.execute(locked.order_by(c.client, c.unit, c.period, c.start).with_for_update()).all()


def reserve(
    connection: sa.Connection, intents: Sequence[tuple[int, Intent]]
) -> Iterator[tuple[int, Intent, list[Claim] | BudgetExceeded]]:
    """Reserve budgets for numbered intents. Yield for each what was reserved, or why it is refused."""

    def client_of(numbered: tuple[int, Intent]) -> str:
        return numbered[1].client

    for client, group in groupby(sorted(intents, key=client_of), client_of):
        numbered = list(group)
        claims = [_claims(intent) for _, intent in numbered]
        if len(numbered) > 1 and _reserve_all(connection, client, claims):
            for (i, intent), claimed in zip(numbered, claims, strict=True):
                yield i, intent, [claim for claim, _ in claimed]
            continue
        for i, intent in numbered:
            try:
                yield i, intent, _reserve_one(connection, intent)
            except BudgetExceeded as error:
                yield i, intent, error


def _claims(intent: Intent) -> list[tuple[Claim, Budget]]:
    amounts = {"money": intent.reserve_micros, "tokens": intent.reserve_tokens}
    return [((b.unit, b.period, b.start(intent.at), amounts[b.unit]), b) for b in intent.budgets]


def _reserve_all(connection: sa.Connection, client: str, claims: list[list[tuple[Claim, Budget]]]) -> bool:
    """Reserve for all of one client's calls, or for none. Return whether it was done."""
    sums: dict[tuple[Budget, float], int] = {}
    for claimed in claims:
        for (_, _, start, amount), limit in claimed:
            sums[limit, start] = sums.get((limit, start), 0) + amount
    done: list[Claim] = []
    for (limit, start), amount in sums.items():
        if not _reserve_amount(connection, client, limit, start, amount):
            _undo(connection, client, done)
            return False
        done.append((limit.unit, limit.period, start, amount))
    return True


def _reserve_one(connection: sa.Connection, intent: Intent) -> list[Claim]:
    """Reserve in every budget of a call, or in none. Raises BudgetExceeded."""
    done: list[Claim] = []
    for claim, limit in _claims(intent):
        _, _, start, amount = claim
        if not _reserve_amount(connection, intent.client, limit, start, amount):
            _undo(connection, intent.client, done)
            message = _refusal(connection, intent.client, limit, start, amount)
            raise BudgetExceeded(message, (limit.unit, limit.period, limit.limit))
        done.append(claim)
    return done


def _undo(connection: sa.Connection, client: str, claims: list[Claim]) -> None:
    for unit, period, start, amount in claims:
        charge(connection, client, (unit, period, start), -amount, 0)


def _refusal(connection: sa.Connection, client: str, limit: Budget, start: float, wanted: int) -> str:
    """Return the message for a client: what is left, and what the call may cost."""
    used = connection.execute(_USED, _row_key(client, limit, start)).scalar() or 0
    left, most = (_amount(limit, n) for n in (max(0, limit.limit - used), wanted))
    budget_name = f"{limit.unit.removesuffix('s')} budget ({_amount(limit, limit.limit)}, {limit.period})"
    return (
        f"You exceeded this API key's {budget_name}: {left} left, and this request may take {most}. "
        "Set a smaller max_tokens, or ask the gateway's operator."
    )


def _amount(limit: Budget, amount: int) -> str:
    if limit.unit == "tokens":
        return f"{amount} tokens"
    return f"{amount / 1_000_000:.6f}".rstrip("0").rstrip(".") + " dollars"


def _row_key(client: str, limit: Budget, start: float) -> dict[str, object]:
    return {"b_client": client, "b_unit": limit.unit, "b_period": limit.period, "b_start": start}


def _reserve_amount(connection: sa.Connection, client: str, limit: Budget, start: float, amount: int) -> bool:
    """Reserve by a single statement, so that no two processes both get the last of a budget."""
    key = _row_key(client, limit, start)
    values = {**key, "amount": amount, "most": min(limit.limit, _MOST)}
    if connection.execute(_RESERVE, values).rowcount:
        return True
    if amount > limit.limit or connection.execute(_EXISTS, key).first() is not None:
        return False
    with connection.begin_nested() as savepoint:
        try:
            connection.execute(
                _CREATE, {"client": client, "unit": limit.unit, "period": limit.period, "start": start}
            )
        except sa.exc.IntegrityError:  # another process was quicker
            savepoint.rollback()
    return bool(connection.execute(_RESERVE, values).rowcount)


def charge(
    connection: sa.Connection, client: str, key: tuple[str, str, float], reserved: int, spent: int
) -> None:
    """Add to what is reserved and spent of a budget, given by unit, period and start.

    Neither falls below zero, and neither overflows.
    """
    unit, period, start = key
    change = {"amount": min(max(reserved, -_MOST), _MOST), "cost": min(max(spent, 0), _MOST)}
    connection.execute(
        _CHARGE, {"b_client": client, "b_unit": unit, "b_period": period, "b_start": start, **change}
    )


def release(connection: sa.Connection, settlements: Sequence[Settlement]) -> None:
    """Give back what calls reserved and charge what they cost, unless they were settled before."""
    if not settlements:
        return
    ids = [settlement.id for settlement in settlements]
    unsettled = sa.select(attempt.c.id, attempt.c.client, attempt.c.reserved).where(
        attempt.c.id.in_(ids), attempt.c.ended.is_(None), attempt.c.reserved != ""
    )
    calls = {row.id: row for row in connection.execute(unsettled)}
    sums: dict[tuple[str, tuple[str, str, float]], tuple[int, int]] = {}
    for settlement in settlements:
        call = calls.pop(settlement.id, None)
        if call is None:
            continue
        for unit, period, start, amount in json.loads(call.reserved):
            cost = max(0, settlement.micros if unit == "money" else settlement.counts.total)
            back, spent = sums.get((call.client, (unit, period, start)), (0, 0))
            sums[call.client, (unit, period, start)] = back - amount, spent + cost
    for (client, key), (back, spent) in sorted(sums.items()):
        charge(connection, client, key, back, spent)
