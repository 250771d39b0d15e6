"""The backup file: what is in it, who can read it, and what is refused."""

import hashlib
import json
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from gateway.store.backup.archive import Backup, BackupError, StoreFile, write
from tests.support.sqlite_users import held_open

NOTES = ["The ledger is elsewhere."]


@pytest.fixture
def files(tmp_path: Path) -> list[StoreFile]:
    """Two stores, and one that does not exist yet."""
    for name in ("a.db", "b.db"):
        with closing(sqlite3.connect(tmp_path / name)) as connection, connection:
            connection.execute("CREATE TABLE t (a)")
            connection.execute("PRAGMA user_version = 1")
    return [StoreFile(name, "things", tmp_path / f"{name}.db", 1) for name in ("a", "b", "c")]


@pytest.mark.parametrize("name", ["x.tar", "x.tar.gz"])
def test_o08_a_backup_of_files_in_use_has_each_with_version_and_checksum(
    files: list[StoreFile], tmp_path: Path, name: str
) -> None:
    target = tmp_path / name
    with held_open(files[0].path, "INSERT INTO t VALUES ('in the log only')"):
        manifest = write(target, files, "0.1.0 (abc)", "2026-11-26T10:00:00Z", NOTES)

    assert target.stat().st_mode & 0o777 == 0o600
    with tarfile.open(target) as tar:
        assert tar.getnames() == ["manifest.json", "a.db", "b.db"]
        text, data = (tar.extractfile(member).read() for member in ("manifest.json", "a.db"))  # type: ignore[union-attr]
    (tmp_path / "out.db").write_bytes(data)
    with closing(sqlite3.connect(tmp_path / "out.db")) as connection:
        assert connection.execute("SELECT a FROM t").fetchall() == [("in the log only",)]
    shown = json.loads(text)
    assert (shown["format"], shown["gateway"], shown["not_included"]) == (1, "0.1.0 (abc)", NOTES)
    assert shown["stores"][0] == {
        "store": "a", "file": "a.db", "schema": 1, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(),
    }  # fmt: skip
    with Backup(target) as backup:
        assert backup.manifest == manifest
    assert not list(tmp_path.glob(".gateway-backup-*"))


def test_a_backup_never_replaces_a_file(files: list[StoreFile], tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_text("precious")
    with pytest.raises(BackupError, match=r"x\.tar exists; name another file"):
        write(tmp_path / "x.tar", files, "", "", [])

    assert (tmp_path / "x.tar").read_text() == "precious"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("torn", r"a\.db is corrupt: .*Nothing was written"),
        ("junk", r"a\.db cannot be copied: file is not a database"),
        ("absent", "nothing to back up"),
    ],
)
def test_o08_a_backup_that_cannot_be_made_leaves_no_file(
    files: list[StoreFile], tmp_path: Path, damage: str, message: str
) -> None:
    if damage == "torn":
        with files[0].path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * 4096)
    else:
        for store in files[:2]:
            store.path.unlink()
    if damage == "junk":
        files[0].path.write_bytes(b"SQLite format 3\0" + b"\xff" * 9000)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(BackupError, match=message):
        write(tmp_path / "x.tar", files, "", "", [])

    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_that_does_not_exist_is_named(files: list[StoreFile], tmp_path: Path) -> None:
    with pytest.raises(BackupError, match=r"no/x\.tar cannot be written: No such file"):
        write(tmp_path / "no" / "x.tar", files, "", "", [])


def test_what_is_no_backup_is_refused(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("hello")
    with tarfile.open(tmp_path / "other.tar", "w") as tar:
        tar.add(plain, "plain")
    with tarfile.open(tmp_path / "later.tar", "w") as tar:
        plain.write_text('{"format": 2}')
        tar.add(plain, "manifest.json")
    for name, message in (
        ("plain", "is no backup"),
        ("other.tar", "no backup of a gateway"),
        ("later.tar", "its format is 2, and this gateway reads 1"),
    ):
        with pytest.raises(BackupError, match=message):
            Backup(tmp_path / name)


def test_a_backup_that_is_too_large_to_be_restored_is_not_made(
    files: list[StoreFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.backup.archive._MAX_BYTES", 4096)
    with pytest.raises(BackupError, match="a backup has at most 4096: copy the files"):
        write(tmp_path / "x.tar", files, "", "", [])

    assert not (tmp_path / "x.tar").exists()
