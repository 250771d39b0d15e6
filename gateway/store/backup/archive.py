"""The backup file: a tar of SQLite databases and of `manifest.json`, which has their versions and checksums.

Each database is copied by SQLite's backup API, so that a gateway may write meanwhile. The copy is the state of that
database at one moment. All functions block.
"""

import hashlib
import io
import os
import sqlite3
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from gateway.store.backup.tar_reader import TarReader
from gateway.store.sqlite_file import damage
from gateway.store.versions import copy_file, schema_version

FORMAT = 1
"""Version of the manifest."""
_MANIFEST = "manifest.json"
_MAX_MANIFEST = 2**20
_MAX_BYTES = 2**36
"""Of all databases of a backup. Larger ones belong into PostgreSQL."""
_OVERHEAD = 2**17
"""Bytes of a tar for each file that are not its contents: headers, and what fills up the last block."""


class BackupError(Exception):
    """A backup cannot be made, read or restored. The text says why, in one line, and what to do."""


class StoreFile(Struct, frozen=True):
    """A SQLite file of the configuration."""

    name: str
    """Name in a backup: `ledger`, `signatures`, `responses`, `answers`, `file_owners`, `pool` or `plugin-NAME`."""
    contents: str
    """For people."""
    path: Path
    supported: int
    """Version of the schema that this gateway writes."""

    @property
    def is_ledger(self) -> bool:
        """Whether it is the ledger; all others have the schema of state."""
        return self.name == "ledger"

    def version(self) -> int:
        """Return the version of the file's schema. Raises sqlite3.Error if it cannot be read."""
        return schema_version(self.path, is_ledger=self.is_ledger)


class Entry(Struct, frozen=True):
    """A database in a backup."""

    store: str
    file: str
    """Name in the tar."""
    schema: int
    bytes: Annotated[int, Meta(ge=0)]
    sha256: str


class Manifest(Struct, frozen=True):
    """Contents of a backup."""

    format: int
    gateway: str
    """Version of the program that wrote it."""
    created: str
    """UTC, as in RFC 3339."""
    stores: list[Entry]
    not_included: list[str] = []
    """Sentences about what is not in the file, each with the command that copies it."""


def write(target: Path, files: Sequence[StoreFile], gateway: str, created: str, notes: list[str]) -> Manifest:
    """Write a backup of those files that exist, readable for its owner alone, and return its manifest.

    Raises BackupError if `target` exists, or if a file cannot be copied or is corrupt. Then nothing is written.
    """
    try:
        with (
            _reserved(target),
            TemporaryDirectory(prefix=".gateway-backup-", dir=target.absolute().parent) as folder,
        ):
            copied = (_copy(file, Path(folder)) for file in files if file.path.exists())
            entries = [entry for entry in copied if entry.schema]  # a file without tables has nothing to lose
            if not entries:
                raise BackupError("there is nothing to back up: none of the files exists yet")
            if (size := sum(entry.bytes for entry in entries)) > _MAX_BYTES:
                raise BackupError(
                    f"the databases have {size} bytes, and a backup has at most {_MAX_BYTES}: copy the files"
                )
            manifest = Manifest(FORMAT, gateway, created, entries, notes)
            partial = Path(folder) / "backup.tar"
            _pack(partial, Path(folder), manifest, compressed=target.suffix == ".gz")
            os.replace(partial, target)
    except FileExistsError:
        raise BackupError(f"{target} exists; name another file") from None
    except OSError as error:
        raise BackupError(f"{target} cannot be written: {error.strerror or error}") from error
    return manifest


@contextmanager
def _reserved(target: Path) -> Iterator[None]:
    """Create an empty file, and delete it again if the block fails."""
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        yield
    except BaseException:
        with suppress(OSError):
            target.unlink()
        raise


def _copy(file: StoreFile, folder: Path) -> Entry:
    """Copy a database into a folder. Raises BackupError."""
    copy = folder / f"{file.name}.db"
    try:
        copy_file(file.path, copy)
        fault = damage(copy)
        version = schema_version(copy, is_ledger=file.is_ledger) if fault is None else 0
    except (sqlite3.Error, OSError) as error:
        raise BackupError(f"{file.path} cannot be copied: {error}") from error
    if fault is not None:
        raise BackupError(f"{file.path} is corrupt: {' '.join(str(fault).split())}. Nothing was written")
    with copy.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Entry(file.name, copy.name, version, copy.stat().st_size, digest)


def _pack(partial: Path, folder: Path, manifest: Manifest, *, compressed: bool) -> None:
    descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        with tarfile.open(fileobj=file, mode="w:gz" if compressed else "w") as tar:
            text = msgspec.json.format(msgspec.json.encode(manifest))
            tar.addfile(_member(_MANIFEST, len(text)), io.BytesIO(text))
            for entry in manifest.stores:
                with (folder / entry.file).open("rb") as stream:
                    tar.addfile(_member(entry.file, entry.bytes), stream)
        file.flush()
        os.fsync(file.fileno())


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    return member


class Backup:
    """An opened backup. Use it as a context manager. Opening raises BackupError."""

    def __init__(self, path: Path) -> None:
        try:
            self._tar = TarReader(path, _MAX_MANIFEST + _OVERHEAD)
        except OSError as error:
            raise BackupError(f"{path} is no backup: {error}") from error
        try:
            self.manifest = self._read_manifest()
        except (OSError, tarfile.TarError, KeyError, msgspec.MsgspecError, UnicodeError) as error:
            self._tar.close()
            reason = error.args[0] if isinstance(error, KeyError) else error
            raise BackupError(f"{path} is no backup of a gateway: {reason}") from error
        sizes = [entry.bytes for entry in self.manifest.stores]
        self._tar.limit += sum(sizes) + _OVERHEAD * (1 + len(sizes))

    def __enter__(self) -> "Backup":
        return self

    def __exit__(self, *_: object) -> None:
        self._tar.close()

    def _read_manifest(self) -> Manifest:
        self._tar.find(_MANIFEST)
        data = b"".join(self._tar.pieces())
        number = msgspec.json.decode(data, type=dict).get("format")
        if number != FORMAT:
            raise KeyError(
                f"its format is {number}, and this gateway reads {FORMAT}. Use the gateway that wrote it."
            )
        manifest = msgspec.json.decode(data, type=Manifest)
        for names in ([entry.store for entry in manifest.stores], [entry.file for entry in manifest.stores]):
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise KeyError(f"its manifest names {twice[0]} twice")
        if (size := sum(entry.bytes for entry in manifest.stores)) > _MAX_BYTES:
            raise KeyError(f"its databases have {size} bytes, and a backup has at most {_MAX_BYTES}")
        return manifest

    def extract(self, entry: Entry, target: Path) -> None:
        """Write a database into an existing, empty file. Raises BackupError if it is not what the manifest says."""
        digest = hashlib.sha256()
        try:
            size = self._tar.find(entry.file)
            if size != entry.bytes:
                raise BackupError(
                    f"{entry.file} in the backup is damaged: it has {size} bytes, and the manifest says {entry.bytes}"
                )
            # the folder belongs to the service, and root restores
            with os.fdopen(os.open(target, os.O_WRONLY | os.O_NOFOLLOW), "wb") as output:
                for piece in self._tar.pieces():
                    digest.update(piece)
                    output.write(piece)
                output.flush()
                os.fsync(output.fileno())
        except (OSError, tarfile.TarError, KeyError) as error:
            reason = error.args[0] if isinstance(error, KeyError) else error
            raise BackupError(f"{entry.file} cannot be read from the backup: {reason}") from error
        if digest.hexdigest() != entry.sha256:
            raise BackupError(
                f"{entry.file} in the backup is damaged: its checksum is not that of the manifest"
            )
