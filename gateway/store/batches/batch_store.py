"""Batches of clients: rows in a database, and beside it the requests of each part and the answers to them.

A row is written after the file that it needs is on disk. A process that is killed leaves rows that say what was begun:
another one goes on from there. Processes that share the folder (blue and green) share the batches, and take a batch's
lock while they change it.
"""

import fcntl
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from gateway.errors import RateLimited
from gateway.policy.clients.kept_batches import Answer, Batch, BatchPage, Line, Part, Surface
from gateway.store.batches.database import (
    BatchDatabase,
    delete_lines,
    insert_answers,
    insert_lines,
    save_batch,
    save_part,
)

_UNNAMED = 3600
"""Seconds after which a file that no row names was left by a process that is gone."""
_NAME = re.compile(
    r"((?:batch_)?[0-9a-f]{24}(?:-[0-9]+)?)\.(?:requests|answers|started|download|input|results|lock|new)",
    re.ASCII,
)
"""The name of a file of the store's. The configuration may name a folder that has others' files, too."""


class BatchStore:
    """All methods block: call them in a thread."""

    def __init__(self, folder: Path) -> None:
        """Open the store. Raises OSError, sqlite3.Error and ValueError for a folder that cannot be used."""
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.database = BatchDatabase(folder / "batches.db")

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def add(self, batch: Batch, most: int = 1_000_000) -> None:
        """Store a batch, and number it. Raises RateLimited if `most` batches of its client have not ended."""
        number = self.database.insert(batch, most)
        if number is None:
            raise RateLimited(
                f"This client has {most} batches that have not ended, and may not have more: wait for one, or cancel "
                "one.",
                should_retry=False,
            )
        batch.number = number

    def find(self, scope: str, surface: Surface, identifier: str) -> Batch | None:
        """Return a client's batch, or None."""
        rows = self.database.batches("scope = ? AND surface = ? AND id = ?", scope, surface, identifier)
        return rows[0] if rows else None

    def get(self, identifier: str) -> Batch | None:
        """Return the batch of an id, whoever's it is."""
        rows = self.database.batches("id = ?", identifier)
        return rows[0] if rows else None

    def live(self) -> list[Batch]:
        """Return the batches of issued keys that have not ended, the oldest first."""
        return self.database.live()

    def page(self, scope: str, surface: Surface, page: BatchPage) -> list[Batch]:
        """Return a client's batches."""
        return self.database.page(scope, surface, page)

    def parts(self, batch: Batch) -> list[Part]:
        """Return the parts of a batch."""
        return self.database.parts(batch.id)

    def queued(self, part: Part) -> Counter[str]:
        """Return the most tokens of the other parts of its model that have not ended, by project."""
        return self.database.queued(part)

    def lines(self, batch: Batch) -> Iterator[tuple[Line, list[Answer]]]:
        """Yield the lines of a batch with their answers, in the order of its file."""
        return self.database.lines(batch.id)

    def begin(self, batch: Batch) -> None:
        """Forget parts, lines and answers that a killed process has made, before the lines are read again."""
        with self.database.transaction() as run:
            parts = delete_lines(run, batch.id)
        self._remove(parts)

    def add_lines(self, batch: Batch, lines: Sequence[Line]) -> None:
        """Store lines."""
        with self.database.transaction() as run:
            insert_lines(run, batch.id, lines)

    def save(self, batch: Batch, parts: Sequence[Part] = (), answers: Sequence[Answer] = ()) -> None:
        """Write a batch, parts and answers, together."""
        with self.database.transaction() as run:
            save_batch(run, batch)
            for part in parts:
                save_part(run, part)
            insert_answers(run, batch.id, answers)

    def cancel(self, batch: Batch, now: float) -> None:
        """Note that a batch's client asks for its end. Whoever works on the batch sees it before the next step."""
        self.database.query(
            "UPDATE batch SET cancel_at = ?, next_look = 0 WHERE id = ? AND cancel_at = 0", now, batch.id
        )

    def delete(self, batch: Batch) -> None:
        """Delete a batch and all that is kept of it."""
        with self.database.transaction() as run:
            parts = delete_lines(run, batch.id)
            run("DELETE FROM batch WHERE id = ?", batch.id)
        self._remove(parts)
        for path in (self.input(batch), self.results(batch), self._lock(batch)):
            path.unlink(missing_ok=True)

    def drop_files(self, batch: Batch, parts: Sequence[Part]) -> None:
        """Delete the lines of a batch that has ended, and the requests and answers of its parts."""
        self._remove([part.id for part in parts])
        self.input(batch).unlink(missing_ok=True)

    def requests(self, part: str) -> Path:
        """Return where the requests of a part are: JSON lines, each with a `key`."""
        return self.folder / f"{part}.requests"

    def answers(self, part: str) -> Path:
        """Return where the answers to a part are."""
        return self.folder / f"{part}.answers"

    def started(self, part: str) -> Path:
        """Return where the lines of a part are marked that the gateway asks for itself."""
        return self.folder / f"{part}.started"

    def input(self, batch: Batch) -> Path:
        """Return where the lines of a batch are that came in the body of a request."""
        return self.folder / f"{batch.id}.input"

    def results(self, batch: Batch) -> Path:
        """Return where the results of a batch are that has no files of its client's."""
        return self.folder / f"{batch.id}.results"

    @contextmanager
    def locked(self, batch: Batch) -> Iterator[bool]:
        """Hold the lock of a batch; False where another task or process holds it. It ends with its process."""
        with self._lock(batch).open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True

    def sweep(self, now: float, ended_before: float) -> int:
        """Delete batches that ended long ago, and files that a killed process has left. Return the former's number."""
        old = self.database.batches("expires_at <= ?", ended_before)
        for batch in old:
            self.delete(batch)
        self._remove_strays(now)
        return len(old)

    def _lock(self, batch: Batch) -> Path:
        return self.folder / f"{batch.id}.lock"

    def _remove(self, parts: Sequence[str]) -> None:
        for part in parts:
            self.requests(part).unlink(missing_ok=True)
            self.answers(part).unlink(missing_ok=True)
            self.started(part).unlink(missing_ok=True)
            self.folder.joinpath(f"{part}.download").unlink(missing_ok=True)

    def _remove_strays(self, now: float) -> None:
        rows = self.database.query("SELECT id FROM batch UNION ALL SELECT id FROM part")
        known = {row[0] for row in rows}
        for entry in os.scandir(self.folder):
            name = _NAME.fullmatch(entry.name)
            if name is None or name[1] in known:
                continue
            with suppress(FileNotFoundError):
                if entry.stat().st_mtime < now - _UNNAMED:
                    os.unlink(entry.path)
