"""Lines of a batch: its whole file is checked, then each line becomes requests, which are written to their parts.

Nothing is sent before all lines are known to be good. Files are read in a thread, a piece at a time.
"""

import os
from asyncio import sleep, to_thread
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct, field

from gateway.errors import BadRequest, GatewayError
from gateway.exchange.batches.charges import Charges
from gateway.exchange.batches.google import request_line
from gateway.exchange.batches.lines import LEFT_OUT, BatchLine, noted
from gateway.exchange.context import RequestContext
from gateway.exchange.incoming.request_body import COPIES, Body
from gateway.policy.clients.kept_batches import Batch, Line, LineError, Part
from gateway.policy.load.memory import LARGE

if TYPE_CHECKING:
    from gateway.store.batches.batch_store import BatchStore

MOST_ERRORS = 100
"""Errors of a batch that its client is shown."""
_MOST_PARTS = 100
_PIECE = 100
"""Lines that are read, and written, at once."""
_PIECE_BYTES = 2**20

_LEFT_OUT = (*LEFT_OUT, "service_tier")
"""Google's batches have a tier of their own."""


class RawLine(Struct, frozen=True):
    """One line of a batch, before it is understood."""

    number: int
    """Counted from 0."""
    custom_id: str
    body: bytes


class Lines(Protocol):
    """The lines of a surface's batch."""

    keeps_bad_lines: bool
    """A line that cannot be asked for is an error of its own, not of the whole batch."""

    most_requests: int
    """Requests of all lines together; 0 for any number."""

    def faults(self) -> list[LineError]:
        """Return the first faults of the file, in the order of its lines. Blocks."""

    def read(self) -> Iterator[RawLine]:
        """Yield the lines of a file without faults. Blocks."""


class LineReader:
    """Makes the parts of one batch."""

    def __init__(self, store: "BatchStore", charges: Charges, batch: Batch, *, here: bool) -> None:
        """`here`: lines are answered by the gateway itself, one by one."""
        self._store = store
        self._charges = charges
        self._batch = batch
        self._here = here
        self._parts: dict[tuple[str, str, str], Part] = {}
        self._requests = 0
        self.errors: list[LineError] = []

    async def run(
        self,
        lines: Lines,
        translate: Callable[[Body, RequestContext], Awaitable[BatchLine | None]],
        context: RequestContext,
        render: Callable[[GatewayError], bytes],
    ) -> list[Part]:
        """Return the parts of a batch; none if there are `errors`. Raises errors that are no fault of a line."""
        self._batch.details.notes = {}
        self.errors = await to_thread(lines.faults)
        if self.errors:
            return []
        await to_thread(self._store.begin, self._batch)
        reader, total = lines.read(), 0
        while raw := await to_thread(_piece, reader):
            kept = [await self._line(each, lines, translate, context, render) for each in raw]
            await to_thread(self._write, kept)
            total += len(kept)
            if len(self.errors) >= MOST_ERRORS:
                break
        self._batch.total = total
        if self.errors and not lines.keeps_bad_lines:
            return []
        return list(self._parts.values())

    async def _line(
        self,
        raw: RawLine,
        lines: Lines,
        translate: Callable[[Body, RequestContext], Awaitable[BatchLine | None]],
        context: RequestContext,
        render: Callable[[GatewayError], bytes],
    ) -> "_Kept":
        """Return a line and its requests, or with its error."""
        await sleep(0)  # other requests have their turn between any two lines
        try:
            line = await self._translated(raw, translate, context)
            part = await self._part(line)
        except GatewayError as error:
            if error.status == 429 or error.status >= 500:
                raise  # no fault of the line: it is read again later
            if lines.keeps_bad_lines:
                return _Kept(Line(raw.number, raw.custom_id, "", error=render(error)))
            code = error.code or "invalid_request"
            self.errors.append(LineError(code, error.message, raw.number + 1, error.param))
            return _Kept(Line(raw.number, raw.custom_id, "", error=b"{}"))
        self._requests += len(line.requests)
        if 0 < lines.most_requests < self._requests:
            message = f"The lines of this batch ask for more than {lines.most_requests} answers together."
            self.errors.append(LineError("too_many_requests", message, raw.number + 1))
        several = len(line.requests) > 1
        part.calls += len(line.requests)
        micros, tokens = self._charges.most(line.model, line.most)
        part.micros, part.tokens = part.micros + micros, part.tokens + tokens
        keys = [f"{raw.number}.{i}" if several else str(raw.number) for i in range(len(line.requests))]
        requests = [request_line(key, request) for key, request in zip(keys, line.requests, strict=True)]
        part.size += sum(map(len, requests))
        return _Kept(Line(raw.number, raw.custom_id, part.id, len(requests), line.context), requests)

    async def _translated(
        self,
        raw: RawLine,
        translate: Callable[[Body, RequestContext], Awaitable[BatchLine | None]],
        context: RequestContext,
    ) -> BatchLine:
        data = raw.body
        if context.hooks is not None:
            data = await context.hooks.request(data, context) or data
        body, held = Body(data), len(data) * COPIES if len(data) > LARGE else 0
        context.memory.take(held)
        context.report.notes = None
        try:
            line = await translate(body, context)
        finally:
            context.memory.give(held)
        if self._here or line is None:
            return BatchLine("here", line.model if line is not None else "", [data], b"", [])
        self._batch.note(noted(body, context, _LEFT_OUT))
        return line

    async def _part(self, line: BatchLine) -> Part:
        """Return the part of a method, a model and a project, as `run` returns it in the end.

        Raises BadRequest for one more than a batch may have: each is a batch of Google's.
        """
        key = (line.method, "" if line.method == "here" else line.model, line.project)
        if (part := self._parts.get(key)) is None:
            number = len(self._parts)
            if number >= _MOST_PARTS:
                raise BadRequest(f"The lines of a batch name at most {_MOST_PARTS} models.", param="model")
            name = f"batch_{self._batch.id}-{number}"
            part = Part(
                name, self._batch.id, number, line.method, line.model, line.project, bool(line.project)
            )
            await to_thread(self._store.requests(name).unlink, missing_ok=True)
            self._parts[key] = part
        return part

    def _write(self, kept: Sequence["_Kept"]) -> None:
        by_part: dict[str, list[bytes]] = {}
        for line in kept:
            by_part.setdefault(line.line.part, []).extend(line.requests)
        for part, requests in by_part.items():
            if requests:
                with self._store.requests(part).open("ab") as file:
                    file.writelines(requests)
                    file.flush()
                    os.fsync(file.fileno())
        self._store.add_lines(self._batch, [line.line for line in kept])


class _Kept(Struct):
    line: Line
    requests: list[bytes] = field(default_factory=list)


def _piece(lines: Iterator[RawLine]) -> list[RawLine]:
    """Return the next lines, as many as are translated before the others are read."""
    result, size = [], 0
    for line in islice(lines, _PIECE):
        result.append(line)
        size += len(line.body)
        if size > _PIECE_BYTES:
            break
    return result
