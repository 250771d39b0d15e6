"""Reports on issued keys: state, last use, what is spent and left of each budget. All functions block."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Literal

import msgspec
import sqlalchemy as sa
from msgspec import Struct

from gateway.policy.clients.access import ClientKey
from gateway.policy.clients.budgets import Budget
from gateway.policy.clients.client_rules import Rules
from gateway.store.ledger import client_keys
from gateway.store.ledger.budgets import bounded
from gateway.store.ledger.reports import Usage
from gateway.store.ledger.sums import Wanted, sums
from gateway.store.ledger.tables import attempt, budget, client_key

State = Literal["active", "expired", "revoked", "suspended", "over budget"]

encode = msgspec.json.Encoder(decimal_format="number").encode
"""Encodes what the functions below return: an amount of money is a number without an exponent."""


class BudgetReport(Struct, frozen=True):
    """Use of a budget in its current period, in the budget's unit."""

    budget: Budget
    spent: int
    reserved: int
    """For calls in progress."""
    resets: float | None
    """Begin of the next period, in seconds since 1970; None for a total."""

    @property
    def left(self) -> int:
        """The most that the next call may take."""
        return max(0, self.budget.limit - self.spent - self.reserved)


class KeyReport(Struct, frozen=True):
    """An issued key and its use. Money is in millionths of a US dollar."""

    key: ClientKey
    state: State
    last_used: float | None
    """Begin of the last call that is still in the ledger."""
    day: int
    """Spent since midnight, UTC."""
    month: int
    """Spent since the first of the month, UTC."""
    budgets: list[BudgetReport]


def key_reports(engine: sa.Engine, now: float, only: Sequence[str] | None = None) -> list[KeyReport]:
    """Return a report on each issued key, newest first. `only` has the ids of the only keys to report."""
    keys = [key for key in client_keys.issued(engine) if only is None or key.id in only]
    day, month = (Budget("money", period, 0).start(now) for period in ("day", "month"))
    # a search in the index for each key, and not a scan of all calls
    calls = sa.select(sa.func.max(attempt.c.at)).where(attempt.c.client == client_key.c.id).scalar_subquery()
    last = sa.select(client_key.c.id, calls)
    b = budget.c
    rows = sa.select(b.client, b.unit, b.period, b.start, bounded(b.spent), bounded(b.reserved)).where(
        b.start.in_([0.0, day, month])
    )
    if only is not None:
        last = last.where(client_key.c.id.in_(only))
        rows = rows.where(b.client.in_(only))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        used = dict(map(tuple, connection.execute(last)))
        taken = {tuple(row[:4]): (int(row[4]), int(row[5])) for row in connection.execute(rows)}
    today, total = (_spent(engine, start, now + 1, only) for start in (day, month))
    return [
        _report(key, now, used.get(key.id), (today.get(key.id, 0), total.get(key.id, 0)), taken)
        for key in keys
    ]


def _spent(engine: sa.Engine, since: float, until: float, only: Sequence[str] | None) -> dict[str, int]:
    """Return what was spent within a time, in millionths of a US dollar, by client."""
    rows = sums(engine, Wanted(since, until, ("client",), names=("micros",), only=only))
    return {row["client"]: int(row["micros"]) for row in rows}


def _report(
    key: ClientKey,
    now: float,
    last_used: float | None,
    spent: tuple[int, int],
    taken: dict[tuple[Any, ...], tuple[int, int]],
) -> KeyReport:
    budgets = [
        BudgetReport(
            limit, *taken.get((key.id, limit.unit, limit.period, limit.start(now)), (0, 0)), limit.end(now)
        )
        for limit in key.rules.budgets
    ]
    fault = key.fault(now)
    state: State = "active"
    if fault is not None:
        state = fault
    elif any(not report.left for report in budgets):
        state = "over budget"
    return KeyReport(key, state, last_used, *spent, budgets)


def as_json(report: KeyReport) -> dict[str, Any]:
    """Return a report for `encode`. Times are in seconds since 1970, money in US dollars."""
    key = report.key
    return {
        "id": key.id,
        "name": key.name,
        "state": report.state,
        "created": key.created,
        "expires": key.expires,
        "last_used": report.last_used,
        "note": key.note,
        "grace_until": key.old_until,
        "dollars": {"day": money(report.day), "month": money(report.month)},
        "budgets": [_budget(entry) for entry in report.budgets],
        "rules": _rules(key.rules),
    }


def usage_as_json(rows: Iterable[Usage]) -> list[dict[str, Any]]:
    """Return sums by day and model for `encode`."""
    return [
        {
            "start": int(row.start),
            "model": row.model,
            "calls": row.calls,
            "input_tokens": row.prompt,
            "cached_tokens": row.cached,
            "output_tokens": row.completion,
            "searches": row.searches,
            "dollars": money(row.micros),
        }
        for row in rows
    ]


def money(micros: int) -> Decimal:
    """Return millionths of a US dollar in dollars."""
    return Decimal(micros) / 1_000_000


def _budget(report: BudgetReport) -> dict[str, Any]:
    in_dollars = report.budget.unit == "money"
    amounts = {
        "limit": report.budget.limit, "spent": report.spent, "reserved": report.reserved, "left": report.left,
    }  # fmt: skip
    return {
        "unit": "dollars" if in_dollars else "tokens",
        "period": report.budget.period,
        **{name: money(amount) if in_dollars else amount for name, amount in amounts.items()},
        "resets": report.resets,
    }


def _rules(rules: Rules) -> dict[str, Any]:
    result: dict[str, Any] = msgspec.to_builtins(rules)
    if rules.dollars:
        result["dollars"] = {period: money(round(amount * 1e6)) for period, amount in rules.dollars.items()}
    return result
