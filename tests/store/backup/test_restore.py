"""Restore: all stores or none, never under a gateway, never a newer or damaged one, and the files before are kept."""

import os
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from gateway.store.backup.archive import BackupError, StoreFile, write
from gateway.store.backup.restore import restore
from gateway.store.versions import copy_file
from tests.support.sqlite_users import held_open


def put(path: Path, value: str, version: int = 1) -> None:
    """Write a value into a store, as a gateway does: in WAL mode."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE IF NOT EXISTS t (a)")
        connection.execute("DELETE FROM t")
        connection.execute("INSERT INTO t VALUES (?)", (value,))
        connection.execute(f"PRAGMA user_version = {version}")


def value(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("SELECT a FROM t").fetchone()[0])


@pytest.fixture
def files(tmp_path: Path) -> list[StoreFile]:
    for name in "ab":
        put(tmp_path / f"{name}.db", "old")
    return [StoreFile(name, "things", tmp_path / f"{name}.db", 1) for name in "ab"]


@pytest.fixture
def backup(files: list[StoreFile], tmp_path: Path) -> Path:
    """A backup, after which both stores were changed."""
    target = tmp_path / "x.tar"
    write(target, files, "0.9", "", [])
    for file in files:
        put(file.path, "new")
    return target


def test_o08_a_restore_brings_back_what_was_and_keeps_what_is(files: list[StoreFile], backup: Path) -> None:
    restored = restore(backup, files)

    assert [value(file.path) for file in files] == ["old", "old"]
    assert [(entry.version, value(entry.aside)) for entry in restored if entry.aside] == [
        (1, "new"),
        (1, "new"),
    ]
    assert [file.path.stat().st_mode & 0o777 for file in files] == [0o600, 0o600]
    assert not list(backup.parent.glob(".*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_o08_restored_files_belong_to_the_owner_of_the_folder(
    files: list[StoreFile], backup: Path, tmp_path: Path
) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    os.chown(private, 12345, 23456)
    (tmp_path / "link").symlink_to(private)  # as systemd's DynamicUser= does
    places = [StoreFile(file.name, "", tmp_path / "link" / file.path.name, 1) for file in files]
    restore(backup, places)

    for place in places:
        owner = place.path.stat()
        assert (owner.st_uid, owner.st_gid, owner.st_mode & 0o777) == (12345, 23456, 0o600)


def test_o08_nothing_is_restored_while_a_gateway_has_a_file_open(
    files: list[StoreFile], backup: Path
) -> None:
    with (
        held_open(files[1].path),
        pytest.raises(BackupError, match=r"b\.db is in use: stop the gateway first"),
    ):
        restore(backup, files)

    assert [value(file.path) for file in files] == ["new", "new"]
    restore(backup, files)
    assert [value(file.path) for file in files] == ["old", "old"]


def test_a_link_in_the_folder_of_the_service_is_not_followed(
    files: list[StoreFile], backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")

    def planted(path: Path) -> bool:
        path.symlink_to(victim)
        return True

    monkeypatch.setattr("gateway.store.backup.restore.create", planted)
    with pytest.raises(BackupError, match="cannot be read from the backup"):
        restore(backup, files)

    assert victim.read_text() == "precious"


def test_a_dry_run_verifies_and_changes_nothing(files: list[StoreFile], backup: Path) -> None:
    before = sorted(path.name for path in backup.parent.iterdir())
    assert [entry.file.name for entry in restore(backup, files, dry=True)] == ["a", "b"]

    assert [value(file.path) for file in files] == ["new", "new"]
    assert sorted(path.name for path in backup.parent.iterdir()) == before


def test_only_some_stores_are_restored(files: list[StoreFile], backup: Path) -> None:
    restore(backup, files, ["b"])

    assert [value(file.path) for file in files] == ["new", "old"]
    with pytest.raises(BackupError, match="the backup has no store 'x'; it has a, b"):
        restore(backup, files, ["x"])


def test_a_store_that_the_configuration_keeps_elsewhere_is_refused(
    files: list[StoreFile], backup: Path
) -> None:
    with pytest.raises(BackupError, match="keeps no SQLite file for a: restore the rest with --only b"):
        restore(backup, files[1:])

    assert value(files[1].path) == "new"


def test_o08_a_store_of_a_newer_gateway_is_refused(files: list[StoreFile], tmp_path: Path) -> None:
    put(files[1].path, "newer", version=2)
    write(tmp_path / "x.tar", files, "0.9", "", [])
    put(files[1].path, "new")
    with pytest.raises(
        BackupError, match=r"b in the backup of gateway 0\.9 has version 2, and this gateway supports 1"
    ):
        restore(tmp_path / "x.tar", files)

    assert [value(file.path) for file in files] == ["old", "new"]


def test_o08_a_damaged_backup_is_refused(files: list[StoreFile], backup: Path) -> None:
    with tarfile.open(backup) as tar:
        offset = tar.getmember("b.db").offset_data
    with backup.open("r+b") as file:
        file.seek(offset + 5000)
        file.write(b"\xff" * 10)
    with pytest.raises(BackupError, match=r"b\.db in the backup is damaged: its checksum"):
        restore(backup, files)

    assert [value(file.path) for file in files] == ["new", "new"]


def test_a_truncated_backup_is_refused(files: list[StoreFile], backup: Path) -> None:
    os.truncate(backup, backup.stat().st_size - 15_000)
    with pytest.raises(BackupError):
        restore(backup, files)

    assert [value(file.path) for file in files] == ["new", "new"]


def test_a_corrupt_file_is_replaced(files: list[StoreFile], backup: Path) -> None:
    files[0].path.write_bytes(b"this is no database" * 1000)
    (restored, _) = restore(backup, files)

    assert value(files[0].path) == "old"
    assert restored.aside is not None
    assert restored.aside.read_bytes().startswith(b"this is no database")


def test_o08_the_log_of_the_file_before_never_meets_the_new_one(files: list[StoreFile], backup: Path) -> None:
    for suffix in ("-wal", "-shm", "-journal"):
        Path(f"{files[0].path}{suffix}").write_bytes(b"of another life")
    (restored, _) = restore(backup, files)

    assert value(files[0].path) == "old"
    assert Path(f"{restored.aside}-wal").read_bytes() == b"of another life"


def test_if_one_file_cannot_be_renamed_none_is(
    files: list[StoreFile], backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.rename

    def refuse(old: str, new: str) -> None:
        if new == str(files[1].path) and old.endswith(".restoring"):
            raise OSError("no")
        rename(old, new)

    monkeypatch.setattr("gateway.store.backup.restore.os.rename", refuse)
    with pytest.raises(BackupError, match="nothing was restored: no"):
        restore(backup, files)
    monkeypatch.undo()

    assert [value(file.path) for file in files] == ["new", "new"]


def test_a_missing_folder_is_named(files: list[StoreFile], backup: Path, tmp_path: Path) -> None:
    places = [StoreFile(file.name, "", tmp_path / "no" / file.path.name, 1) for file in files]
    with pytest.raises(BackupError, match="no does not exist: start the gateway once"):
        restore(backup, places)


def test_o19_a_copy_of_before_an_upgrade_is_restored_by_its_name(
    files: list[StoreFile], tmp_path: Path
) -> None:
    copy = tmp_path / "b.db.v1.20261126T100000Z"
    copy_file(files[1].path, copy)
    put(files[1].path, "new", version=2)
    restore(copy, files)

    assert value(files[1].path) == "old"
    assert value(copy) == "old"
    other = tmp_path / "unknown.db"
    copy_file(files[1].path, other)
    with pytest.raises(
        BackupError, match=r"its name does not say which one it replaces: expected a\.db\.v… or b\.db"
    ):
        restore(other, files)
