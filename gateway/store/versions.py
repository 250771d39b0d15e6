"""Versions of the SQLite stores' schemas, and the copies that are kept of a file before its schema is upgraded."""

import os
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

from gateway.store.sqlite_file import connect, create

LEDGER_VERSION = 4
"""Of the ledger's tables; stored in its table `ledger`."""
STATE_VERSION = 1
"""Of the table in a file of state; stored in `user_version`."""
KEPT_COPIES = 3
"""Copies that are kept of each file; older ones are deleted."""
_COPY = re.compile(r"\.v(\d+)\.(\d{8}T\d{6}Z)")
"""Follows the file's name in the name of a copy: the version of its schema, and when it was made."""


class CopyFailed(OSError):
    """A file must be upgraded, and could not be copied before."""


def stamp() -> str:
    """Return the time for a file's name, such as 20261126T124500Z."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")


def schema_version(path: Path, *, is_ledger: bool) -> int:
    """Return the version of the schema of an existing file, a ledger or a file of state; 0 for one without our tables.

    Raises sqlite3.Error for a file that cannot be read.
    """
    with closing(connect(path)) as connection:
        if not is_ledger:
            return int(connection.execute("PRAGMA user_version").fetchone()[0])
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'ledger'").fetchone():
            return 0
        row = connection.execute("SELECT value FROM ledger WHERE name = 'version'").fetchone()
        return int(row[0]) if row is not None else 0


def copy_file(source: Path, target: Path) -> None:
    """Copy a database, also while it is in use, to a new file for its owner alone. It waits for no writer.

    Raises FileExistsError, OSError, and sqlite3.Error.
    """
    if not create(target):
        raise FileExistsError(f"{target} exists")
    try:
        with closing(connect(source)) as reader, closing(connect(target)) as writer:
            reader.backup(writer)
            writer.execute(
                "PRAGMA journal_mode = DELETE"
            )  # so that the copy is one file, wherever it is opened
        with target.open("rb") as file:
            os.fsync(file.fileno())
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def keep_copy(path: Path, version: int, newer: int, report: Callable[[str], None]) -> None:
    """Copy a file beside itself before its schema is upgraded, and delete all but the last copies.

    Raises CopyFailed; the file must then be left as it is.
    """
    copy = path.with_name(f"{path.name}.v{version}.{stamp()}")
    try:
        copy_file(path, copy)
    except FileExistsError:
        return  # made by another process that starts now
    except (sqlite3.Error, OSError) as error:
        raise CopyFailed(
            f"{path} must be upgraded from version {version} to {newer}, and could not be copied before: {error}. "
            f"Free some space in {path.parent}."
        ) from error
    report(f"{path} is upgraded from version {version} to {newer}. A copy of before is {copy.name}.")
    for old in copies(path)[KEPT_COPIES:]:
        with suppress(FileNotFoundError):
            old.unlink()


def copies(path: Path) -> list[Path]:
    """Return the copies that were made of a file before upgrades, newest first."""
    with suppress(OSError):
        dated = [
            (match[2], file)
            for file in path.parent.iterdir()
            if file.name.startswith(path.name) and (match := _COPY.fullmatch(file.name[len(path.name) :]))
        ]
        return [file for _, file in sorted(dated, reverse=True)]
    return []


def way_back(path: Path, supported: int) -> str:
    """Return the remedy for a file that is too new for this gateway, in one sentence."""
    for copy in copies(path):
        match = _COPY.fullmatch(copy.name[len(path.name) :])
        if match is not None and int(match[1]) <= supported:
            return (
                "Start the newer gateway again, or go back to the copy of before the upgrade, without what was written "
                f"since: gateway restore {copy}"
            )
    return "Start the newer gateway again, or restore a backup of before the upgrade: gateway restore FILE"
