"""The file store: whole files or none, also when a process is killed."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import IO

import pytest

from gateway.errors import TooLarge
from gateway.policy.clients.kept_files import FileCopy, FileLimits, NewFile, Upload
from gateway.store.files.file_store import FileStore
from tests.support.paths import ROOT

LIMITS = FileLimits(1000, 2000, 5)


def new(scope: str = "s", expires: int | None = None) -> NewFile:
    return NewFile(scope, "a.txt", "text/plain", "user_data", 100, expires)


def writes(data: bytes) -> "object":
    def write(file: IO[bytes]) -> None:
        file.write(data)

    return write


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path, LIMITS)


def strays(store: FileStore) -> list[str]:
    return [entry.name for entry in store.folder.iterdir() if not entry.name.startswith("files.db")]


def test_a_file_outlives_the_store(store: FileStore) -> None:
    file = store.add(new(), lambda target: _written(target, b"hello"))
    store.keep_copy(file.id, FileCopy("a", "files/x", "https://x", 200.0, True))
    store.close()
    again = FileStore(store.folder, LIMITS)

    assert again.find("s", [file.id], 100.0) == {file.id: file}
    assert again.find("other", [file.id], 100.0) == {}
    assert again.path(file.id).read_bytes() == b"hello"
    assert again.copy(file.id, "a") == FileCopy("a", "files/x", "https://x", 200.0, True)
    assert again.copy(file.id, "b") is None
    assert oct(store.path(file.id).stat().st_mode)[-3:] == "600"


def _written(target: IO[bytes], data: bytes) -> None:
    target.write(data)


def test_a_write_that_fails_leaves_nothing(store: FileStore) -> None:
    def fail(target: IO[bytes]) -> None:
        target.write(b"half")
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        store.add(new(), fail)
    with pytest.raises(TooLarge):
        store.add(new(), lambda target: _written(target, bytes(1001)))
    assert strays(store) == []


def test_what_has_expired_is_swept_and_nothing_else(store: FileStore) -> None:
    old = store.add(new(expires=150), lambda target: _written(target, b"1"))
    kept = store.add(new(), lambda target: _written(target, b"2"))
    store.begin(Upload("u", "s", 3, "a", "", "vision", 100, 150, "pending", None, None))
    part = store.add_part(store.upload("s", "u", 100.0), lambda target: _written(target, b"abc"), 100.0)
    left = "new-" + "e" * 24
    store.path(left).write_bytes(b"by a process that was killed")
    store.path("f" * 24).write_bytes(b"the same, before its row")
    for name in ("ledger.db", "backup"):  # the folder is others', too
        store.path(name).write_bytes(b"")
    for name in (left, "f" * 24, kept.id, "ledger.db", "backup"):
        os.utime(store.path(name), (0, 0))
    assert store.sweep(149.0) == 0
    assert part in strays(store)

    assert store.sweep(4000.0) == 1
    assert sorted(strays(store)) == sorted([kept.id, "ledger.db", "backup"])
    assert store.upload("s", "u", 4000.0).status == "expired"
    assert store.find("s", [old.id], 0.0) == {}


def test_a_join_that_is_done_twice_makes_one_file(store: FileStore) -> None:
    upload = Upload("u", "s", 3, "a", "", "vision", 100, 4000, "pending", None, None)
    store.begin(upload)
    part = store.add_part(upload, lambda target: _written(target, b"abc"), 100.0)
    store.complete(upload, [part], new(), None)

    with pytest.raises(Exception, match=r"no such part|completed"):
        store.complete(upload, [part], new(), None)
    assert len(strays(store)) == 1


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from gateway.store.files import file_store
    from gateway.store.files.file_store import FileStore
    from gateway.policy.clients.kept_files import FileLimits, NewFile, Upload
    step, folder = sys.argv[1], Path(sys.argv[2])
    store = FileStore(folder, FileLimits(1000, 2000, 5))
    def die(*_): os.kill(os.getpid(), signal.SIGKILL)
    new = NewFile("s", "a.txt", "text/plain", "user_data", 100, None)
    upload = Upload("u", "s", 3, "a", "", "vision", 100, 4000, "pending", None, None)
    store.begin(upload)
    part = store.add_part(upload, lambda target: target.write(b"abc"), 100.0)
    if step == "write": store.add(new, lambda target: (target.write(b"half"), target.flush(), die()))
    if step == "row": file_store.insert_file = die
    if step == "parts": store._remove = die
    store.complete(upload, [part], new, None)
"""


@pytest.mark.parametrize(("step", "files"), [("write", 0), ("row", 0), ("parts", 1)])
def test_a_process_that_is_killed_loses_no_upload_and_makes_no_file_twice(
    tmp_path: Path, step: str, files: int
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), step, str(tmp_path)], cwd=ROOT, check=False
    )
    assert ended.returncode == -signal.SIGKILL
    store = FileStore(tmp_path, LIMITS)
    upload = store.upload("s", "u", 200.0)
    (count,) = store.database.query("SELECT COUNT(*) FROM file")[0]
    assert (count, upload.status) == (files, "completed" if files else "pending")
    if not files:  # the client sends the same request again
        parts = list(store.database.parts("u"))
        assert len(parts) == 1
        store.complete(upload, parts, new(), None)
    (file,) = store.database.query("SELECT id FROM file")[0]
    assert store.path(file).read_bytes() == b"abc"
    for name in strays(store):
        os.utime(store.path(name), (0, 0))
    store.sweep(3900.0)
    assert strays(store) == [file]


def test_a_newer_gateways_folder_is_refused(store: FileStore) -> None:
    store.database.query("PRAGMA user_version = 99")
    store.close()

    with pytest.raises(ValueError, match="newer gateway"):
        FileStore(store.folder, LIMITS)
