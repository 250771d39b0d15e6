"""Budgets of clients: an amount of money or tokens per day, per month, or in total."""

from datetime import UTC, datetime
from typing import Literal

from msgspec import Struct

Unit = Literal["money", "tokens"]
Period = Literal["day", "month", "total"]


class Budget(Struct, frozen=True):
    """The limit of a client's spending in a period, in millionths of a US dollar or in tokens."""

    unit: Unit
    period: Period
    limit: int

    def start(self, now: float) -> float:
        """Return when the current period began: midnight or the first of the month, UTC; 0.0 for a total."""
        if self.period == "total":
            return 0.0
        day = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return (day if self.period == "day" else day.replace(day=1)).timestamp()
