"""A file of a form: in memory or on disk, with the type that it shows."""

import errno
import io
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.exchange.incoming.uploaded_file import IN_MEMORY, UploadedFile
from gateway.policy.load.memory import MemoryAccount, MemoryHold
from gateway.store.disk_space import InsufficientStorage


def file(name: str = "upload", declared: str | None = None, hold: MemoryHold | None = None) -> UploadedFile:
    return UploadedFile("file", name, declared, hold or MemoryHold.uncounted())


@pytest.mark.parametrize(
    ("name", "declared", "data", "expected"),
    [
        ("upload", "application/octet-stream", b"\x89PNG\r\n", "image/png"),
        ("a.txt", "application/octet-stream", b"%PDF-1.4", "application/pdf"),
        ("a.csv", "application/octet-stream", b"a;b", "text/csv"),
        ("a.jsonl", None, b"{}", "text/plain"),
        ("upload", None, b"hello", "text/plain"),
        ("upload", None, b"\x00\x01", ""),
        ("a.txt", "text/markdown", b"%PDF-1.4", "text/markdown"),
        ("upload", None, b"", ""),
    ],
)
async def test_a_type_that_says_nothing_is_found_out(
    name: str, declared: str | None, data: bytes, expected: str, tmp_path: Path
) -> None:
    upload = file(name, declared)
    await upload.add(data, tmp_path)

    assert upload.mime_type == expected


async def test_a_large_file_is_copied_read_and_removed(tmp_path: Path) -> None:
    account = MemoryAccount(2**30)
    upload, data = file(hold=account.open()), b"%PDF" + bytes(2 * IN_MEMORY)
    for start in range(0, len(data), 50_000):
        await upload.add(data[start : start + 50_000], tmp_path)
    await upload.finish(tmp_path)
    target = io.BytesIO()
    upload.copy_to(target)
    assert (await upload.beginning(9), upload.opened().read()) == (data[:9], data)

    assert (upload.in_memory, upload.size, upload.mime_type) == (False, len(data), "application/pdf")
    assert target.getvalue() == data
    assert account.used == 0
    upload.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
async def test_a_full_disk_is_507(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(code, "no space")

    monkeypatch.setattr(tempfile, "TemporaryFile", fail)
    account = MemoryAccount(2**30)
    upload = file(hold=account.open())

    with pytest.raises(InsufficientStorage) as caught:
        await upload.add(bytes(IN_MEMORY + 1), tmp_path)
    assert caught.value.status == 507
    upload.close()
    assert account.used == 0


async def test_the_last_tenth_of_a_disk_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=100 * 2**20, free=2**20 * 10.5))

    with pytest.raises(InsufficientStorage):
        await file().add(bytes(IN_MEMORY + 1), tmp_path)


async def test_a_small_file_is_read_like_a_large_one(tmp_path: Path) -> None:
    upload = file()
    await upload.add(b"%PDF-1.7", tmp_path)

    assert (await upload.beginning(4), upload.opened().read()) == (b"%PDF", b"%PDF-1.7")
