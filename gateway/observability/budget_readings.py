"""The use of the issued keys' budgets, as it was last read from the ledger, for the metrics."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from time import monotonic

from gateway.policy.clients.budgets import BudgetUse

_AGE = 10.0
"""Seconds for which a reading is used."""
_WAIT = 2.0
"""Seconds that a scrape waits for a reading; then it shows the one before."""


class BudgetReadings:
    """The last reading, and how to make another one."""

    read: Callable[[], Awaitable[list[BudgetUse]]] | None = None
    """Reads the ledger, or raises an error of its database. Set where there is a ledger."""

    def __init__(self) -> None:
        self.last: Sequence[BudgetUse] = ()
        self._at = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    async def refresh(self, wait: float = _WAIT) -> None:
        """Read again if the last reading is 10 seconds old. Never raises; waits for some seconds at most.

        There is one reading at a time: a database that hangs occupies one thread.
        """
        if self.read is None or monotonic() - self._at < _AGE:
            return
        if self._reading is None:
            self._reading = asyncio.create_task(self._load(self.read), name="budgets")
        await asyncio.wait({self._reading}, timeout=wait)

    async def _load(self, read: Callable[[], Awaitable[list[BudgetUse]]]) -> None:
        with suppress(Exception):  # database drivers raise exceptions of their own; the ledger reports them
            self.last = await read()
        self._at, self._reading = monotonic(), None
