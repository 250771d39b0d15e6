"""The database of the batch store: schema and queries."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from gateway.policy.clients.kept_batches import ENDED, Answer, Batch, BatchPage, Details, Line, Part
from gateway.store.sqlite_database import Run, SqliteDatabase

VERSION = 1
_SCHEMA = (
    """CREATE TABLE batch (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, scope TEXT NOT NULL,
       client TEXT NOT NULL, surface TEXT NOT NULL, endpoint TEXT NOT NULL, created_at INTEGER NOT NULL,
       expires_at INTEGER NOT NULL, status TEXT NOT NULL, total INTEGER NOT NULL, completed INTEGER NOT NULL,
       failed INTEGER NOT NULL, next_look REAL NOT NULL, looks INTEGER NOT NULL, details BLOB NOT NULL,
       cancel_at REAL NOT NULL DEFAULT 0)""",
    "CREATE INDEX batch_scope ON batch (scope, surface, number)",
    "CREATE INDEX batch_status ON batch (status)",
    "CREATE TABLE part (id TEXT PRIMARY KEY, batch TEXT NOT NULL, number INTEGER NOT NULL, data BLOB NOT NULL)",
    "CREATE INDEX part_batch ON part (batch, number)",
    """CREATE TABLE line (batch TEXT NOT NULL, number INTEGER NOT NULL, custom_id TEXT NOT NULL, part TEXT NOT NULL,
       choices INTEGER NOT NULL, context BLOB NOT NULL, error BLOB NOT NULL, PRIMARY KEY (batch, number))
       WITHOUT ROWID""",
    """CREATE TABLE answer (batch TEXT NOT NULL, line INTEGER NOT NULL, choice INTEGER NOT NULL,
       offset INTEGER NOT NULL, size INTEGER NOT NULL, ok INTEGER NOT NULL, PRIMARY KEY (batch, line, choice))
       WITHOUT ROWID""",
)  # fmt: skip
_COLUMNS = (
    "id, scope, client, surface, endpoint, created_at, expires_at, status, total, completed, failed, next_look, "
    "looks, details"
)
_BATCH = f"{_COLUMNS}, number, cancel_at"
_LINE = "number, custom_id, part, choices, context, error"
_MANY = 500
"""Lines that are read at once."""
_encode = msgspec.msgpack.Encoder().encode
_decode_details = msgspec.msgpack.Decoder(Details).decode
_decode_part = msgspec.msgpack.Decoder(Part).decode
_LIVE = f"status NOT IN ({', '.join(repr(status) for status in ENDED)})"


class BatchDatabase(SqliteDatabase):
    """Rows of batches, parts, lines and answers."""

    def __init__(self, path: Path) -> None:
        """Open or create the database. Raises sqlite3.Error, OSError, and ValueError for a newer gateway's."""
        super().__init__(path, _SCHEMA, VERSION)

    def insert(self, batch: Batch, most: int = 1_000_000) -> int | None:
        """Insert a batch. Return its number, or None if `most` batches of its client have not ended."""
        values = _values(batch)
        marks = ",".join("?" * len(values))
        live = f"SELECT COUNT(*) FROM batch WHERE scope = ? AND {_LIVE}"  # noqa: S608
        statement = f"INSERT INTO batch ({_COLUMNS}) SELECT {marks} WHERE ({live}) < ? RETURNING number"
        rows = self.query(statement, *values, batch.scope, most)
        return int(rows[0][0]) if rows else None

    def batches(self, where: str, *values: object) -> list[Batch]:
        """Return the batches for a condition, with what may follow it."""
        rows = self.query(f"SELECT {_BATCH} FROM batch WHERE {where}", *values)  # noqa: S608
        return [_batch(row) for row in rows]

    def live(self) -> list[Batch]:
        """Return the batches of issued keys that have not ended, the oldest first."""
        return self.batches(f"client != '' AND {_LIVE} ORDER BY number")

    def page(self, scope: str, surface: str, page: BatchPage) -> list[Batch]:
        """Return a client's batches."""
        sign, order = (">", "ASC") if page.up else ("<", "DESC")
        return self.batches(
            f"scope = ? AND surface = ? AND (? IS NULL OR number {sign} ?) ORDER BY number {order} LIMIT ?",
            scope, surface, page.beyond, page.beyond, page.limit,
        )  # fmt: skip

    def parts(self, batch: str) -> list[Part]:
        """Return the parts of a batch."""
        rows = self.query("SELECT data FROM part WHERE batch = ? ORDER BY number", batch)
        return [_decode_part(row[0]) for row in rows]

    def queued(self, part: Part) -> Counter[str]:
        """Return the most tokens of the other parts of its model that have not ended, by project."""
        rows = self.query(
            f"SELECT data FROM part WHERE id != ? AND batch IN (SELECT id FROM batch WHERE {_LIVE})",  # noqa: S608
            part.id,
        )
        tokens = Counter[str]()
        for other in (_decode_part(row[0]) for row in rows):
            if other.project and other.model == part.model and other.state != "done":
                tokens[other.project] += other.tokens
        return tokens

    def lines(self, batch: str) -> Iterator[tuple[Line, list[Answer]]]:
        """Yield the lines of a batch with their answers, in the order of its file."""
        beyond = -1
        while rows := self.query(
            f"SELECT {_LINE} FROM line WHERE batch = ? AND number > ? ORDER BY number LIMIT {_MANY}",  # noqa: S608
            batch, beyond,
        ):  # fmt: skip
            lines = [Line(*row) for row in rows]
            answers = self._answers(batch, lines[0].number, lines[-1].number)
            for line in lines:
                yield line, answers.get(line.number, [])
            beyond = lines[-1].number

    def _answers(self, batch: str, first: int, last: int) -> dict[int, list[Answer]]:
        rows = self.query(
            "SELECT line, choice, offset, size, ok FROM answer WHERE batch = ? AND line BETWEEN ? AND ? "
            "ORDER BY line, choice",
            batch, first, last,
        )  # fmt: skip
        result: dict[int, list[Answer]] = {}
        for line, choice, offset, size, ok in rows:
            result.setdefault(line, []).append(Answer(line, choice, offset, size, bool(ok)))
        return result


def save_batch(run: Run, batch: Batch) -> None:
    """Write the columns of a batch that may have changed."""
    values = dict(zip(_COLUMNS.split(", "), _values(batch), strict=True))
    run(
        "UPDATE batch SET status = ?, total = ?, completed = ?, failed = ?, next_look = ?, looks = ?, details = ? "
        "WHERE id = ?",
        *(values[name] for name in ("status", "total", "completed", "failed", "next_look", "looks", "details", "id")),
    )  # fmt: skip


def save_part(run: Run, part: Part) -> None:
    """Write a part."""
    run(
        "INSERT OR REPLACE INTO part (id, batch, number, data) VALUES (?, ?, ?, ?)",
        part.id, part.batch, part.number, _encode(part),
    )  # fmt: skip


def insert_lines(run: Run, batch: str, lines: Iterable[Line]) -> None:
    """Insert lines."""
    for line in lines:
        run(
            f"INSERT INTO line (batch, {_LINE}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
            batch, line.number, line.custom_id, line.part, line.choices, line.context, line.error,
        )  # fmt: skip


def insert_answers(run: Run, batch: str, answers: Iterable[Answer]) -> None:
    """Insert answers. One that is there already is replaced."""
    for answer in answers:
        run(
            "INSERT OR REPLACE INTO answer (batch, line, choice, offset, size, ok) VALUES (?, ?, ?, ?, ?, ?)",
            batch, answer.line, answer.choice, answer.offset, answer.size, answer.ok,
        )  # fmt: skip


def delete_lines(run: Run, batch: str) -> list[str]:
    """Delete parts, lines and answers of a batch. Return the ids of the parts."""
    run("DELETE FROM line WHERE batch = ?", batch)
    run("DELETE FROM answer WHERE batch = ?", batch)
    return [row[0] for row in run("DELETE FROM part WHERE batch = ? RETURNING id", batch)]


def _values(batch: Batch) -> tuple[Any, ...]:
    return (*msgspec.structs.astuple(batch)[:-3], _encode(batch.details))


def _batch(row: tuple[Any, ...]) -> Batch:
    fields = (*row[:-3], _decode_details(row[-3]), *row[-2:])
    return Batch(*fields)
