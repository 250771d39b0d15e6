"""A disk that is full, or nearly."""

import errno
import shutil
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway.store.disk_space import InsufficientStorage, check_space, refusal


@pytest.mark.parametrize("size", [0, 50])
def test_the_last_tenth_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, size: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=1000, free=100 + size))
    check_space(tmp_path, size)

    with pytest.raises(InsufficientStorage):
        check_space(tmp_path, size + 1)


def test_only_a_full_disk_is_one() -> None:
    other, damaged = OSError(errno.EIO, "x"), sqlite3.DatabaseError("malformed")

    assert isinstance(refusal(OSError(errno.EDQUOT, "x")), InsufficientStorage)
    assert isinstance(refusal(sqlite3.OperationalError("database or disk is full")), InsufficientStorage)
    assert (refusal(other), refusal(damaged)) == (other, damaged)
