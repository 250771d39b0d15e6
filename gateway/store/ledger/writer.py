"""The ledger: intents and settlements in groups by one thread, budgets that are hard, keys that the gateway issued.

A caller waits for the commit that holds its row, some milliseconds. A database that fails or hangs is waited for once,
50 ms: from then on rows gather in memory until it is back, and only clients with a budget are refused, because nobody
could say what they have left (robustness.md P13 to P17).
"""

import asyncio
import json
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from time import monotonic

import sqlalchemy as sa
from msgspec import Struct

from gateway.errors import BudgetExceeded, GatewayError
from gateway.policy.ledger import Intent, LedgerConfig, Settlement
from gateway.store.ledger.budgets import Claim, charge, lock, release, reserve
from gateway.store.ledger.tables import attempt, engine

_PATIENCE = 0.05
"""Seconds that a request waits for a commit."""
_STRICT_PATIENCE = 2.0
"""The same, of a request that may not go on without one."""
_RETRY = 1.0
"""Seconds between two tries of a database that fails."""
_CLOSING = 5.0
_TURNS = 10
"""Of the loop, in which rows gather: a commit costs as much as ten rows."""
_AT_ONCE = 1000
"""Rows of one transaction."""
_PRUNED_AT_ONCE = 5000
_FAILURES = (sa.exc.SQLAlchemyError, OSError)

_SETTLED = (
    "ended", "outcome", "status", "prompt", "cached", "tool_use", "completion", "thoughts", "prompt_image",
    "prompt_video", "prompt_audio", "completion_image", "completion_audio", "searches", "micros", "first_byte_ms",
    "duration_ms", "price", "exact",
)  # fmt: skip
_INTENDED = ("id", "at", "request_id", "client", "project", "model", "surface", "reserved")


class LedgerUnavailable(GatewayError):
    """Nothing can be written down, and what was asked must be."""

    status = 503
    code = "ledger_unavailable"

    def __init__(self) -> None:
        super().__init__("This gateway cannot write to its ledger at the moment.", retry_after=5)


class _Entry(Struct):
    """A row on its way, and who waits for it: true once it is committed, false when that takes too long."""

    row: Intent | Settlement
    done: "asyncio.Future[bool] | None"
    strict: bool = False


class Ledger:
    """Opening blocks and is meant for the start; `on_error` may be called from any thread, once for each trouble."""

    def __init__(
        self, url: str, password: str | None, config: LedgerConfig, on_error: Callable[[str], None]
    ) -> None:
        self.engine = engine(url, password)
        self._config = config
        self._writer = _Writer(self.engine, config, on_error)
        self._gathered: list[_Entry] = []
        """Rows of this turn of the loop: they go to the writer together, and one timer watches over them."""
        self._closed = False
        self._writer.start()

    @property
    def errors(self) -> int:
        """Transactions that failed."""
        return self._writer.errors

    @property
    def waiting(self) -> int:
        """Rows that are not written yet."""
        return self._writer.waiting

    @property
    def dropped(self) -> int:
        """Rows that found no room while the database failed."""
        return self._writer.dropped

    async def begin(self, intent: Intent) -> None:
        """Write an intent and reserve what it may cost. Raises BudgetExceeded, or LedgerUnavailable."""
        strict = bool(intent.budgets) or self._config.on_failure == "stop"
        if not await self._write(intent, strict=strict) and strict:
            raise LedgerUnavailable

    async def settle(self, settlement: Settlement) -> None:
        """Write how it ended, and charge what it cost. Never raises; a second settlement changes nothing."""
        await self._write(settlement, strict=False)

    def note(self, settlement: Settlement) -> None:
        """The same, for a caller that cannot wait."""
        self._put(_Entry(settlement, None))

    async def close(self) -> None:
        """Write what waits, for some seconds at most."""
        if not self._closed:
            self._closed = True
            rows, self._gathered = self._gathered, []
            self._writer.queue.put(rows)
            self._writer.queue.put(None)
            await asyncio.to_thread(self._writer.join, _CLOSING)
            self.engine.dispose()

    async def _write(self, row: Intent | Settlement, *, strict: bool) -> bool:
        """Whether it is committed; `strict` waits longer. Raises what the database said of the row itself."""
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if not self._put(_Entry(row, done, strict)) or (self._writer.stuck and not strict):
            return False
        return await done  # a client that leaves does not take its row with it

    def _put(self, entry: _Entry) -> bool:
        """Queue one; false when there is no room left."""
        if not self._writer.reserve():
            return False
        if not self._gathered:
            asyncio.get_running_loop().call_soon(self._hand_over, _TURNS)
        self._gathered.append(entry)
        return True

    def _hand_over(self, turns: int) -> None:
        """After some turns of the loop: they are quick when it is idle, and bring more rows when it is not."""
        loop = asyncio.get_running_loop()
        if turns:
            loop.call_soon(self._hand_over, turns - 1)
            return
        rows, self._gathered = self._gathered, []
        self._writer.queue.put(rows)
        loop.call_later(_PATIENCE, self._give_up, [one for one in rows if not one.strict])
        if strict := [one for one in rows if one.strict]:
            loop.call_later(_STRICT_PATIENCE, self._give_up, strict)

    def _give_up(self, rows: list[_Entry]) -> None:
        """Nobody waits any longer for these; they are written all the same."""
        for one in rows:
            if one.done is not None and not one.done.done():
                self._writer.stuck = True
                one.done.set_result(False)


class _Writer(threading.Thread):
    """Takes all that waits, commits it together, looks again; None in the queue ends it."""

    def __init__(self, made: sa.Engine, config: LedgerConfig, on_error: Callable[[str], None]) -> None:
        super().__init__(name="ledger", daemon=True)
        self.queue: SimpleQueue[list[_Entry] | None] = SimpleQueue()
        self.stuck = False
        """Somebody has waited in vain; true until the next commit."""
        self.errors = self.dropped = 0
        self._taken = self._written = 0  # each is counted by one thread alone
        self._engine = made
        # in the driver's own words: SQLAlchemy's would cost half of a request's time on these two
        mark = "%s" if made.dialect.paramstyle in ("format", "pyformat") else "?"
        self._insert = (
            f"INSERT INTO attempt ({', '.join(_INTENDED)}) VALUES ({', '.join([mark] * len(_INTENDED))})"  # noqa: S608 - names of ours
        )
        changes = ", ".join(f"{name} = {mark}" for name in _SETTLED)
        self._update = f"UPDATE attempt SET {changes} WHERE id = {mark} AND ended IS NULL"  # noqa: S608
        self._most = config.buffer
        self._days = config.days
        self._on_error = on_error
        self._said: set[str] = set()
        self._backlog: deque[_Entry] = deque()
        self._pruned = float("-inf")

    @property
    def waiting(self) -> int:
        """Rows on their way."""
        return self._taken - self._written

    def reserve(self) -> bool:
        """Room for one more row; false when there is none."""
        if self.waiting >= self._most:
            self.dropped += 1
            return False
        self._taken += 1
        return True

    def run(self) -> None:
        going = True
        while going:
            going = self._take()
            while self._backlog:
                batch = [self._backlog.popleft() for _ in range(min(len(self._backlog), _AT_ONCE))]
                if not self._commit(batch):
                    self._backlog.extendleft(reversed(batch))
                    break
            if self._backlog and going:
                self._wait()

    def _take(self) -> bool:
        """Wait for something, take all there is; false when that was the end."""
        try:
            rows = self.queue.get(block=not self._backlog)
            while rows is not None:
                self._backlog.extend(rows)
                rows = self.queue.get_nowait()
        except Empty:
            return True
        return False

    def _wait(self) -> None:
        """Until the database may have recovered; what comes meanwhile need not wait for it."""
        try:
            rows = self.queue.get(timeout=_RETRY)
        except Empty:
            return
        if rows is None:
            self.queue.put(None)
            return
        self._backlog.extend(rows)
        self.stuck = True

    def _commit(self, batch: list[_Entry]) -> bool:
        refused: dict[int, BudgetExceeded] = {}
        try:
            with self._engine.begin() as connection:
                self._write(connection, batch, refused)
                self._prune(connection, batch)
        except _FAILURES as error:
            self.errors += 1
            self.stuck = True
            self._tell(error)
            return False
        self.stuck = False
        self._written += len(batch)
        told = [(entry.done, refused.get(i)) for i, entry in enumerate(batch) if entry.done is not None]
        if told:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                told[0][0].get_loop().call_soon_threadsafe(_resolve, told)
        return True

    def _write(
        self, connection: sa.Connection, batch: list[_Entry], refused: dict[int, BudgetExceeded]
    ) -> None:
        """Intents first: a settlement may stand in the same batch as its intent."""
        lock(connection, (entry.row for entry in batch))
        rows = []
        intents = [(i, entry.row) for i, entry in enumerate(batch) if isinstance(entry.row, Intent)]
        for i, row, claims in reserve(connection, intents):
            if isinstance(claims, BudgetExceeded):
                refused[i] = claims
            else:
                rows.append(_intent_row(row, claims))
        if rows:
            connection.exec_driver_sql(self._insert, rows)
        settlements = [entry.row for entry in batch if isinstance(entry.row, Settlement)]
        if settlements:
            release(connection, [one for one in settlements if one.reserved])
            connection.exec_driver_sql(self._update, [_settled_row(one) for one in settlements])

    def _prune(self, connection: sa.Connection, batch: list[_Entry]) -> None:
        """Once an hour, some of what is too old."""
        if monotonic() - self._pruned < 3600:
            return
        self._pruned = monotonic()
        old = batch[-1].row.at - self._days * 86400
        some = sa.select(attempt.c.id).where(attempt.c.at < old).limit(_PRUNED_AT_ONCE)
        connection.execute(attempt.delete().where(attempt.c.id.in_(some)))

    def _tell(self, error: Exception) -> None:
        why = (
            str(getattr(error, "orig", None) or error).splitlines()[0] if str(error) else type(error).__name__
        )
        if why not in self._said and len(self._said) < 100:
            self._said.add(why)
            self._on_error(f"the ledger cannot be written: {why}. Rows are kept in memory meanwhile.")


def _resolve(told: "list[tuple[asyncio.Future[bool], BudgetExceeded | None]]") -> None:
    """In the loop: wake all who waited for one commit."""
    for done, error in told:
        if done.done():
            continue
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(True)


def _intent_row(intent: Intent, reserved: list[Claim]) -> tuple[object, ...]:
    return (
        intent.id, intent.at, intent.request_id, intent.client, intent.project, intent.model[:128], intent.surface,
        json.dumps(reserved) if reserved else "",
    )  # fmt: skip


def _settled_row(one: Settlement) -> tuple[object, ...]:
    c = one.counts
    return (
        one.at, one.outcome, one.status, c.prompt, c.cached, c.tool_use, c.completion, c.thoughts, c.prompt_image,
        c.prompt_video, c.prompt_audio, c.completion_image, c.completion_audio, c.searches, one.micros,
        one.first_byte_ms, one.duration_ms, one.price, one.exact, one.id,
    )  # fmt: skip


def reconcile(made: sa.Engine, before: float, now: float) -> int:
    """Attempts that began before a time and never ended are `unknown`, and have cost what was reserved for them."""
    with made.begin() as connection:
        lost = sa.select(attempt.c.id, attempt.c.client, attempt.c.reserved).where(
            attempt.c.ended.is_(None), attempt.c.at < before
        )
        rows = connection.execute(lost).all()
        for row in rows:
            ended = attempt.update().where(attempt.c.id == row.id, attempt.c.ended.is_(None))
            if connection.execute(ended.values(ended=now, outcome="unknown", exact=False)).rowcount:
                for unit, period, start, n in json.loads(row.reserved or "[]"):
                    charge(connection, row.client, (unit, period, start), -n, n)
    return len(rows)
