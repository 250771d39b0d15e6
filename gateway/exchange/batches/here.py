"""Lines that the gateway answers itself, one by one: where Google has no batch, or the configuration asks for it.

Each line is marked before it is asked for, and its answer is written down before the next one is. After a restart the
lines without a mark are asked for. One with a mark and no answer ends in an error, because it may have been paid for.
"""

import asyncio
import os
from asyncio import to_thread
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from gateway.errors import BudgetExceeded, GatewayError, RateLimited, forget_frames
from gateway.exchange.batches.google import requests
from gateway.exchange.batches.started_lines import StartedLines
from gateway.exchange.incoming.request_body import Body
from gateway.policy.clients.kept_batches import Answer, Batch, Part

if TYPE_CHECKING:
    from gateway.store.batches.batch_store import BatchStore

_AT_ONCE = 4
"""Lines that are asked for at the same time."""
_TRIES = 8
"""Attempts at a line that a limit refuses."""
_LONGEST = 60.0
"""Seconds between two of them, at most."""


class _KeptError(Struct):
    """The error of a line."""

    status: int
    message: str
    type: str
    code: str | None
    param: str | None


_encode = msgspec.json.Encoder().encode
_decode_error = msgspec.json.Decoder(_KeptError).decode
_INTERRUPTED = _encode(_KeptError(
    500, "The gateway was stopped while this line was asked for. The line may have been paid for, and is not asked for "
    "again: send it once more if you need its answer.", type="server_error", code="batch_line_interrupted", param=None,
))  # fmt: skip


def read_error(data: bytes) -> GatewayError:
    """Return the error that `Here` has kept."""
    kept = _decode_error(data)
    return GatewayError(kept.message, status=kept.status, type=kept.type, code=kept.code, param=kept.param)


class Here:
    """Answers lines by the gateway's own surfaces."""

    def __init__(self, store: "BatchStore") -> None:
        self._store = store

    async def run(
        self,
        batch: Batch,
        part: Part,
        answer: Callable[[Body], Awaitable[bytes | None]],
        stops: Callable[[], Awaitable[bool]],
    ) -> None:
        """Answer the lines of a part that have no answer yet, until all are answered or `stops` says so."""
        done = await to_thread(self._answered, batch)
        lines = requests(self._store.requests(part.id))
        part.succeeded, part.failed = sum(done.values()), len(done) - sum(done.values())
        part.state = "sent"
        started = StartedLines(self._store.started(part.id))
        for number in sorted(await to_thread(started.read) - done.keys()):
            await to_thread(self._keep, batch, part, number, _INTERRUPTED, ok=False)
            done[number] = False
        lock, reading = asyncio.Lock(), asyncio.Lock()

        async def work() -> None:
            while not await stops():
                async with reading:  # a generator cannot be advanced by two threads at once
                    line = await to_thread(_next, lines, done)
                if line is None:
                    return
                number, body = line
                ok, data = await _answer(number, body, answer, started)
                async with lock:
                    await to_thread(self._keep, batch, part, number, data, ok=ok)

        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(work())
        if part.succeeded + part.failed >= part.calls:
            part.state, part.outcome = "done", "SUCCEEDED"

    def _answered(self, batch: Batch) -> dict[int, bool]:
        """Return the numbers of the lines that have an answer, and whether it is none of an error."""
        return {line.number: answers[0].ok for line, answers in self._store.lines(batch) if answers}

    def _keep(self, batch: Batch, part: Part, number: int, data: bytes, *, ok: bool) -> None:
        with self._store.answers(part.id).open("ab") as file:
            offset = file.tell()
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.succeeded, part.failed = part.succeeded + ok, part.failed + (not ok)
        batch.completed, batch.failed = batch.completed + ok, batch.failed + (not ok)
        self._store.save(batch, [part], [Answer(number, 0, offset, len(data), ok)])


async def _answer(
    number: int, body: bytes, answer: Callable[[Body], Awaitable[bytes | None]], started: StartedLines
) -> tuple[bool, bytes]:
    error = GatewayError("These requests cannot be lines of a batch.", status=400)
    for attempt in range(_TRIES):
        await to_thread(started.begin, number)
        try:
            data = await answer(Body(body))
        except RateLimited as limited:
            error = forget_frames(limited)
            if isinstance(limited, BudgetExceeded) or limited.should_retry is False:
                break
            await to_thread(started.withdraw, number)
            await asyncio.sleep(min(_LONGEST, limited.retry_after or 2.0**attempt))
        except GatewayError as refusal:
            error = forget_frames(refusal)
            break
        else:
            if data is not None:
                return True, data
            break
    return False, _encode(_KeptError(error.status, error.message, error.type, error.code, error.param))


def _next(lines: Iterator[tuple[str, bytes]], done: dict[int, bool]) -> tuple[int, bytes] | None:
    """Return number and body of the next line without an answer."""
    for key, body in lines:
        if int(key) not in done:
            return int(key), body
    return None
