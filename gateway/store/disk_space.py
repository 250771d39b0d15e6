"""Space on disk for files: nine tenths of a disk may be in use, and a full one is an error of its own."""

import errno
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.errors import GatewayError

if TYPE_CHECKING:
    import sqlite3

_MOST_USED = 0.9
"""Fraction of a disk that may be in use when a file is to be written."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class InsufficientStorage(GatewayError):
    """The gateway's disk has no room for a file (RFC 4918, section 11.5)."""

    status = 507
    code = "insufficient_storage"

    def __init__(self) -> None:
        super().__init__(
            "The gateway's disk is full: the file cannot be stored. Please try again later.",
            should_retry=False,
        )


def check_space(folder: Path, size: int) -> None:
    """Raise InsufficientStorage if `size` more bytes would fill a folder's disk over nine tenths."""
    disk = shutil.disk_usage(folder)
    if disk.total - disk.free + size > disk.total * _MOST_USED:
        raise InsufficientStorage


def refusal(error: "OSError | sqlite3.Error") -> Exception:
    """Return the error for a write that failed: InsufficientStorage for a full disk, else the same."""
    is_full = error.errno in _FULL if isinstance(error, OSError) else "disk is full" in str(error)
    return InsufficientStorage() if is_full else error
