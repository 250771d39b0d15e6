"""Budgets in the ledger's database: reserved before a call, charged after it. All functions block.

Calls of one client that come together are decided together: one statement for each budget if there is room for all of
them, else each call by itself.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache

import sqlalchemy as sa
from msgspec import Struct, json

from gateway.errors import BudgetExceeded
from gateway.policy.clients.budgets import DAY, Budget
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


class Account(Struct, frozen=True, eq=False, gc=False):
    """The budgets of a client on a day, on which none of their periods begins."""

    client: str
    periods: tuple[tuple[Budget, float], ...]
    """Each budget, and when its period began."""
    text: str
    """Claims as JSON, with the places of the money and of the tokens; "" without budgets."""


class Reservation(Struct, frozen=True, gc=False):
    """Reservation of a call: an amount in each budget of its client."""

    account: Account
    micros: int
    tokens: int

    @property
    def text(self) -> str:
        """The claims as JSON; "" without budgets."""
        return self.account.text.format(self.micros, self.tokens)

    def amount(self, limit: Budget) -> int:
        """Return the amount in a budget."""
        return self.micros if limit.unit == "money" else self.tokens


@lru_cache(1024)
def _on_day(client: str, budgets: tuple[Budget, ...], day: float) -> Account:
    """Return a client's account on a day, which is given by its number since 1970."""
    periods = tuple((budget, budget.start(day * DAY)) for budget in budgets)
    claims = [
        f'["{budget.unit}", "{budget.period}", {start!r}, {{{int(budget.unit != "money")}}}]'
        for budget, start in periods
    ]
    return Account(client, periods, f"[{', '.join(claims)}]" if claims else "")


def reserve(
    statements: Statements, intents: Sequence[Intent]
) -> tuple[list[Reservation], dict[int, BudgetExceeded]]:
    """Reserve budgets for intents. Return the reservation of each, and why some are refused, by position."""
    reservations = [
        Reservation(
            _on_day(intent.client, tuple(intent.budgets), intent.at // DAY),
            intent.reserve_micros,
            intent.reserve_tokens,
        )
        for intent in intents
    ]
    groups: dict[str, list[int]] = {}
    for i, reservation in enumerate(reservations):
        account = reservation.account
        if account.periods:
            numbers = groups.get(account.client)
            if numbers is None:
                groups[account.client] = [i]
            else:
                numbers.append(i)
    refused: dict[int, BudgetExceeded] = {}
    for _, numbers in sorted(groups.items()):
        together = [reservations[i] for i in numbers]
        if len(numbers) > 1 and _reserve_all(statements, together):
            continue
        for i, reservation in zip(numbers, together, strict=True):
            try:
                _reserve_one(statements, reservation)
            except BudgetExceeded as error:
                refused[i] = error
    return reservations, refused


def _reserve_all(statements: Statements, reservations: Sequence[Reservation]) -> bool:
    """Reserve for all of one client's calls. Return False, and reserve nothing, if there is no room for all."""
    client = reservations[0].account.client
    done: list[Claim] = []
    sums: dict[Account, tuple[int, int]] = {}
    for reservation in reservations:
        micros, tokens = sums.get(reservation.account, (0, 0))
        sums[reservation.account] = micros + reservation.micros, tokens + reservation.tokens
    for account, (micros, tokens) in sums.items():
        for limit, start in account.periods:
            amount = micros if limit.unit == "money" else tokens
            if not _reserve_amount(statements, client, limit, start, amount):
                _undo(statements, client, done)
                return False
            done.append((limit.unit, limit.period, start, amount))
    return True


def _reserve_one(statements: Statements, reservation: Reservation) -> None:
    """Reserve in every budget of a call, or in none. Raises BudgetExceeded."""
    client = reservation.account.client
    done: list[Claim] = []
    for limit, start in reservation.account.periods:
        amount = reservation.amount(limit)
        if not _reserve_amount(statements, client, limit, start, amount):
            _undo(statements, client, done)
            raise _refusal(statements, client, limit, start, amount)
        done.append((limit.unit, limit.period, start, amount))


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
        "Ask for less (a smaller max_tokens, fewer pictures, a shorter text), or ask the gateway's operator.",
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
    sums: dict[tuple[str, tuple[str, str, float]], tuple[int, int]] = {}
    for settlement in settlements:
        client, text = calls.pop(settlement.id, ("", ""))
        for unit, period, start, amount in _decoded(text) if text else ():
            cost = settlement.micros if unit == "money" else settlement.counts.total
            back, spent = sums.get((client, (unit, period, start)), (0, 0))
            sums[client, (unit, period, start)] = back - amount, spent + cost
    for (client, key), (back, spent) in sorted(sums.items()):
        charge(statements, client, key, back, spent)


def release_known(statements: Statements, calls: Iterable[tuple[Settlement, Reservation]]) -> None:
    """Give back what calls have reserved, and charge what they cost."""
    sums: dict[Account, tuple[int, int, int, int]] = {}
    for settlement, reservation in calls:
        back_micros, back_tokens, micros, tokens = sums.get(reservation.account, _NOTHING)
        sums[reservation.account] = (
            back_micros + reservation.micros,
            back_tokens + reservation.tokens,
            micros + settlement.micros,
            tokens + settlement.counts.total,
        )
    for account, (back_micros, back_tokens, micros, tokens) in sums.items():
        for limit, start in account.periods:
            is_money = limit.unit == "money"
            back, spent = (back_micros, micros) if is_money else (back_tokens, tokens)
            charge(statements, account.client, (limit.unit, limit.period, start), -back, spent)


_NOTHING = (0, 0, 0, 0)


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
