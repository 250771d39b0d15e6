"""Files of clients: bytes in a folder, rows in a database beside them.

The bytes are on disk before the row is, and a row is gone before its bytes are: a process that is killed in between
leaves bytes without a row, which `sweep` removes, and never a row without bytes. Processes that share the folder (blue
and green) share the files.
"""

import hashlib
import os
import re
import secrets
import shutil
import sqlite3
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from gateway.errors import BadRequest, NotFound, TooLarge
from gateway.policy.clients.kept_files import FileCopy, FileLimits, NewFile, StoredFile, Upload, ended
from gateway.store.disk_space import check_space, refusal
from gateway.store.files.database import FileDatabase, check_room, insert_file

Write = Callable[[IO[bytes]], None]
"""Writes bytes to an open file."""
_NAME = re.compile(r"(?:new-)?[0-9a-f]{24}", re.ASCII)
"""The name of the bytes of a file. The configuration may name a folder that has others' files, too."""
_UNNAMED = 3600
"""Seconds after which bytes without a row were left by a process that is gone."""
_COPY = 1024 * 1024
_KEPT_UPLOADS = 24 * 3600
"""Seconds for which an upload that has ended can be read."""


def no_room(reason: str) -> TooLarge:
    """Return the error of a client whose files take all that it may store."""
    return TooLarge(reason, code="storage_quota_exceeded")


class FileStore:
    """All methods block: call them in a thread."""

    def __init__(self, folder: Path, limits: FileLimits) -> None:
        """Open the store. Raises OSError, sqlite3.Error and ValueError for a folder that cannot be used."""
        self.folder = folder
        self.limits = limits
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.database = FileDatabase(folder / "files.db")

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def path(self, identifier: str) -> Path:
        """Return where the bytes of a file or part are."""
        return self.folder / identifier

    def add(self, new: NewFile, write: Write) -> StoredFile:
        """Store a file. Raises TooLarge over the client's limits, and what `write` raises; nothing is left then."""
        identifier, size, sha256 = self._write(write)
        try:
            return self._insert(new, identifier, size, sha256)
        except BaseException as error:
            self._remove([identifier])
            if isinstance(error, sqlite3.Error):
                raise refusal(error) from None
            raise

    def find(self, scope: str, ids: Collection[str], now: float) -> dict[str, StoredFile]:
        """Return those of a client's files that exist, by id."""
        return {file.id: file for file in self.database.files(scope, ids, now)}

    def delete(self, file: StoredFile) -> list[FileCopy]:
        """Delete a file. Return the copies that Google keeps of it."""
        copies = self.database.copies(file.id)
        with self.database.transaction() as run:
            run("DELETE FROM file WHERE id = ?", file.id)
            run("DELETE FROM copy WHERE file = ?", file.id)
        self._remove([file.id])
        return copies

    def copy(self, file: str, project: str) -> FileCopy | None:
        """Return the copy that Google keeps in a project, or None."""
        return next((copy for copy in self.database.copies(file) if copy.project == project), None)

    def keep_copy(self, file: str, copy: FileCopy) -> None:
        """Store a copy, in place of another in the same project."""
        self.database.query(
            "INSERT OR REPLACE INTO copy (file, project, name, uri, expires, active) VALUES (?, ?, ?, ?, ?, ?)",
            file, copy.project, copy.name, copy.uri, copy.expires, copy.active,
        )  # fmt: skip

    def forget_copies(self, files: Collection[str], project: str) -> None:
        """Forget the copies in a project: Google has none."""
        with self.database.transaction() as run:
            for file in files:
                run("DELETE FROM copy WHERE file = ? AND project = ?", file, project)

    def begin(self, upload: Upload) -> None:
        """Store an upload. Raises TooLarge over the client's limits."""
        with self.database.transaction() as run:
            reason = check_room(run, upload.scope, upload.size, self.limits, upload.created_at)
            if upload.size > self.limits.each:
                raise TooLarge(self._too_large())
            if reason:
                raise no_room(reason)
            run(
                "INSERT INTO upload (id, scope, size, filename, mime_type, purpose, created_at, expires_at, status, "
                "lifetime) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'pending', ?)",
                upload.id, upload.scope, upload.size, upload.filename, upload.mime_type, upload.purpose,
                upload.created_at, upload.expires_at, upload.lifetime,
            )  # fmt: skip

    def upload(self, scope: str, identifier: str, now: float) -> Upload:
        """Return a client's upload. Raises NotFound."""
        upload = self.database.upload(scope, identifier)
        if upload is None:
            raise NotFound(
                f"No such Upload object: {identifier[:80]}", code="upload_not_found", param="upload_id"
            )
        if upload.status == "pending" and upload.expires_at <= now:
            self._end(upload.id, "expired")
            return self.upload(scope, identifier, now)
        return upload

    def add_part(self, upload: Upload, write: Write, now: float) -> str:
        """Store a part. Return its id. Raises BadRequest for an upload that has ended, and TooLarge."""
        identifier, size, _ = self._write(write)
        try:
            with self.database.transaction() as run:
                status = run("SELECT status FROM upload WHERE id = ?", upload.id)[0][0]
                sent = run("SELECT COALESCE(SUM(size), 0) FROM part WHERE upload = ?", upload.id)[0][0]
                reason = check_room(run, upload.scope, size, self.limits, now, more=0)
                if status != "pending":
                    raise ended(status)
                if sent + size > upload.size:
                    raise BadRequest(
                        f"The parts of this upload are larger than its {upload.size} bytes.", param="data"
                    )
                if reason:
                    raise no_room(reason)
                run("INSERT INTO part (id, upload, size) VALUES (?, ?, ?)", identifier, upload.id, size)
        except BaseException:
            self._remove([identifier])
            raise
        return identifier

    def complete(self, upload: Upload, parts: Sequence[str], new: NewFile, md5: str | None) -> StoredFile:
        """Join parts to a file. Raises BadRequest if they are not the announced bytes; the upload goes on then."""
        sizes = self.database.parts(upload.id)
        for i, part in enumerate(parts):
            if part not in sizes:
                raise BadRequest("This upload has no such part.", param=f"part_ids[{i}]", code="invalid_part")
            if part in parts[:i]:
                raise BadRequest("A part is named twice.", param=f"part_ids[{i}]", code="invalid_part")
        total = sum(sizes[part] for part in parts)
        if total != upload.size:
            raise BadRequest(
                f"The parts have {total} bytes, but the upload was announced with {upload.size}.",
                param="part_ids",
                code="size_mismatch",
            )
        identifier, size, sha256, checksum = self._join(parts)
        try:
            if md5 is not None and md5.lower() != checksum:
                raise BadRequest(
                    "The MD5 checksum of the parts is another.", param="md5", code="checksum_mismatch"
                )
            file = self._insert(new, identifier, size, sha256, upload)
        except BaseException:
            self._remove([identifier])
            raise
        self._remove(sizes)
        return file

    def cancel(self, upload: Upload) -> None:
        """End an upload and delete its parts. Raises BadRequest for one that has ended."""
        if upload.status != "pending":
            raise ended(upload.status)
        self._end(upload.id, "cancelled")

    def sweep(self, now: float) -> int:
        """Delete what has expired, and bytes that a killed process has left. Return the number of files."""
        with self.database.transaction() as run:
            gone = [row[0] for row in run("DELETE FROM file WHERE expires_at <= ? RETURNING id", now)]
            run("DELETE FROM copy WHERE file NOT IN (SELECT id FROM file) OR expires <= ?", now)
            late = [
                row[0]
                for row in run("SELECT id FROM upload WHERE status = 'pending' AND expires_at <= ?", now)
            ]
            run("DELETE FROM upload WHERE status != 'pending' AND expires_at <= ?", now - _KEPT_UPLOADS)
        self._remove(gone)
        for upload in late:
            self._end(upload, "expired")
        self._remove_strays(now)
        return len(gone)

    def _insert(
        self, new: NewFile, identifier: str, size: int, sha256: str, upload: Upload | None = None
    ) -> StoredFile:
        if size > self.limits.each:
            raise TooLarge(self._too_large())
        row = (
            identifier, new.scope, size, sha256, new.filename, new.mime_type, new.purpose, new.created_at,
            new.expires_at,
        )  # fmt: skip
        with self.database.transaction() as run:
            if upload is not None:
                ending = run(
                    "UPDATE upload SET status = 'completed', file = ? WHERE id = ? AND status = 'pending' RETURNING id",
                    identifier, upload.id,
                )  # fmt: skip
                if not ending:
                    raise ended("completed")
                run("DELETE FROM part WHERE upload = ?", upload.id)
            reason = check_room(run, new.scope, size, self.limits, new.created_at)
            if reason:
                raise no_room(reason)
            return StoredFile(insert_file(run, row), *row)

    def _too_large(self) -> str:
        return f"The file is larger than {self.limits.each} bytes."

    def _end(self, upload: str, status: str) -> None:
        with self.database.transaction() as run:
            run("UPDATE upload SET status = ? WHERE id = ? AND status = 'pending'", status, upload)
            parts = [row[0] for row in run("DELETE FROM part WHERE upload = ? RETURNING id", upload)]
        self._remove(parts)

    def _write(self, write: Write) -> tuple[str, int, str]:
        """Write bytes that are complete and on disk before they have their name. Return id, size and SHA-256."""
        identifier = secrets.token_hex(12)
        temporary = self.folder / f"new-{identifier}"
        check_space(self.folder, 0)
        try:
            with os.fdopen(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
                file.seek(0)
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                size = file.tell()
            os.replace(temporary, self.path(identifier))
        except BaseException as error:
            temporary.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise refusal(error) from None
            raise
        return identifier, size, digest

    def _join(self, parts: Sequence[str]) -> tuple[str, int, str, str]:
        """Write a file of all parts. Return id, size, SHA-256 and MD5."""

        def write(file: IO[bytes]) -> None:
            for part in parts:
                with self.path(part).open("rb") as source:
                    shutil.copyfileobj(source, file, _COPY)

        identifier, size, sha256 = self._write(write)
        with self.path(identifier).open("rb") as file:
            md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        return identifier, size, sha256, md5

    def _remove(self, identifiers: Collection[str]) -> None:
        for identifier in identifiers:
            self.path(identifier).unlink(missing_ok=True)

    def _remove_strays(self, now: float) -> None:
        known = {row[0] for row in self.database.query("SELECT id FROM file UNION ALL SELECT id FROM part")}
        for entry in os.scandir(self.folder):
            if _NAME.fullmatch(entry.name) is None or entry.name in known:
                continue
            with suppress(FileNotFoundError):
                if entry.stat().st_mtime < now - _UNNAMED:
                    os.unlink(entry.path)
