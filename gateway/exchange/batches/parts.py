"""One part of a batch at Google: submitted once, looked at until it has ended, and its answers kept.

A part is `submitting` before Google is asked to create it, under a display name of its own. If the answer never
arrives, or the process is killed, that name is looked for in Google's list before anything is submitted again.
"""

import asyncio
import logging
import mmap
import os
from asyncio import to_thread
from collections.abc import Iterator
from pathlib import Path
from time import time
from typing import TYPE_CHECKING

from gateway.errors import BudgetExceeded, GatewayError, NoUsableKey, RateLimited, UpstreamError, scrub
from gateway.exchange.batches.charges import Charges, Spent
from gateway.exchange.batches.google import INLINE, AnswerLine, GoogleBatch, read_batch, read_line, unreadable
from gateway.exchange.batches.remote import FEATURE, Remote
from gateway.exchange.calls.accounting import CallAccounting
from gateway.exchange.context import RequestContext
from gateway.exchange.ids import unique
from gateway.policy.clients.kept_batches import Answer, Batch, Part
from gateway.policy.pool.call_outcome import Limited, Rejected, outcome

if TYPE_CHECKING:
    from gateway.store.batches.batch_store import BatchStore

_AGAIN = 60.0
"""Seconds until a part is submitted again that every project has refused for its quota."""
_UNSURE = 10.0
"""Seconds until a part is looked for whose creation was not answered."""
_LONGEST = 2**28
"""Bytes of one answer in a file. What is longer is read in pieces, which are none."""
_WORDS = 2000
"""Characters of Google's words about a part that has failed."""
_Place = tuple[int, int]
"""Number of a line, and of its choice."""
_log = logging.getLogger("gateway.batches")


class Parts:
    """Parts of batches."""

    def __init__(self, store: "BatchStore", remote: Remote, accounting: CallAccounting) -> None:
        self._store = store
        self._remote = remote
        self._accounting = accounting
        self._charges = Charges(accounting)
        self._choosing = asyncio.Lock()

    async def submit(self, batch: Batch, part: Part, context: RequestContext) -> None:
        """Submit a part that waits, or find the one whose submission was not answered. Raises no GatewayError."""
        if part.retry_at > time():
            return
        try:
            if part.state == "submitting" and await self._find(batch, part, context):
                return
            while await self._choose(batch, part, context):
                if await self._create(batch, part, context):
                    break
        except GatewayError as error:
            if _is_final(error):
                fail(part, error)
            else:
                part.message, part.retry_at = error.message, time() + max(_UNSURE, error.retry_after or 0.0)
        await to_thread(self._store.save, batch, [part])

    async def _find(self, batch: Batch, part: Part, context: RequestContext) -> bool:
        """Return whether Google has a batch of the part's name. Raises GatewayError."""
        name = await self._remote.find(part, context)
        await self._charges.release(part, context, 0)
        part.state, part.name, part.intent = ("sent", name, unique("")) if name else ("waiting", "", "")
        await to_thread(self._store.save, batch, [part])
        if not name:
            return False
        _log.info("part %s was found at Google: its submission was not answered", part.id)
        try:
            await self._charges.reserve(part, context)
        except GatewayError as error:
            _log.warning("part %s goes on without a reservation: %s", part.id, error.message)
        return True

    async def _choose(self, batch: Batch, part: Part, context: RequestContext) -> bool:
        """Choose the project to ask: the one with the fewest tokens of the model in unfinished batches.

        Google bounds the tokens that a project has in its batches of a model
        (https://ai.google.dev/gemini-api/docs/rate-limits#batch-api). Return False if the part has to wait. Raises
        GatewayError.
        """
        client = context.client
        if not client.id:
            return True
        only = part.project if part.is_pinned else ""
        free = self._accounting.pool.free(part.model, time(), only=only, client=client.id, feature=FEATURE)
        names = [project.name for project in free if project.name not in part.tried]
        if not names:
            part.tried, part.retry_at = [], time() + _AGAIN
            return False
        if part.project not in names:
            async with self._choosing:
                queued = await to_thread(self._store.queued, part)
                part.project, part.upload = min(names, key=lambda name: queued[name]), ""
                await to_thread(self._store.save, batch, [part])
        return True

    async def _create(self, batch: Batch, part: Part, context: RequestContext) -> bool:
        """Submit a part to its project. Return False if another one is to be asked. Raises GatewayError."""
        requests = self._store.requests(part.id)
        try:
            if part.size >= INLINE and not part.upload:
                part.upload = await self._remote.upload(part, requests, context)
            part.state, part.intent = "submitting", unique("")
            await to_thread(self._store.save, batch, [part])
            await self._charges.reserve(part, context)
            created = await self._remote.create(part, requests, context)
        except GatewayError as error:
            if part.state == "submitting" and not _may_exist(error):
                part.state = "waiting"
                await self._charges.release(part, context, error.upstream_status or error.status)
            if context.client.id and error.upstream_status and isinstance(outcome(error), Limited | Rejected):
                part.tried.append(part.project)
                _log.info("project %s takes no batch now (part %s)", part.project, part.id)
                return False
            raise
        part.state, part.name, part.message = "sent", created.name, ""
        return True

    async def cancel(self, batch: Batch, part: Part, context: RequestContext) -> None:
        """Cancel a part. Google says later that it has. Raises GatewayError."""
        if part.state == "submitting" and not await self._find(batch, part, context):
            part.state = "waiting"
        if part.state == "waiting":
            part.state, part.outcome = "done", "CANCELLED"
            await to_thread(self._store.save, batch, [part])
        elif part.state == "sent":
            try:
                await self._remote.cancel(part, context)
            except GatewayError as error:
                if error.upstream_status is None or error.upstream_status >= 500:
                    raise
                _log.info("part %s cannot be cancelled: %s", part.id, error.message)

    async def look(self, batch: Batch, part: Part, context: RequestContext) -> None:
        """Look at a part that was sent, and keep its answers once it has ended. Raises GatewayError."""
        try:
            path = await self._remote.look(part, context)
        except GatewayError as error:
            if error.upstream_status not in (400, 403, 404) or isinstance(outcome(error), Rejected):
                raise
            fail(part, error)  # somebody has deleted it
            await self._charges.release(part, context, error.upstream_status)
            await to_thread(self._store.save, batch, [part])
            return
        google = await to_thread(_state, path)
        stats = google.metadata.batch_stats
        part.succeeded = max(0, min(part.calls, stats.successful_request_count))
        part.failed = max(0, min(part.calls, stats.failed_request_count))
        if not (state := google.state):
            return
        name = google.output.responses_file
        if name:
            path = await self._remote.download(part, name, context)
        answers, spent = await to_thread(self._keep, part, path, inline=not name)
        part.state, part.outcome = "done", state
        part.message = scrub(google.error.message[:_WORDS]) if google.error is not None else ""
        part.succeeded = sum(answer.ok for answer in answers)
        part.failed = len(answers) - part.succeeded
        await self._charges.charge(part, context, spent)
        await to_thread(self._store.save, batch, [part], answers)
        await to_thread(path.unlink, missing_ok=True)

    def _keep(self, part: Part, path: Path, *, inline: bool) -> tuple[list[Answer], Spent]:
        """Write the answers in Google's file to the part's. Return where they are, and their cost. Blocks."""
        target, answers, spent, offset = self._store.answers(part.id), dict[_Place, Answer](), Spent(), 0
        temporary = target.with_suffix(".new")
        with temporary.open("wb") as file:
            for line in _lines(path, inline=inline):
                place, response = _place(line.name), bytes(line.response)
                data = response or bytes(line.error) or bytes(line.status)
                if place is None or place in answers or not data:
                    continue
                if len(answers) >= part.calls:
                    break  # more answers than requests
                answers[place] = Answer(*place, offset, len(data), bool(response))
                offset += file.write(data)
                if response:
                    self._charges.add(spent, part, response)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
        return list(answers.values()), spent


def fail(part: Part, error: GatewayError) -> None:
    """End a part that cannot be asked for."""
    part.state, part.outcome, part.message = "done", "FAILED", error.message
    _log.warning("part %s has failed: %s", part.id, error.message)


def _is_final(error: GatewayError) -> bool:
    """Return whether an error of a submission will not go away."""
    if isinstance(error, BudgetExceeded | NoUsableKey):
        return True
    status = error.upstream_status
    if status is not None:
        is_refused = isinstance(outcome(error), Limited | Rejected)
        return 400 <= status < 500 and status not in (408, 499) and not is_refused
    return error.status < 500 and not isinstance(error, RateLimited)


def _may_exist(error: GatewayError) -> bool:
    """Return whether Google may have created a batch all the same."""
    status = error.upstream_status
    return isinstance(error, UpstreamError) and error.sent and (status is None or status >= 500)


def _state(path: Path) -> GoogleBatch:
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            raise unreadable()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            google = read_batch(data)
            google.forget_answers()
            return google


def _lines(path: Path, *, inline: bool) -> Iterator[AnswerLine]:
    """Yield the answers in a file of JSON lines, or in a batch."""
    with path.open("rb") as file:
        if not inline:
            while data := file.readline(_LONGEST):
                if (line := read_line(data)) is not None:
                    yield line
            return
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        listed = read_batch(mapped).output.inlined_responses
        for data in listed.inlined_responses if listed is not None else ():
            if (line := read_line(data)) is not None:
                yield line


def _place(key: str) -> _Place | None:
    """Return line and choice of a key; None for one that this gateway has not made."""
    line, _, choice = key.partition(".")
    if not (key.isascii() and line.isdigit() and (choice.isdigit() or not choice)) or len(key) > 16:
        return None
    return int(line), int(choice or 0)
