"""Budgets of clients: an amount of money or tokens per day, per month, or in total."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal, NamedTuple

from msgspec import Struct

Unit = Literal["money", "tokens"]
Period = Literal["day", "month", "total"]
DAY = 86400.0


class Budget(Struct, frozen=True, gc=False, cache_hash=True):
    """The limit of a client's spending in a period, in millionths of a US dollar or in tokens."""

    unit: Unit
    period: Period
    limit: int

    def start(self, now: float) -> float:
        """Return when the current period began: midnight or the first of the month, UTC; 0.0 for a total."""
        if self.period == "total":
            return 0.0
        day = now // DAY  # Unix time has no leap seconds: each day is as long
        return day * DAY if self.period == "day" else _month(day)

    def end(self, now: float) -> float | None:
        """Return when the current period ends and the next begins, or None for a total."""
        if self.period == "total":
            return None
        begin = datetime.fromtimestamp(self.start(now), UTC)
        # 32 days after the first of a month are in the next month
        later = (
            begin + timedelta(days=1) if self.period == "day" else (begin + timedelta(days=32)).replace(day=1)
        )
        return later.timestamp()


@lru_cache(64)
def _month(day: float) -> float:
    """Return when the month of a day began, which is given by its number since 1970."""
    return datetime.fromtimestamp(day * DAY, UTC).replace(day=1).timestamp()


class BudgetUse(NamedTuple):
    """Use of one budget of an issued key in its current period."""

    key: str
    """Name of the key."""
    budget: Budget
    spent: int
    """In the budget's unit."""
    key_id: str = ""
    refused: float = 0.0
    """Unix seconds of the last request that this process has refused because of this budget; 0 for none."""

    @property
    def share(self) -> float:
        """The share of the budget that is spent; 1 of a budget of nothing."""
        return self.spent / self.budget.limit if self.budget.limit else 1.0


def dollars(micros: int) -> str:
    """Return millionths of a US dollar as text, such as $20.00 and $0.000056."""
    text = f"{micros / 1_000_000:.6f}"
    return f"${text[:-4]}" if text.endswith("0000") else f"${text.rstrip('0')}"
