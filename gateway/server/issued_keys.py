"""Issued keys, kept equal to the ledger's table while the application runs. Work for a key ends with the key."""

import asyncio
from contextlib import suppress
from operator import attrgetter
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Self

from gateway.errors import LedgerUnavailable
from gateway.policy.clients.access import Access, ClientKey
from gateway.policy.clients.budgets import BudgetUse
from gateway.server.stores import Report, first_line

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from gateway.store.ledger.writer import Ledger

_POLL = 0.5
"""Seconds between two looks at the table's revision: a revoked key is refused everywhere within a second."""
_DAY = 86400
_LOOK_UP_PAUSE = 0.1
"""Seconds at least between two looks for keys that are unknown."""
_LONGEST_LOOK_UP = 1.0
"""Seconds that a request with an unknown key waits."""
_SUM_PAUSE = 300.0
"""Seconds between two looks for hours that are over."""
_SUM_TURN = 0.5
"""Seconds of summing, and of a pause after them while there is more."""
_ABANDONED = 600.0
"""Seconds after which a call without an end is one whose process died."""


class IssuedKeys:
    """Async context that loads the keys and then polls for changes; it closes the ledger."""

    def __init__(self, ledger: "Ledger", access: Access, report: Report) -> None:
        self._ledger = ledger
        self._access = access
        self._report = report
        self._revision = -1
        self._poll: asyncio.Task[None] | None = None
        self._summing: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        """A look that has not read the table yet, so that it will see every key that is issued by now."""
        self._turn: asyncio.Future[bool] | None = None
        """The last turn of summing."""
        self._reading = asyncio.Lock()
        self._looked = float("-inf")

    async def __aenter__(self) -> Self:
        try:
            await asyncio.to_thread(self._reconcile)
            await self.refresh()
        except BaseException:
            await self._ledger.close()
            raise
        self._poll = asyncio.create_task(self._keep_fresh(), name="issued keys")
        self._summing = asyncio.create_task(self._keep_summed(), name="sums of the ledger")
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = [task for task in (self._poll, self._summing, self._looking) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._turn is not None:  # its thread has a connection, which would outlive the ledger
            await asyncio.gather(self._turn, return_exceptions=True)
        await self._ledger.close()

    async def report(self, key_id: str, days: int) -> dict[str, Any] | None:
        """Return the rules, budgets and use of a key, with its use by day and model, today included.

        None for a key that is not in the ledger. Raises LedgerUnavailable.
        """
        try:
            return await asyncio.to_thread(_report, self._ledger.engine, key_id, days)
        except Exception as error:
            reason = first_line(error)
            self._report(f"the use of a key cannot be read: {reason}")
            raise LedgerUnavailable(
                "The gateway cannot read its ledger at the moment. Please try again later."
            ) from error

    async def budgets(self) -> list[BudgetUse]:
        """Return the use of each budget of the keys in use, oldest key first."""
        now = time()
        keys = [key for key in self._access.keys if key.rules.budgets and key.fault(now) is None]
        keys.sort(key=attrgetter("created"))
        return await asyncio.to_thread(_budgets, self._ledger.engine, keys, now)

    async def refresh(self) -> None:
        """Load the keys if the table's revision has changed."""
        from gateway.store.ledger import client_keys

        engine = self._ledger.engine
        revision = await asyncio.to_thread(client_keys.revision, engine)
        if revision != self._revision:
            keys = await asyncio.to_thread(client_keys.issued, engine)
            if revision > self._revision:  # a concurrent refresh may have loaded a later one
                self._access.issued = {
                    key_hash: entry for key in keys for key_hash, entry in key.accepted().items()
                }
                self._revision = revision
                self._cut()

    async def look_up(self) -> None:
        """Load keys that another process has issued a moment ago. Never raises; waits for a second at most.

        All who ask meanwhile wait for the same look, and looks are 0.1 seconds apart: made-up keys cost ten queries of
        one number a second, whatever their number.
        """
        if self._looking is None:
            self._looking = asyncio.create_task(self._look(), name="look for new keys")
        await asyncio.wait({self._looking}, timeout=_LONGEST_LOOK_UP)

    async def _look(self) -> None:
        async with self._reading:  # a database that hangs occupies one thread
            await asyncio.sleep(self._looked + _LOOK_UP_PAUSE - monotonic())
            self._looking, self._looked = None, monotonic()
            with suppress(Exception):  # database drivers raise exceptions of their own; the poll reports them
                await self.refresh()

    def _cut(self) -> None:
        """End the requests and background work of keys that were revoked or have expired."""
        for key_id, requests in self._access.cut(time()).items():
            self._report(f"{key_id} is revoked or has expired: {requests} requests in progress were cut")

    def _reconcile(self) -> None:
        """Settle the calls of a process that died."""
        from gateway.store.ledger.writer import reconcile

        lost = reconcile(self._ledger.engine, time() - _ABANDONED, time())
        if lost:
            self._report(
                f"ledger: {lost} calls of an earlier process have no end; their outcome is `unknown`"
            )

    async def _keep_fresh(self) -> None:
        """Refresh until cancelled. While the database fails, the keys loaded last stay valid."""
        reported = ""
        while True:
            await asyncio.sleep(_POLL)
            self._cut()
            try:
                await self.refresh()
                if reported:
                    self._report("issued keys can be read again.")
                reported = ""
            except Exception as error:  # noqa: BLE001 - database drivers raise exceptions of their own
                message = first_line(error)
                if message != reported:
                    reported = message
                    self._report(f"issued keys cannot be read: {message}. Those read last stay valid.")

    async def _keep_summed(self) -> None:
        """Sum the calls of past hours and days until cancelled, a little at a time: reports then read few rows."""
        from gateway.store.ledger.sums import catch_up

        reported: set[type[Exception]] = set()
        while True:
            pause = _SUM_PAUSE
            self._turn = asyncio.ensure_future(
                asyncio.to_thread(catch_up, self._ledger.engine, time(), _SUM_TURN)
            )
            try:
                if not await asyncio.shield(self._turn):
                    pause = _SUM_TURN
                reported.clear()
            except Exception as error:  # noqa: BLE001 - database drivers raise exceptions of their own
                if type(error) not in reported:
                    reported.add(type(error))
                    self._report(
                        f"calls cannot be summed: {first_line(error)}. Reports read each call until they can."
                    )
            await asyncio.sleep(pause)


def _budgets(engine: "Engine", keys: list[ClientKey], now: float) -> list[BudgetUse]:
    from gateway.store.ledger.reports import spent_of_all

    spent = spent_of_all(engine, [key.id for key in keys], now)
    return [
        BudgetUse(key.name, budget, spent.get((key.id, budget.unit, budget.period), 0), key.id)
        for key in keys
        for budget in key.rules.budgets
    ]


def _report(engine: "Engine", key_id: str, days: int) -> dict[str, Any] | None:
    from gateway.store.ledger.key_reports import as_json, key_reports, usage_as_json
    from gateway.store.ledger.reports import usage

    now = time()
    reports = key_reports(engine, now, [key_id])
    if not reports:
        return None
    since = (now // _DAY - days + 1) * _DAY
    rows = usage(engine, since, now + 1, ("model",), _DAY, [key_id])
    return {**as_json(reports[0]), "usage": usage_as_json(rows)}
