"""The results of a batch as OpenAI's two files: answers, and errors."""

import tempfile
from asyncio import to_thread
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from time import time
from typing import IO, TYPE_CHECKING

from msgspec import Raw

from gateway.errors import openai_error
from gateway.exchange.batches.results import LineResult
from gateway.exchange.ids import unique
from gateway.plugins.batches.wire import Answered, OutputLine, Unsent, encode
from gateway.policy.clients.kept_batches import Batch
from gateway.policy.clients.kept_files import NewFile

if TYPE_CHECKING:
    from gateway.store.files.file_store import FileStore

LIFE = 30 * 24 * 3600
"""Seconds for which the files are kept (https://platform.openai.com/docs/api-reference/batch/create)."""
_PIECE = 2**18
_UNSENT = {
    "cancelled": Unsent("batch_cancelled", "The batch was cancelled before this line was answered."),
    "expired": Unsent("batch_expired", "The batch has expired before this line was answered."),
}


async def write(
    batch: Batch,
    results: AsyncIterator[LineResult],
    files: "FileStore",
    save: Callable[[], None],
    folder: Path,
) -> None:
    """Write the results to files of the batch's client, and note them in the batch. Raises GatewayError.

    `save` keeps the batch; it is called in a thread. Temporary files are in `folder`.
    """
    usage = dict.fromkeys(("input", "cached", "output", "thoughts"), 0)
    written = {True: 0, False: 0}
    with _Lines(folder) as answers, _Lines(folder) as errors:
        async for result in results:
            ok = result.error is None and not result.refused and result.unanswered is None
            await (answers if ok else errors).add(_line(result))
            written[ok] += 1
            counts = result.counts
            usage["input"] += counts.input
            usage["cached"] += counts.cached
            usage["output"] += counts.output
            usage["thoughts"] += counts.thoughts
        await answers.flush()
        await errors.flush()
        batch.completed, batch.failed, batch.details.usage = written[True], written[False], usage
        if written[True] and batch.details.output_file is None:
            batch.details.output_file = await to_thread(_kept, batch, "output", answers.file, files)
            await to_thread(save)
        if written[False] and batch.details.error_file is None:
            batch.details.error_file = await to_thread(_kept, batch, "error", errors.file, files)
            await to_thread(save)


def _kept(batch: Batch, kind: str, file: IO[bytes], files: "FileStore") -> str:
    """Return the id of a new file of the client's. Blocks."""

    def copy(target: IO[bytes]) -> None:
        file.seek(0)
        while data := file.read(_PIECE):
            target.write(data)

    now = int(time())
    life = batch.details.output_life or LIFE
    name = f"batch_{batch.id}_{kind}.jsonl"
    new = NewFile(batch.scope, name, "application/jsonl", "batch_output", now, now + life)
    return f"file-{files.add(new, copy).id}"


def _line(result: LineResult) -> bytes:
    response, unsent = None, None
    if result.unanswered is not None:
        unsent = _UNSENT[result.unanswered]
    elif result.error is not None:
        body = Raw(openai_error(result.error))
        response = Answered(result.error.status, unique("req_"), body)
    else:
        response = Answered(200, unique("req_"), Raw(result.body))
    return encode(OutputLine(unique("batch_req_"), result.custom_id, response, unsent))


class _Lines:
    """Lines that are written to a temporary file, many at once."""

    def __init__(self, folder: Path) -> None:
        self.file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by `__exit__`
        self._lines: list[bytes] = []
        self._size = 0

    def __enter__(self) -> "_Lines":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    async def add(self, line: bytes) -> None:
        """Add a line."""
        self._lines += (line, b"\n")
        self._size += len(line)
        if self._size > _PIECE:
            await self.flush()

    async def flush(self) -> None:
        """Write the lines that are in memory."""
        data, self._lines, self._size = b"".join(self._lines), [], 0
        await to_thread(self.file.write, data)
