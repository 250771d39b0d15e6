"""Budgets in the ledger's database: reserved before a call, charged after it. All functions block.

Calls of one client that come together are decided together: one statement for each budget if there is room for all of
them, else each call by itself.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

import sqlalchemy as sa
from msgspec import Struct, json

from gateway.errors import BudgetExceeded
from gateway.policy.budgets import DAY, Budget
from gateway.policy.ledger import Intent, Settlement
from gateway.store.ledger.statements import Statements
from gateway.store.ledger.tables import budget

Claim = tuple[str, str, float, int]
"""The reservation of a call in one budget: unit, period, start of the period, amount."""
_decoded = json.Decoder(list[Claim]).decode

_MOST = 2**61
"""The largest number of a budget that counts: the sum of two and a call's amount fits into 64 bits."""


def bounded(column: sa.ColumnElement[int], most: int = _MOST) -> sa.ColumnElement[int]:
    """Return a column with larger numbers than `most` cut, so that sums of rows of any age do not overflow."""
    return sa.case((column < most, column), else_=sa.literal(most, sa.BigInteger))


_SPENT, _RESERVED = (
    f"CASE WHEN {name} < {_MOST} THEN {name} ELSE {_MOST} END" for name in ("spent", "reserved")
)
_ROW = "client = ? AND unit = ? AND period = ? AND start = ?"
# constants only
_RESERVE = f"UPDATE budget SET reserved = {_RESERVED} + ? WHERE {_ROW} AND ? >= {_SPENT} + {_RESERVED} + ?"  # noqa: S608
_USED = f"SELECT {_SPENT} + {_RESERVED} FROM budget WHERE {_ROW}"  # noqa: S608
_CREATE = (
    "INSERT INTO budget (client, unit, period, start, spent, reserved) VALUES (?, ?, ?, ?, 0, 0) "
    "ON CONFLICT DO NOTHING"
)
_CHARGE = (
    f"UPDATE budget SET reserved = CASE WHEN {_RESERVED} + ? > 0 THEN {_RESERVED} + ? ELSE 0 END, "  # noqa: S608
    f"spent = {_SPENT} + ? WHERE {_ROW}"
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
    statements: Statements, intents: Sequence[tuple[int, Intent]]
) -> Iterator[tuple[int, Intent, list[Claim] | BudgetExceeded]]:
    """Reserve budgets for numbered intents. Yield for each what was reserved, or why it is refused."""
    groups: dict[str, list[tuple[int, Intent]]] = {}
    for numbered_intent in intents:
        groups.setdefault(numbered_intent[1].client, []).append(numbered_intent)
    for client, numbered in sorted(groups.items()):
        if len(numbered) > 1 and (claims := _reserve_all(statements, client, numbered)) is not None:
            for (i, intent), claimed in zip(numbered, claims, strict=True):
                yield i, intent, claimed
            continue
        for i, intent in numbered:
            try:
                yield i, intent, _reserve_one(statements, intent)
            except BudgetExceeded as error:
                yield i, intent, error


class _Period(Struct, frozen=True, eq=False):
    """The period of a budget that a day is part of."""

    budget: Budget
    start: float

    def claim(self, intent: Intent) -> Claim:
        budget = self.budget
        amount = intent.reserve_micros if budget.unit == "money" else intent.reserve_tokens
        return budget.unit, budget.period, self.start, amount


@lru_cache(256)
def _on_day(budgets: tuple[Budget, ...], day: float) -> Sequence[_Period]:
    """Return the periods on a day, which is given by its number since 1970: none begins within a day."""
    return [_Period(budget, budget.start(day * DAY)) for budget in budgets]


def _periods(intent: Intent) -> Sequence[_Period]:
    return _on_day(tuple(intent.budgets), intent.at // DAY)


def _reserve_all(
    statements: Statements, client: str, numbered: Sequence[tuple[int, Intent]]
) -> list[list[Claim]] | None:
    """Reserve for all of one client's calls, and return what each reserves; None if there is no room for all."""
    sums: dict[_Period, int] = {}
    claims = []
    for _, intent in numbered:
        claimed = []
        for period in _periods(intent):
            claim = period.claim(intent)
            claimed.append(claim)
            sums[period] = sums.get(period, 0) + claim[3]
        claims.append(claimed)
    done: list[Claim] = []
    for period, amount in sums.items():
        limit, start = period.budget, period.start
        if not _reserve_amount(statements, client, limit, start, amount):
            _undo(statements, client, done)
            return None
        done.append((limit.unit, limit.period, start, amount))
    return claims


def _reserve_one(statements: Statements, intent: Intent) -> list[Claim]:
    """Reserve in every budget of a call, or in none. Raises BudgetExceeded."""
    done: list[Claim] = []
    for period in _periods(intent):
        claim, limit = period.claim(intent), period.budget
        _, _, start, amount = claim
        if not _reserve_amount(statements, intent.client, limit, start, amount):
            _undo(statements, intent.client, done)
            raise _refusal(statements, intent.client, limit, start, amount)
        done.append(claim)
    return done


def _undo(statements: Statements, client: str, claims: list[Claim]) -> None:
    for unit, period, start, amount in claims:
        charge(statements, client, (unit, period, start), -amount, 0)


def _refusal(statements: Statements, client: str, limit: Budget, start: float, wanted: int) -> BudgetExceeded:
    """Return the error for a client, which says what is left, and what the call may cost."""
    row = statements.execute(_USED, _key(client, limit, start)).fetchone()
    used = row[0] if row is not None else 0
    left, most = (_amount(limit, n) for n in (max(0, limit.limit - used), wanted))
    budget_name = f"{limit.unit.removesuffix('s')} budget ({_amount(limit, limit.limit)}, {limit.period})"
    error = BudgetExceeded(
        f"You exceeded this API key's {budget_name}: {left} left, and this request may take {most}. "
        "Set a smaller max_tokens, or ask the gateway's operator.",
        (limit.unit, limit.period, limit.limit),
    )
    use, whole, needs = (_amount(limit, number).split()[0] for number in (used, limit.limit, wanted))
    unit = "tokens" if limit.unit == "tokens" else "dollars"
    error.refused_by = f"{unit}.{limit.period} {use}/{whole} +{needs}"
    return error


def _amount(limit: Budget, amount: int) -> str:
    if limit.unit == "tokens":
        return f"{amount} tokens"
    return f"{amount / 1_000_000:.6f}".rstrip("0").rstrip(".") + " dollars"


def _key(client: str, limit: Budget, start: float) -> tuple[object, ...]:
    return client, limit.unit, limit.period, start


def _reserve_amount(statements: Statements, client: str, limit: Budget, start: float, amount: int) -> bool:
    """Reserve by a single statement, so that no two processes both get the last of a budget."""
    key = _key(client, limit, start)
    values = (amount, *key, min(limit.limit, _MOST), amount)
    if statements.execute(_RESERVE, values).rowcount:
        return True
    if amount > limit.limit or statements.execute(_USED, key).fetchone() is not None:
        return False
    statements.execute(_CREATE, key)  # another process may be quicker
    return bool(statements.execute(_RESERVE, values).rowcount)


def charge(
    statements: Statements, client: str, key: tuple[str, str, float], reserved: int, spent: int
) -> None:
    """Add to what is reserved and spent of a budget, given by unit, period and start.

    Neither falls below zero, and neither overflows.
    """
    change = min(max(reserved, -_MOST), _MOST)
    statements.execute(_CHARGE, (change, change, min(max(spent, 0), _MOST), client, *key))


def release(statements: Statements, settlements: Sequence[Settlement]) -> None:
    """Give back what calls reserved and charge what they cost, unless they were settled before."""
    if not settlements:
        return
    ids = [settlement.id for settlement in settlements]
    calls = {row[0]: row[1:] for row in statements.execute(*_unsettled(ids)).fetchall()}
    known = (
        (settlement, call[0], _decoded(call[1]))
        for settlement in settlements
        if (call := calls.pop(settlement.id, None)) is not None
    )
    release_known(statements, known)


def release_known(statements: Statements, calls: Iterable[tuple[Settlement, str, Sequence[Claim]]]) -> None:
    """Give back what calls reserved, given with their clients, and charge what they cost."""
    sums: dict[tuple[str, tuple[str, str, float]], tuple[int, int]] = {}
    for settlement, client, claims in calls:
        for unit, period, start, amount in claims:
            cost = max(0, settlement.micros if unit == "money" else settlement.counts.total)
            back, spent = sums.get((client, (unit, period, start)), (0, 0))
            sums[client, (unit, period, start)] = back - amount, spent + cost
    for (client, key), (back, spent) in sorted(sums.items()):
        charge(statements, client, key, back, spent)


def _unsettled(ids: list[str]) -> tuple[str, list[str]]:
    """Return a query for calls without an end that have reserved something, and its values.

    The values are padded to a power of two, so that a driver has to prepare ten different queries at most.
    """
    size = 1 << (len(ids) - 1).bit_length()
    marks = ", ".join("?" * size)
    query = (
        f"SELECT id, client, reserved FROM attempt WHERE id IN ({marks}) AND ended IS NULL AND reserved <> ''"  # noqa: S608
    )
    return query, ids + ids[-1:] * (size - len(ids))
