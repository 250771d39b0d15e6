"""Results of a batch's lines, in the order of its file: answers in the surface's format, or errors."""

import os
from asyncio import sleep, to_thread
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from gateway.errors import GatewayError
from gateway.exchange.batches.google import CANCELLED, line_error
from gateway.exchange.batches.here import read_error
from gateway.exchange.batches.lines import BatchMethods
from gateway.exchange.context import RequestContext
from gateway.gemini.usage import TokenCounts
from gateway.policy.clients.kept_batches import Answer, Batch, Line, Part

if TYPE_CHECKING:
    from gateway.store.batches.batch_store import BatchStore

_AT_ONCE = 50
"""Lines whose answers are read at once."""
_PIECE_BYTES = 2**22
"""Bytes of answers after which no more are read: those of pictures are large."""
Unanswered = Literal["cancelled", "expired"]


class LineResult(Struct, frozen=True):
    """The result of one line: a body, an error, or the reason for which it was not asked for."""

    custom_id: str
    body: bytes = b""
    counts: TokenCounts = TokenCounts()
    error: GatewayError | None = None
    refused: bytes = b""
    """The error of a line that could not be asked for, as its surface has written it."""
    unanswered: Unanswered | None = None


async def results(
    store: "BatchStore", batch: Batch, parts: Sequence[Part], plugin: BatchMethods, context: RequestContext
) -> AsyncIterator[LineResult]:
    """Yield the results of all lines. Raises GatewayError only for errors that are no fault of a line."""
    by_id = {part.id: part for part in parts}
    lines = store.lines(batch)
    while piece := await to_thread(_piece, store, lines):
        for line, answers in piece:
            await sleep(0)  # other requests have their turn between any two lines
            yield await _result(line, answers, by_id.get(line.part), plugin, context)


def _piece(
    store: "BatchStore", lines: Iterator[tuple[Line, list[Answer]]]
) -> list[tuple[Line, list[tuple[bool, bytes]]]]:
    """Return the next lines with their answers. Blocks."""
    result, files, size = [], dict[str, int](), 0
    try:
        for line, answers in islice(lines, _AT_ONCE):
            if answers and line.part not in files:
                files[line.part] = os.open(store.answers(line.part), os.O_RDONLY)
            data = [(answer.ok, os.pread(files[line.part], answer.size, answer.offset)) for answer in answers]
            result.append((line, data))
            size += sum(answer.size for answer in answers)
            if size > _PIECE_BYTES:
                break
    finally:
        for file in files.values():
            os.close(file)
    return result


async def _result(
    line: Line,
    answers: list[tuple[bool, bytes]],
    part: Part | None,
    plugin: BatchMethods,
    context: RequestContext,
) -> LineResult:
    if part is None:
        return LineResult(line.custom_id, refused=line.error)
    failure = next((data for ok, data in answers if not ok), None)
    if failure is not None:
        error = read_error(failure) if part.method == "here" else line_error(failure)
        if error.status == CANCELLED:
            return LineResult(line.custom_id, unanswered="cancelled")
        return LineResult(line.custom_id, error=error)
    if len(answers) < line.choices:
        if part.outcome in ("CANCELLED", "EXPIRED"):
            return LineResult(
                line.custom_id, unanswered="cancelled" if part.outcome == "CANCELLED" else "expired"
            )
        message = part.message or "Google has not answered this line."
        return LineResult(line.custom_id, error=GatewayError(message, code="batch_failed"))
    if part.method == "here":
        return LineResult(line.custom_id, answers[0][1])
    try:
        answer = await plugin.batch_answer(line.context, [data for _, data in answers], context)
    except GatewayError as error:
        return LineResult(line.custom_id, error=error)
    return LineResult(line.custom_id, answer.body, answer.counts)
