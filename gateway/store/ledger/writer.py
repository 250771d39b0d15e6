"""The ledger: writes intents and settlements in groups, in one thread, and enforces budgets.

A caller waits for the commit that contains its row, some milliseconds. When the database fails or hangs, one call waits
50 ms; from then on rows gather in memory until the database is back, and only clients with a budget are refused,
because what they have left is unknown. A row that cannot be written is dropped; the others of its group are written.
"""

import asyncio
import json
import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cached_property, lru_cache
from time import monotonic, time
from typing import cast

import sqlalchemy as sa
from msgspec import Struct

from gateway.errors import BudgetExceeded, LedgerUnavailable
from gateway.policy.ledger import LONGEST_BATCH, Intent, LedgerConfig, Settlement
from gateway.store.group_commit import GroupCommit
from gateway.store.ledger.budgets import Reservation, charge, lock, release, release_known, reserve
from gateway.store.ledger.statements import FileTransaction, Statements, is_of_row, statements
from gateway.store.ledger.sums import LATE, prune, set_back
from gateway.store.ledger.tables import attempt, open_engine

_WAIT = 0.05
"""Seconds that a request waits for a commit."""
_STRICT_WAIT = 2.0
"""Seconds that a request waits if it must not go on without a commit."""
_RETRY = 1.0
"""Seconds between two tries of a database that fails."""
_CLOSING = 5.0
"""Seconds that the last writes may take."""
_TURNS = 10
"""Turns of the event loop in which rows gather: a commit costs as much as ten rows."""
_MAX_ROWS = 1000
"""Rows of one transaction."""
_MOST_INSERTED = 50
"""Rows of one statement."""
_MOST_RESERVED = 20_000
"""Calls in progress whose reservations are remembered."""
_MAX_PRUNED = 5000
"""Old rows deleted by one transaction."""
_PRUNE_INTERVAL = 3600.0
_MAX_MESSAGES = 100
"""Different messages that are reported."""
_SETTLED = (
    "ended", "outcome", "status", "prompt", "cached", "tool_use", "completion", "thoughts", "prompt_image",
    "prompt_video", "prompt_audio", "completion_image", "completion_audio", "searches", "micros", "first_byte_ms",
    "duration_ms", "price", "exact",
)  # fmt: skip
_INTENDED = ("id", "at", "request_id", "client", "project", "model", "surface", "reserved")
_MOST_VALUES = _MOST_INSERTED * len(_INTENDED)
# names only
_PRUNE = "DELETE FROM attempt WHERE id IN (SELECT id FROM attempt WHERE at < ? LIMIT ?)"
_UPDATE = f"UPDATE attempt SET {', '.join(f'{name} = ?' for name in _SETTLED)} WHERE id = ? AND ended IS NULL"  # noqa: S608


@lru_cache(_MOST_INSERTED)
def _insert(rows: int) -> str:
    """Return the statement for so many rows; the thread gives the interpreter up once for each statement."""
    marks = ", ".join([f"({', '.join('?' for _ in _INTENDED)})"] * rows)
    return f"INSERT INTO attempt ({', '.join(_INTENDED)}) VALUES {marks}"  # noqa: S608 - names only


class _SettledBefore(Exception):
    """Another process has settled one of the calls: its reservation must not be given back twice."""


class _Entry(Struct, frozen=True, gc=False):
    """A row to be written.

    `done` becomes True when it is committed, False when it is dropped or takes too long; LedgerUnavailable if it is
    `strict`, BudgetExceeded if it is refused.
    """

    row: Intent | Settlement
    done: "asyncio.Future[bool] | None"
    strict: bool = False


class Ledger:
    """Ledger of one process. Opening blocks and is meant for the start.

    `on_error` may be called from any thread, once for each message.
    """

    def __init__(
        self, url: str, password: str | None, config: LedgerConfig, on_error: Callable[[str], None]
    ) -> None:
        on_replaced = on_error if config.on_corrupt == "fresh" else None
        self.engine = open_engine(url, password, on_replaced, on_error)
        self._config = config
        self._writer = _Writer(self.engine, config, on_error)
        self._gathered: list[_Entry] = []
        """Entries of these turns of the loop: they go to the writer together, and share one timer."""
        self._closed = False

    @property
    def errors(self) -> int:
        """Transactions that have failed because of the database."""
        return self._writer.errors

    @property
    def waiting(self) -> int:
        """Rows that are not written yet."""
        return self._writer.waiting

    @property
    def dropped(self) -> int:
        """Rows that were lost because the buffer was full, or because they could not be written."""
        return self._writer.not_taken + self._writer.not_written

    def is_stuck(self, seconds: float) -> bool:
        """Return whether one transaction has taken so long, or the writing thread has ended by an exception."""
        return not self._closed and self._writer.thread.is_stuck(seconds)

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        """The event loop. Before Python 3.12, asking for the running one takes a system call each time."""
        return asyncio.get_running_loop()

    def begin(self, intent: Intent) -> Awaitable[object]:
        """Queue an intent, which reserves what the call may cost, and return what to await before the call is made.

        Awaiting raises BudgetExceeded or LedgerUnavailable. A client that disconnects leaves the row in the queue.
        """
        return self._queue(intent, strict=bool(intent.budgets) or self._config.on_failure == "stop")

    def settle(self, settlement: Settlement) -> Awaitable[object]:
        """Queue how a call ended and what it costs, and return what to await before its client knows of the end.

        Awaiting raises nothing. Only the first settlement has an effect.
        """
        return self._queue(settlement, strict=False)

    def note(self, settlement: Settlement) -> None:
        """Settle without waiting."""
        if self._writer.reserve():
            self._gather(_Entry(settlement, None))

    async def close(self) -> None:
        """Write what is waiting, for at most five seconds."""
        if not self._closed:
            self._closed = True
            self._writer.thread.put(self._gathered)
            self._gathered = []
            await asyncio.to_thread(self._writer.thread.end, _CLOSING)
            self.engine.dispose()

    def _queue(self, row: Intent | Settlement, *, strict: bool) -> "asyncio.Future[bool]":
        """Queue a row. Return what tells whether it was committed in time; it is False where nobody should wait."""
        writer = self._writer
        done: asyncio.Future[bool] = self._loop.create_future()
        if not writer.reserve():
            _give_up(done, strict=strict)
        elif writer.stuck and not strict:
            self._gather(_Entry(row, None))
            done.set_result(False)
        else:
            self._gather(_Entry(row, done, strict))
        return done

    def _gather(self, entry: _Entry) -> None:
        if not self._gathered:
            self._loop.call_soon(self._hand_over, _TURNS)
        self._gathered.append(entry)

    def _hand_over(self, turns: int) -> None:
        """Hand entries to the writer after some turns of the loop, which are short if the loop is idle."""
        if turns:
            self._loop.call_soon(self._hand_over, turns - 1)
            return
        entries, self._gathered = self._gathered, []
        self._writer.thread.put(entries)
        for strict, seconds in ((False, _WAIT), (True, _STRICT_WAIT)):
            waiting = [entry.done for entry in entries if entry.done is not None and entry.strict is strict]
            if waiting:
                self._loop.call_later(seconds, self._give_up, waiting, strict)

    def _give_up(self, waiting: "list[asyncio.Future[bool]]", strict: bool) -> None:
        """Stop waiting for rows. They are written all the same."""
        last = waiting[-1]
        if last.done() and not last.cancelled():
            return  # rows are written in order
        for done in waiting:
            if not done.done():
                self._writer.stuck = True
                _give_up(done, strict=strict)


class _Writer:
    """Commits entries in a thread, and keeps them while the database fails."""

    def __init__(self, engine: sa.Engine, config: LedgerConfig, on_error: Callable[[str], None]) -> None:
        self.stuck = False
        """A request has waited in vain; True until the next commit."""
        self.errors = 0
        self.not_taken = self.not_written = 0
        """Rows for which the buffer had no room, and rows that the database cannot hold."""
        self._taken = self._written = 0  # each is changed by one thread only
        self._engine = engine
        self._buffer = config.buffer
        self._days = config.days
        self._on_error = on_error
        self._reported: set[str] = set()
        self._failing = False
        """The database has failed, and that was reported, and nothing was written since."""
        self._connection: sa.Connection | None = None
        self._file: AbstractContextManager[Statements] | None = None
        if engine.dialect.name == "sqlite":  # it stays open; one to PostgreSQL may be lost between two writes
            self._connection = engine.connect()
            self._file = FileTransaction(cast("sqlite3.Connection", statements(self._connection)))
        self._reserved: dict[str, Reservation] = {}
        """Reservations of the calls in progress, by id. What is missing here is read from the file."""
        self._backlog: deque[_Entry] = deque()
        self._pruned = float("-inf")
        self.thread: GroupCommit[list[_Entry]] = GroupCommit("ledger", self._commit, self._close)
        self.thread.start()

    @property
    def waiting(self) -> int:
        """Rows that are not written yet."""
        return self._taken - self._written

    def reserve(self) -> bool:
        """Take room for one more row. Return False if there is none."""
        if self._taken - self._written >= self._buffer:
            self.not_taken += 1
            return False
        self._taken += 1
        return True

    def _commit(self, batches: list[list[_Entry]]) -> float | None:
        """Write all entries, old ones first. Return the seconds to the next try if the database fails."""
        if len(batches) == 1 and not self._backlog and 0 < len(batches[0]) <= _MAX_ROWS:  # nearly always
            self._backlog.extend(self._write_group(batches[0]))
            return _RETRY if self._backlog else None
        for entries in batches:
            self._backlog.extend(entries)
        while self._backlog:
            some = [self._backlog.popleft() for _ in range(min(len(self._backlog), _MAX_ROWS))]
            if unwritten := self._write_group(some):
                self._backlog.extendleft(reversed(unwritten))
                return _RETRY
        return None

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _write_group(self, entries: list[_Entry]) -> list[_Entry]:
        """Write entries, without those that cannot be written. Return the rest if the database fails.

        A group that holds such an entry is halved until the entry is alone, so that all others are written.
        """
        error = self._transaction(entries)
        if error is None:
            return []
        if not is_of_row(error):
            self.errors += 1
            self.stuck = self._failing = True
            self._report(error, "The ledger cannot be written: {}. Rows are kept in memory until it can.")
            return entries
        if len(entries) == 1:
            self._drop(entries[0], error)
            return []
        middle = len(entries) // 2
        unwritten = self._write_group(entries[:middle])
        return unwritten + entries[middle:] if unwritten else self._write_group(entries[middle:])

    def _drop(self, entry: _Entry, error: Exception) -> None:
        """Forget an entry that cannot be written, and tell the one who waits for it."""
        self.not_written += 1
        self._written += 1
        self._report(error, "The ledger dropped a row that cannot be written: {}.")
        _wake([entry], {}, is_written=False)

    def _transaction(self, entries: list[_Entry]) -> Exception | None:
        """Write entries and wake those who wait for them. Return the error if nothing was written."""
        refused: dict[int, BudgetExceeded] = {}
        try:
            with self._file or self._begin_locked(entries) as sql:
                self._write(sql, entries, refused)
                self._prune(sql, entries)
        except _SettledBefore:  # at most once: what was reserved is read from the file now
            return self._transaction(entries)
        except Exception as error:  # noqa: BLE001 - the thread writes the rows of all clients: none may end it
            return error
        self.stuck = False
        self._written += len(entries)
        if self._failing:
            self._report_back()
        _wake(entries, refused)
        return None

    @contextmanager
    def _begin_locked(self, entries: list[_Entry]) -> Iterator[Statements]:
        with self._engine.begin() as connection:
            lock(connection, (entry.row for entry in entries))
            yield statements(connection)

    def _write(self, sql: Statements, entries: list[_Entry], refused: dict[int, BudgetExceeded]) -> None:
        """Write intents first: a settlement may stand in the same transaction as its intent."""
        begin = now = time()
        intents = [row for entry in entries if type(row := entry.row) is Intent]
        settlements = [row for entry in entries if type(row := entry.row) is Settlement]
        if intents:
            begin = min([intent.at for intent in intents])
            if errors := self._intend(sql, intents):
                numbers = [i for i, entry in enumerate(entries) if type(entry.row) is Intent]
                refused.update((numbers[i], error) for i, error in errors.items())
        if settlements:
            begin = min(begin, min([row.at - row.duration_ms / 1000 for row in settlements]))
            self._settle(sql, settlements)
        if begin < now - LATE:
            set_back(sql, begin)

    def _intend(self, sql: Statements, intents: list[Intent]) -> dict[int, BudgetExceeded]:
        """Write intents as far as their budgets allow them. Return why others are refused, by position."""
        values: list[object] = []
        reserved, is_file = self._reserved, self._file is not None
        reservations, refused = reserve(sql, intents)
        for i, (intent, reservation) in enumerate(zip(intents, reservations, strict=True)):
            if i in refused:
                continue
            values += (
                intent.id, intent.at, intent.request_id, intent.client, intent.project, intent.model[:128],
                intent.surface, reservation.text,
            )  # fmt: skip
            if is_file:
                reserved.setdefault(intent.id, reservation)
        for start in range(0, len(values), _MOST_VALUES):
            some = values[start : start + _MOST_VALUES]
            sql.execute(_insert(len(some) // len(_INTENDED)), some)
        while len(reserved) > _MOST_RESERVED:
            del reserved[next(iter(reserved))]
        return refused

    def _settle(self, sql: Statements, settlements: list[Settlement]) -> None:
        """Settle calls. Raises _SettledBefore where another process has settled one of them."""
        rows: list[tuple[object, ...]] = []
        calls: list[tuple[Settlement, Reservation]] = []
        is_file, reserved, unknown = self._file is not None, self._reserved, 0
        for s in settlements:
            c = s.counts
            rows.append((
                s.at, s.outcome, s.status, c.prompt, c.cached, c.tool_use, c.completion, c.thoughts, c.prompt_image,
                c.prompt_video, c.prompt_audio, c.completion_image, c.completion_audio, c.searches, s.micros,
                s.first_byte_ms, s.duration_ms, s.price,
                int(s.exact) if is_file else s.exact,  # SQLite has no booleans, and its driver is slow with them
                s.id,
            ))  # fmt: skip
            reservation = reserved.pop(s.id, None)
            if reservation is None:
                unknown += 1
            elif s.reserved:
                calls.append((s, reservation))
        if not unknown:
            if sql.executemany(_UPDATE, rows).rowcount != len(rows):
                raise _SettledBefore
            release_known(sql, calls)
        else:
            release(sql, [settlement for settlement in settlements if settlement.reserved])
            sql.executemany(_UPDATE, rows)

    def _prune(self, sql: Statements, entries: list[_Entry]) -> None:
        """Once an hour, delete some of the rows that are too old."""
        if monotonic() - self._pruned < _PRUNE_INTERVAL:
            return
        self._pruned = monotonic()
        oldest = entries[-1].row.at - self._days * 86400
        sql.execute(_PRUNE, (oldest, _MAX_PRUNED))
        prune(sql, oldest)

    def _report_back(self) -> None:
        """Report the end of a failure. The next one is reported again."""
        self._failing = False
        self._reported.clear()
        lost = self.not_taken + self.not_written
        self._on_error(
            "The ledger can be written again. "
            + (f"Rows lost since the start: {lost}." if lost else "No row was lost.")
        )

    def _report(self, error: Exception, sentence: str) -> None:
        """Report an error, the first time that it comes. `{}` in the sentence stands for its first line."""
        text = str(getattr(error, "orig", None) or error)
        why = text.splitlines()[0] if text else type(error).__name__
        message = sentence.format(why)
        if message not in self._reported and len(self._reported) < _MAX_MESSAGES:
            self._reported.add(message)
            self._on_error(message)


def _wake(entries: list[_Entry], refused: dict[int, BudgetExceeded], *, is_written: bool = True) -> None:
    """Tell all who wait for entries how it went. May be called from any thread."""
    for entry in entries:
        if entry.done is not None:
            with suppress(RuntimeError):  # the loop is closed: no one waits any more
                entry.done.get_loop().call_soon_threadsafe(_resolve, entries, refused, is_written)
            return


def _resolve(entries: list[_Entry], refused: dict[int, BudgetExceeded], is_written: bool) -> None:
    """Resolve futures by whether a row was committed, or why it was refused. Runs in the event loop."""
    for i, error in refused.items():
        done = entries[i].done
        if done is not None and not done.done():
            done.set_exception(error)
    for entry in entries:
        done = entry.done
        if done is None or done.done():
            continue
        if is_written:
            done.set_result(True)
        else:
            _give_up(done, strict=entry.strict)


def _give_up(done: "asyncio.Future[bool]", *, strict: bool) -> None:
    """End the wait for a row that is not committed."""
    done.set_exception(LedgerUnavailable()) if strict else done.set_result(False)


def reconcile(engine: sa.Engine, before: float, now: float) -> int:
    """Settle the calls that began before a time and have no end: their process died. Return their number. Blocks.

    Their outcome is `unknown`, and they cost what was reserved for them. A batch has no end until it is read.
    """
    c = attempt.c
    unsettled = sa.select(c.id, c.at, c.client, c.reserved).where(
        c.ended.is_(None), c.at < before, sa.or_(c.surface != "batch", c.at < before - LONGEST_BATCH)
    )
    with engine.begin() as connection:
        rows, sql = connection.execute(unsettled).all(), statements(connection)
        if rows:
            set_back(sql, min(row.at for row in rows))
        for row in rows:
            end = attempt.update().where(attempt.c.id == row.id, attempt.c.ended.is_(None))
            claims = json.loads(row.reserved or "[]")
            micros = max((amount for unit, _, _, amount in claims if unit == "money"), default=0)
            values = {"ended": now, "outcome": "unknown", "exact": False, "micros": micros}
            if connection.execute(end.values(values)).rowcount:
                for unit, period, start, amount in claims:
                    charge(sql, row.client, (unit, period, start), -amount, amount)
    return len(rows)
