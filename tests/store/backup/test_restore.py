"""Restore: all stores or none, never under a gateway, never a newer or damaged one, and the files before are kept."""

import hashlib
import io
import json
import os
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway.store.backup.archive import BackupError, StoreFile, write
from gateway.store.backup.restore import _move, restore
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


def hostile(target: Path, entries: list[dict[str, object]], *members: tuple[str, int, bytes]) -> Path:
    """Write a backup with any manifest. A member is a name, a size, and data that zeros fill up to the size."""
    text = json.dumps({"format": 1, "gateway": "9", "created": "", "stores": entries}).encode()
    with tarfile.open(target, "w:gz") as tar:
        for name, size, data in (("manifest.json", len(text), text), *members):
            info = tarfile.TarInfo(name)
            info.size = size
            tar.addfile(info, io.BytesIO(data + bytes(size - len(data))))
    return target


def entry(store: str, data: bytes, **fields: object) -> dict[str, object]:
    digest = hashlib.sha256(data).hexdigest()
    return {
        "store": store,
        "file": f"{store}.db",
        "schema": 1,
        "bytes": len(data),
        "sha256": digest,
        **fields,
    }


def unchanged(files: list[StoreFile]) -> bool:
    folder = files[0].path.parent
    left = [path.name for path in folder.iterdir() if "restoring" in path.name or "replaced" in path.name]
    return not left and [value(file.path) for file in files] == ["old", "old"]


@pytest.mark.parametrize("fields", [{}, {"file": "z.db"}, {"store": "b"}])
def test_a_manifest_that_names_something_twice_is_refused(
    files: list[StoreFile], tmp_path: Path, fields: dict[str, object]
) -> None:
    put(tmp_path / "evil", "evil")
    data = (tmp_path / "evil").read_bytes()
    members = [("a.db", len(data), data), ("z.db", len(data), data)]
    backup = hostile(tmp_path / "x.tar.gz", [entry("a", data), entry("a", data) | fields], *members)
    with pytest.raises(BackupError, match=r"its manifest names a(\.db)? twice"):
        restore(backup, files)
    with pytest.raises(BackupError, match="twice"):
        restore(backup, files, ["a"])
    assert unchanged(files)


def test_two_stores_in_one_file_are_refused(files: list[StoreFile], backup: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    same = StoreFile("b", "things", tmp_path / "link" / "a.db", 1)
    with pytest.raises(BackupError, match=r"several stores in .*/a\.db: restore one with --only"):
        restore(backup, [files[0], same])
    assert value(files[0].path) == "new"


def test_no_more_is_unpacked_than_the_manifest_announces(
    files: list[StoreFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[object] = []
    monkeypatch.setattr(os, "fsync", written.append)  # a file that was written is flushed
    for size in (30_000_000, 100_000):  # above the size of all together, and above that of the file
        backup = hostile(tmp_path / "x.tar.gz", [entry("a", b"x")], ("a.db", size, b""))
        with pytest.raises(BackupError, match=r"a\.db .*(announces|100000 bytes, and the manifest says 1$)"):
            restore(backup, files)
    assert written == []
    assert unchanged(files)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (2**36 + 1, "its databases have 68719476737 bytes, and a backup has at most 68719476736"),
        (-1, "bytes"),
        (5000, r"has 4096 bytes free, and the restored files need 5000"),
    ],
)
def test_databases_that_have_no_room_are_not_unpacked(
    files: list[StoreFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, message: str
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=4096))
    entries = [entry("a", b"", bytes=0), entry("b", b"", bytes=size)]
    backup = hostile(tmp_path / "x.tar.gz", entries, ("b.db", 5000, b""))
    with pytest.raises(BackupError, match=message):
        restore(backup, files)
    assert unchanged(files)


def test_a_copy_that_has_no_room_is_not_restored(
    files: list[StoreFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_file(files[0].path, tmp_path / "a.db.v1-x")
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=4096))
    with pytest.raises(BackupError, match="has 4096 bytes free"):
        restore(tmp_path / "a.db.v1-x", files)
    assert unchanged(files)


def test_two_restores_in_one_second_keep_all_files_before(
    files: list[StoreFile], backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.backup.restore.stamp", lambda: "now")
    first = restore(backup, files)
    second = restore(backup, files)

    kept = [item.aside for item in (*first, *second) if item.aside is not None]
    assert [path.name for path in kept] == [
        "a.db.replaced-now", "b.db.replaced-now", "a.db.replaced-now-2", "b.db.replaced-now-2",
    ]  # fmt: skip
    assert [value(path) for path in kept] == ["new", "new", "old", "old"]


@pytest.mark.parametrize("failure", [OSError("disk on fire"), KeyboardInterrupt()])
def test_a_swap_that_fails_is_undone(
    files: list[StoreFile], backup: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    rename, calls = os.rename, 0

    def failing(old: str, new: str) -> None:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise failure
        rename(old, new)

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises((BackupError, KeyboardInterrupt)):
        restore(backup, files)
    assert calls > 4
    assert [value(file.path) for file in files] == ["new", "new"]
    assert not list(backup.parent.glob("*replaced*"))


def test_a_swap_that_cannot_be_undone_says_where_the_files_are(
    files: list[StoreFile], backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, calls = os.rename, 0

    def failing(old: str, new: str) -> None:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise OSError("disk on fire")
        rename(old, new)

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(BackupError) as caught:
        restore(backup, files)
    (aside,) = backup.parent.glob("a.db.replaced-*")
    assert str(caught.value) == (
        "the restore failed half-way (disk on fire), and could not be undone. Do it by hand: "
        f"rename {aside} to {files[0].path}"
    )


def test_a_file_that_appears_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).write_text(name)
    with pytest.raises(FileExistsError):
        _move(str(tmp_path / "old"), str(tmp_path / "new"))
    assert (tmp_path / "new").read_text() == "new"
