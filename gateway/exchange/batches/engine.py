"""Batches under way: from their file to their results, across restarts.

Each step is written down before the next one, and is taken under the batch's lock, so that a killed process, or two
that share the folder, ask for nothing twice. A batch of an issued key goes on by itself. One of a client's own key goes
on while its client looks at it: the key is not kept.
"""

import asyncio
import logging
from asyncio import to_thread
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from time import monotonic, time
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from gateway.errors import GatewayError, Unauthorized, forget_frames
from gateway.exchange.batches.charges import Charges
from gateway.exchange.batches.here import Here
from gateway.exchange.batches.lines import BatchMethods, noted
from gateway.exchange.batches.parts import Parts
from gateway.exchange.batches.reading import LineReader, Lines
from gateway.exchange.batches.remote import Remote
from gateway.exchange.context import RequestContext
from gateway.exchange.exchange import Exchange
from gateway.exchange.hooks import Hooks
from gateway.exchange.incoming.request_body import Body
from gateway.exchange.report import ExchangeReport
from gateway.policy.bounded import BoundedMapping
from gateway.policy.clients.access import Client
from gateway.policy.clients.kept_batches import ENDED, Batch, LineError, Part, Status
from gateway.policy.load.memory import MemoryAccount
from gateway.store.disk_space import check_space

if TYPE_CHECKING:
    from gateway.store.batches.batch_store import BatchStore

_IDLE = 15.0
"""Seconds between two looks for batches of processes that are gone."""
_LATE = 6 * 3600
"""Seconds after a batch's end until which Google may say that it has expired."""
_KEPT = 60 * 24 * 3600
"""Seconds for which a batch can be read after its end; its files live as long as they are asked to."""
_SWEEP = 3600.0
"""Seconds between two looks for batches that are older."""
_AT_ONCE = 4
"""Batches of issued keys that are worked on at the same time."""
_OWN_AT_ONCE = 16
"""The same of clients' own keys, which nobody has checked: they take no place of the others."""
_HELD = 2.0
"""Seconds until another look at a batch that another process works on."""
_MOST_PAUSES = 10_000
_log = logging.getLogger("gateway.batches")


class Poll(Struct, frozen=True):
    """Seconds between two looks at a batch: the first ones, the growth, and the longest."""

    first: float = 30.0
    factor: float = 1.5
    longest: float = 600.0

    def after(self, looks: int) -> float:
        """Return the seconds after so many looks in vain."""
        return min(self.longest, self.first * self.factor ** min(looks, 60))


class BatchSurface(Protocol):
    """A surface that has batches."""

    def lines(self, batch: Batch) -> Lines:
        """Return the lines of a batch."""

    def plugin(self, batch: Batch) -> BatchMethods:
        """Return the plugin that answers the lines. Raises GatewayError."""

    def runs_here(self, batch: Batch) -> bool:
        """Return whether the gateway answers the lines one by one."""

    def error(self, error: GatewayError) -> bytes:
        """Return an error in the surface's format."""

    async def finish(self, batch: Batch, parts: Sequence[Part], context: RequestContext) -> None:
        """Write the results of a batch, and note in `batch` where they are. May be repeated. Raises GatewayError."""


class Services(Struct, frozen=True):
    """Services of the gateway that batches use."""

    exchange: Exchange
    hooks: Hooks | None
    memory: MemoryAccount
    holder: Callable[[str], Client]
    """Returns the client of an issued key. Raises Unauthorized."""
    draining: Callable[[], bool]
    count: Callable[[str], None]
    """Counts an event for the metrics."""


class Engine:
    """All batches of one store."""

    def __init__(
        self,
        store: "BatchStore",
        services: Services,
        surfaces: dict[str, BatchSurface],
        poll: Poll,
        version: str,
    ) -> None:
        """`surfaces` by name; `version` is that of Google's API."""
        self.store = store
        self._services = services
        self._surfaces = surfaces
        self._poll = poll
        accounting = services.exchange.accounting
        self.charges = Charges(accounting)
        self._here = Here(store)
        self._parts = Parts(store, Remote(services.exchange, version, store.folder), accounting)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._own: set[str] = set()
        """Those of clients' own keys."""
        self._not_before: BoundedMapping[str, float] = BoundedMapping(_MOST_PAUSES)
        """Unix seconds before which a batch is not begun that another process holds, or that cannot be saved."""
        self._woken = asyncio.Event()

    async def watch(self) -> None:
        """Work on the batches of issued keys, as long as the gateway runs. All are looked at after a start."""
        started, swept = True, 0.0
        while True:
            self._woken.clear()
            now = time()
            if now > swept + _SWEEP:
                swept = now
                await to_thread(self.store.sweep, now, now - _KEPT)
            live = await to_thread(self.store.live)
            for batch in live:
                busy = len(self._tasks) - len(self._own) >= _AT_ONCE or self._services.draining()
                is_due = (started or batch.next_look <= now) and self._not_before.get(batch.id, 0.0) <= now
                if is_due and batch.id not in self._tasks and not busy:
                    self.begin(batch, self._client(batch))
            started = False
            waits = [self._next(batch) - now for batch in live if batch.id not in self._tasks]
            # `wait_for` of Python 3.11 loses a cancellation that comes with the event
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.2, min([_IDLE, *waits]))):
                    await self._woken.wait()

    def wake(self) -> None:
        """Look for batches at once."""
        self._woken.set()

    async def stop(self) -> None:
        """Stop all work. Another process, or this one after a restart, goes on."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def start(self, batch: Batch, client: Client) -> None:
        """Begin a new batch, or one that is cancelled, unless others have all places."""
        if batch.client:
            self.wake()
        else:
            self.begin(batch, client)

    def begin(self, batch: Batch, client: Client) -> "asyncio.Task[None] | None":
        """Return the task that takes the next steps of a batch, a new one unless there is one.

        None for a client's own key while those of many others are worked on.
        """
        if (task := self._tasks.get(batch.id)) is None:
            if not batch.client:
                if len(self._own) >= _OWN_AT_ONCE:
                    return None
                self._own.add(batch.id)
            task = asyncio.create_task(self._advance(batch.id, client), name=f"batch_{batch.id}")
            self._tasks[batch.id] = task
            task.add_done_callback(partial(self._done, batch.id))
        return task

    def _next(self, batch: Batch) -> float:
        return max(batch.next_look, self._not_before.get(batch.id, 0.0))

    def _done(self, identifier: str, task: "asyncio.Task[None]") -> None:
        self._tasks.pop(identifier, None)
        self._own.discard(identifier)
        if not task.cancelled() and (error := task.exception()) is not None:  # as of a full disk
            self._not_before[identifier] = time() + self._poll.longest
            _log.error("batch_%s cannot be read or saved", identifier, exc_info=error)
        self.wake()

    def _client(self, batch: Batch) -> Client:
        """Return the holder of a batch's issued key. A revoked key pays for submitted parts, and submits no more."""
        try:
            return self._services.holder(batch.client)
        except Unauthorized:
            return Client("", "", batch.scope, batch.client)

    def context(self, batch: Batch, client: Client) -> RequestContext:
        """Return a context for work on a batch."""
        hooks, path = self._services.hooks, f"/v1/batches/batch_{batch.id} (background)"
        return RequestContext(
            batch.details.request_id, "POST", path, monotonic(), ExchangeReport(),
            surface="batch", client=client, memory=self._services.memory.open(),
            hooks=hooks.begin({}) if hooks is not None else None,
        )  # fmt: skip

    async def _advance(self, identifier: str, client: Client) -> None:
        """Take the steps of a batch that can be taken now. Raises only what the store does."""
        batch = await to_thread(self.store.get, identifier)
        if batch is None:
            return
        with self.store.locked(batch) as is_locked:
            batch = await to_thread(self.store.get, identifier)
            if not is_locked:
                self._not_before[identifier] = time() + _HELD
            if not is_locked or batch is None or batch.status in ENDED:
                return
            context = self.context(batch, client)
            try:
                await self._step(batch, context)
            except GatewayError as error:
                _log.warning("batch_%s waits: %s", batch.id, forget_frames(error).message)
            except Exception:  # noqa: BLE001 - the batch must not be lost with its task
                _log.exception("batch_%s waits after an unexpected error", batch.id)
            finally:
                context.memory.release()
            batch.next_look = time() + self._poll.after(batch.looks)
            batch.looks += 1
            if batch.status in ("validating", "in_progress") and await self._is_cancelled(batch):
                batch.next_look = 0.0
            await to_thread(self.store.save, batch)

    async def _step(self, batch: Batch, context: RequestContext) -> None:
        surface = self._surfaces[batch.surface]
        if batch.status == "validating" and time() > batch.expires_at:
            batch.details.errors = [LineError("batch_expired", "The lines could not be read in time.")]
            await self._enter(batch, "failed")
        if batch.status == "validating" and self._may_ask(batch):
            await self._validate(batch, surface, context)
        if batch.status in ("in_progress", "cancelling"):
            await self._work(batch, context)
        if batch.status == "finalizing" or (batch.status == "cancelling" and await self._is_over(batch)):
            await self._finish(batch, surface, context)

    async def _validate(self, batch: Batch, surface: BatchSurface, context: RequestContext) -> None:
        await to_thread(check_space, self.store.folder, 0)
        reader = LineReader(self.store, self.charges, batch, here=surface.runs_here(batch))
        try:
            translate = surface.plugin(batch).batch_line
            lines = await to_thread(surface.lines, batch)
            parts = await reader.run(lines, translate, context, surface.error)
            errors = reader.errors
        except FileNotFoundError:
            parts, errors = [], [LineError("file_not_found", "The input file was deleted.")]
        if errors and not parts:
            batch.details.errors = errors
            await to_thread(self.store.begin, batch)
            await self._enter(batch, "failed")
            await to_thread(self.store.drop_files, batch, [])
            return
        models = {part.model for part in parts}
        batch.details.model = models.pop() if len(models) == 1 else None
        await self._enter(batch, "in_progress", parts)

    async def _work(self, batch: Batch, context: RequestContext) -> None:
        """Submit the parts that wait, look at the others, and count."""
        parts, before = await to_thread(self.store.parts, batch), (batch.completed, batch.failed)
        for part in parts:
            if batch.status != "cancelling" and await self._is_cancelled(batch):
                await self._enter(batch, "cancelling")
            if part.state != "done":
                await self._work_on(batch, part, context)
        batch.completed = sum(part.succeeded for part in parts)
        batch.failed = sum(part.failed for part in parts)
        if (batch.completed, batch.failed) != before:
            batch.looks = 0
        if batch.status == "in_progress" and all(part.state == "done" for part in parts):
            await self._enter(batch, "finalizing")

    async def _work_on(self, batch: Batch, part: Part, context: RequestContext) -> None:
        """Take the next step of a part."""
        is_here = part.method == "here"
        if time() > batch.expires_at + (_LATE if part.state == "sent" and not is_here else 0):
            part.state, part.outcome = "done", "EXPIRED"
            await self.charges.release(part, context, 504)
            await to_thread(self.store.save, batch, [part])
        elif is_here:
            await self._run_here(batch, part, context)
        elif batch.status == "cancelling":
            await self._parts.cancel(batch, part, context)
            if part.state == "sent":
                await self._parts.look(batch, part, context)
        elif part.state == "sent":
            await self._parts.look(batch, part, context)
        elif self._may_ask(batch):
            await self._parts.submit(batch, part, context)

    async def _run_here(self, batch: Batch, part: Part, context: RequestContext) -> None:
        """Ask for the lines of a part one by one."""
        plugin = self._surfaces[batch.surface].plugin(batch)

        async def answer(body: Body) -> bytes | None:
            own = self.context(batch, context.client)
            try:
                data = await plugin.answer_body(body, own)
                batch.note(noted(body, own))
                return data
            finally:
                own.memory.release()

        async def stops() -> bool:
            if self._services.draining() or not self._may_ask(batch):
                return True
            return await self._is_cancelled(batch)

        await self._here.run(batch, part, answer, stops)
        if part.state != "done" and batch.status == "cancelling":
            part.state, part.outcome = "done", "CANCELLED"
        await to_thread(self.store.save, batch, [part])

    def _may_ask(self, batch: Batch) -> bool:
        """Return whether anything more may be asked for: not with an issued key that is revoked or has expired.

        Such a batch waits until it expires: the key may come back with the next reading of the keys.
        """
        if not batch.client:
            return True
        try:
            self._services.holder(batch.client)
        except Unauthorized:
            return False
        return True

    async def _is_cancelled(self, batch: Batch) -> bool:
        """Return whether the client has asked for the batch's end, since it was read or before."""
        now = await to_thread(self.store.get, batch.id)
        return now is None or now.cancel_at > 0

    async def _is_over(self, batch: Batch) -> bool:
        return all(part.state == "done" for part in await to_thread(self.store.parts, batch))

    async def _finish(self, batch: Batch, surface: BatchSurface, context: RequestContext) -> None:
        """Write the results, and end the batch."""
        parts = await to_thread(self.store.parts, batch)
        try:
            await surface.finish(batch, parts, context)
        except GatewayError as error:
            if error.status >= 500:
                raise
            batch.details.errors = [LineError(error.code or "results_not_kept", error.message)]
            await self._enter(batch, "failed")
        else:
            await self._enter(batch, _end(batch, parts))
        await to_thread(self.store.drop_files, batch, parts)

    async def _enter(self, batch: Batch, status: Status, parts: Sequence[Part] = ()) -> None:
        batch.enter(status, time())
        await to_thread(self.store.save, batch, parts)
        self._services.count(status)
        notes = batch.details.notes
        if notes and status in ENDED:
            self._services.count("noted")
        _log.info(
            "batch_%s is %s (%s, %d lines, %d answered, %d failed%s)",
            batch.id, status, batch.endpoint, batch.total, batch.completed, batch.failed,
            "".join(f", {count} with the note {name}" for name, count in notes.items()),
        )  # fmt: skip


def _end(batch: Batch, parts: Sequence[Part]) -> Status:
    """Return the last state of a batch with written results, and note why it has failed."""
    outcomes = {part.outcome for part in parts}
    if batch.status == "cancelling" or outcomes == {"CANCELLED"}:
        return "cancelled"
    if outcomes == {"EXPIRED"}:
        return "expired"
    if outcomes == {"FAILED"} and not batch.completed:
        words = [part.message or "Google could not run this batch." for part in parts]
        batch.details.errors = [LineError("batch_failed", message) for message in dict.fromkeys(words)]
        return "failed"
    return "completed"
