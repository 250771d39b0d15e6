"""Output of `gateway keys list`: a table, or JSON."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gateway.cli.tables import print_json, print_table
from gateway.policy.clients.budgets import dollars

if TYPE_CHECKING:
    from gateway.store.ledger.key_reports import BudgetReport, KeyReport

_HEADER = ("id", "name", "state", "created", "expires", "last used", "today", "month", "budgets", "rules")


def print_keys(reports: "Sequence[KeyReport]", *, as_json: bool) -> None:
    """Print a header line and a line for each key, or one JSON array. Times are UTC."""
    if as_json:
        from gateway.store.ledger.key_reports import as_json as described

        print_json([described(report) for report in reports])
        return
    print_table(_HEADER, [_cells(report) for report in reports])


def _cells(report: "KeyReport") -> tuple[str, ...]:
    key = report.key
    return (
        key.id,
        key.name,
        report.state,
        _day(key.created),
        _day(key.expires) if key.expires is not None else "never",
        _minute(report.last_used) if report.last_used is not None else "never",
        dollars(report.day),
        dollars(report.month),
        ", ".join(map(budget_text, report.budgets)) or "none",
        _rules(key.rules),
    )


def budget_text(report: "BudgetReport") -> str:
    """Return what is spent and left of a budget, such as `month: $1.25 of $20.00, $18.75 left`."""
    in_dollars = report.budget.unit == "money"
    spent, limit, left = (
        dollars(amount) if in_dollars else str(amount)
        for amount in (report.spent, report.budget.limit, report.left)
    )
    return f"{report.budget.period}: {spent} of {limit}{'' if in_dollars else ' tokens'}, {left} left"


def _rules(rules: Any) -> str:
    """Return the rules that are not budgets, such as `models=gemini-*; streams=4`."""
    parts = []
    for name in rules.__struct_fields__:
        value = getattr(rules, name)
        if (not value and value != 0) or name in ("dollars", "tokens"):
            continue
        if name == "models":
            value = ",".join(value)
        elif name == "aliases":
            value = ",".join(f"{alias}={model}" for alias, model in value.items())
        parts.append(f"{name}={value}")
    return "; ".join(parts) or "none"


def _day(at: float) -> str:
    return f"{datetime.fromtimestamp(min(at, 2e11), UTC):%Y-%m-%d}"


def _minute(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"
