"""Restore of a backup: verified before anything is changed; the files before are kept aside. All functions block."""

import errno
import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from msgspec import Struct

from gateway.store.backup.archive import Backup, BackupError, Entry, StoreFile
from gateway.store.sqlite_file import create, damage
from gateway.store.versions import copy_file, schema_version, stamp

_SHARED_FIRST, _SHARED_SIZE = 0x40000002, 510
"""Bytes that SQLite locks: each connection in WAL mode holds a shared lock on some of them for as long as it is open
(https://www.sqlite.org/lockingv3.html, os_unix.c)."""
_SIDE_FILES = ("-wal", "-shm", "-journal", "")
"""Of a database; the file itself goes last, so that a new one never meets the old one's log."""
_SQLITE = b"SQLite format 3\0"


class Restored(Struct, frozen=True):
    """A file that was restored, or would be."""

    file: StoreFile
    version: int
    size: int
    aside: Path | None
    """New name of the file before; None if there was none."""


def restore(
    backup: Path, files: Sequence[StoreFile], only: Sequence[str] = (), *, dry: bool = False
) -> list[Restored]:
    """Replace files by those of a backup, or by a copy that was made before an upgrade. `only` names some stores.

    All are verified first. If one cannot be restored, none is, and BackupError is raised: a damaged or newer backup, a
    file that a gateway has open, a store that the configuration keeps elsewhere. With `dry`, everything but the last
    step is done.
    """
    with ExitStack() as stack:
        try:
            staged = list(_staged(backup, files, only, stack))
            for file, _, _ in staged:
                stack.enter_context(_alone(file.path))
            moment = _moment([file.path for file, _, _ in staged])
            restored = [_outcome(file, temporary, version, moment) for file, temporary, version in staged]
            if not dry:
                _swap([(file.path, temporary) for file, temporary, _ in staged], moment)
        except (OSError, sqlite3.Error) as error:
            raise BackupError(f"nothing was restored: {error}") from error
    return restored


def _outcome(file: StoreFile, temporary: Path, version: int, moment: str) -> Restored:
    aside = _aside(file.path, moment) if file.path.exists() else None
    return Restored(file, version, temporary.stat().st_size, aside)


def _staged(
    backup: Path, files: Sequence[StoreFile], only: Sequence[str], stack: ExitStack
) -> Iterator[tuple[StoreFile, Path, int]]:
    """Yield each file with its verified replacement beside it, which the stack deletes, and its version."""
    if _is_sqlite(backup):
        file = _of_copy(backup, files)
        _check_space([(file.path, backup.stat().st_size)])
        temporary = stack.enter_context(_beside(file.path))
        temporary.unlink()
        copy_file(backup, temporary)
        yield file, temporary, _verified(file, temporary, backup.name)
        return
    with Backup(backup) as opened:
        chosen = _chosen(opened.manifest.stores, files, only)
        _check_space([(file.path, entry.bytes) for file, entry in chosen])
        for file, entry in chosen:
            temporary = stack.enter_context(_beside(file.path))
            opened.extract(entry, temporary)
            yield (
                file,
                temporary,
                _verified(file, temporary, f"the backup of gateway {opened.manifest.gateway}"),
            )


def stores_of(backup: Path) -> list[str]:
    """Return the names of the stores in a backup; none for a copy of one file. Raises BackupError."""
    if _is_sqlite(backup):
        return []
    with Backup(backup) as opened:
        return [entry.store for entry in opened.manifest.stores]


def _is_sqlite(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except OSError as error:
        raise BackupError(f"{path} cannot be read: {error.strerror or error}") from error


def _of_copy(copy: Path, files: Sequence[StoreFile]) -> StoreFile:
    """Return the file that a copy was made of, by the copy's name. Raises BackupError."""
    for file in files:
        if copy.name.startswith((f"{file.path.name}.v", f"{file.path.name}.replaced-")):
            return file
    names = " or ".join(f"{file.path.name}.v…" for file in files)
    raise BackupError(
        f"{copy} is a SQLite file, and its name does not say which one it replaces: expected {names}"
        if files
        else "the configuration keeps nothing in SQLite files"
    )


def _chosen(
    entries: Sequence[Entry], files: Sequence[StoreFile], only: Sequence[str]
) -> list[tuple[StoreFile, Entry]]:
    """Return the stores to restore: all of a backup, or those of `only`. Raises BackupError for one without a place."""
    names = [entry.store for entry in entries]
    if unknown := [name for name in only if name not in names]:
        raise BackupError(f"the backup has no store {unknown[0]!r}; it has {', '.join(names)}")
    places = {file.name: file for file in files}
    chosen = [entry for entry in entries if not only or entry.store in only]
    if homeless := [entry.store for entry in chosen if entry.store not in places]:
        rest = [name for name in names if name in places]
        hint = (
            f"restore the rest with --only {','.join(rest)}"
            if rest
            else "use the configuration of the backup"
        )
        raise BackupError(f"the configuration keeps no SQLite file for {', '.join(homeless)}: {hint}")
    paths = [os.path.realpath(places[entry.store].path) for entry in chosen]
    if len(set(paths)) < len(paths):
        twice = next(path for path in paths if paths.count(path) > 1)
        raise BackupError(f"the configuration keeps several stores in {twice}: restore one with --only")
    return [(places[entry.store], entry) for entry in chosen]


def _check_space(sizes: Sequence[tuple[Path, int]]) -> None:
    """Raise BackupError if new files of these sizes do not fit beside the present ones, which are kept."""
    needed: dict[int, int] = {}
    for path, size in sizes:
        if not path.parent.is_dir():
            continue  # _beside says so
        disk = path.parent.stat().st_dev
        needed[disk] = needed.get(disk, 0) + size
        free = shutil.disk_usage(path.parent).free
        if needed[disk] > free:
            raise BackupError(
                f"{path.parent} has {free} bytes free, and the restored files need {needed[disk]}: the present ones "
                "are kept beside them"
            )


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """Create an empty file beside another, for the owner of the folder, and delete what is left of it at the end."""
    if not path.parent.is_dir():
        raise BackupError(
            f"{path.parent} does not exist: start the gateway once, which creates it, and stop it again"
        )
    temporary = path.with_name(f".{path.name}.restoring")
    _delete(temporary)
    create(temporary)
    try:
        yield temporary
    finally:
        _delete(temporary)


def _delete(path: Path) -> None:
    for suffix in _SIDE_FILES:
        with suppress(FileNotFoundError):
            os.unlink(f"{path}{suffix}")


def _verified(file: StoreFile, temporary: Path, source: str) -> int:
    """Return the version of a replacement's schema. Raises BackupError if this gateway cannot use it."""
    fault = damage(temporary)
    if fault is not None:
        raise BackupError(f"{file.name} in {source} is corrupt: {' '.join(str(fault).split())}")
    version = schema_version(temporary, is_ledger=file.is_ledger)
    if version > file.supported:
        raise BackupError(
            f"{file.name} in {source} has version {version}, and this gateway supports {file.supported}: install the "
            "gateway that wrote it, or a newer one, first"
        )
    if not version:
        raise BackupError(f"{file.name} in {source} has no tables of a gateway")
    return version


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep all others from a database. Raises BackupError if a process has it open."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        yield
        return
    try:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, _SHARED_SIZE, _SHARED_FIRST)
        except (BlockingIOError, PermissionError):
            raise BackupError(
                f"{path} is in use: stop the gateway first (on a server: systemctl stop gateway.socket "
                "gateway-admin.socket gateway@blue gateway@green)"
            ) from None
        yield
    finally:
        os.close(descriptor)


def _aside(path: Path, moment: str) -> Path:
    return path.with_name(f"{path.name}.replaced-{moment}")


def _moment(paths: Sequence[Path]) -> str:
    """Return the time for the names of the files before, with a number if there are such files already."""
    moment = stamp()
    names = [moment, *(f"{moment}-{number}" for number in range(2, 100))]
    return next(name for name in names if not any(os.path.lexists(_aside(path, name)) for path in paths))


def _swap(pairs: Sequence[tuple[Path, Path]], moment: str) -> None:
    """Rename all files, or none. No file is overwritten, so that each rename can be undone.

    Raises BackupError with the names of the files if the renames before a failure cannot be undone.
    """
    renames = []
    for path, temporary in pairs:
        aside = _aside(path, moment)
        renames += [
            (f"{path}{suffix}", f"{aside}{suffix}")
            for suffix in _SIDE_FILES
            if Path(f"{path}{suffix}").exists()
        ]
        renames.append((str(temporary), str(path)))
    done: list[tuple[str, str]] = []
    try:
        for old, new in renames:
            _move(old, new)
            done.append((old, new))
    except BaseException as error:  # Ctrl-C, too
        _undo(done, error)
        raise


def _undo(done: Sequence[tuple[str, str]], reason: BaseException) -> None:
    stuck = []
    for old, new in reversed(done):
        try:
            _move(new, old)
        except OSError:
            stuck.append(f"rename {new} to {old}")
    if stuck:
        raise BackupError(
            f"the restore failed half-way ({reason}), and could not be undone. Do it by hand: {'; '.join(stuck)}"
        ) from reason


def _move(old: str, new: str) -> None:
    """Rename a file. Raises OSError, also if there is a file of the new name, which rename(2) would replace."""
    if os.path.lexists(new):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new)
    os.rename(old, new)
