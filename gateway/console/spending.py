"""Cost by day from the ledger, read rarely: a look at the console must not read a million rows each time."""

import asyncio
from collections.abc import Callable
from time import monotonic, time
from typing import TYPE_CHECKING

from gateway.console.sources import unexpected

if TYPE_CHECKING:
    from sqlalchemy import Engine

DAY = 86400
DAYS = 30
_TODAY_AGE = 5.0
"""Seconds for which the sum of today is shown."""
_PAST_AGE = 3600.0
"""The same for the days before."""
WAIT = 0.03
"""Seconds that an answer waits for a reading, before it shows the one before, or none."""
Day = tuple[int, int]
"""Millionths of a US dollar, and calls."""


class Spending:
    """Sums by day, of 30 days. There is one reading at a time: a database that hangs occupies one thread."""

    def __init__(self, engine: "Callable[[], Engine | None]") -> None:
        self._engine = engine
        self._days: dict[int, Day] = {}
        self._read_today = self._read_past = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self.failed = False
        """Whether the last reading has failed."""

    async def days(self) -> dict[int, Day] | None:
        """Return the sums by the day's begin, in seconds since 1970; None without a ledger and while it is unread."""
        if self._engine() is None:
            return None
        if self._reading is None and monotonic() - self._read_today > _TODAY_AGE:
            self._reading = asyncio.create_task(self._read(), name="costs by day")
        if self._reading is not None:
            await asyncio.wait({self._reading}, timeout=WAIT)
        if not self._days:
            return None
        today = int(time() // DAY) * DAY
        return {
            start: self._days.get(start, (0, 0)) for start in range(today - (DAYS - 1) * DAY, today + 1, DAY)
        }

    async def _read(self) -> None:
        from gateway.store.ledger.reports import daily

        engine, today = self._engine(), int(time() // DAY) * DAY
        is_old = monotonic() - self._read_past > _PAST_AGE or today not in self._days
        since = today - (DAYS - 1) * DAY if is_old else today
        try:
            if engine is not None:
                self._days.update(await asyncio.to_thread(daily, engine, since, time() + 1))
                self._days.setdefault(today, (0, 0))
                self._days = {start: day for start, day in self._days.items() if start > today - DAYS * DAY}
            self.failed = False
        except Exception as error:  # noqa: BLE001 - of the database
            self.failed = True
            unexpected(error)
        else:
            if is_old:
                self._read_past = monotonic()
        finally:
            self._read_today, self._reading = monotonic(), None
