"""Settings files in a home directory: written with a backup, and taken back."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.cli.connect import edits
from gateway.cli.connect.clients import Client, SettingsFile
from gateway.cli.connect.edits import CannotEdit
from gateway.cli.connect.places import Home, real
from gateway.cli.connect.settings import Settings

BACKUP = ".before-gateway"
"""Suffix of the copy of a file as it was before the first change."""
RECORD = ".gateway-connect"
"""Suffix of the record of values merged into a JSON file."""
_MOST_BYTES = 4 * 2**20


@dataclass(frozen=True)
class Change:
    """A file that was changed, and what its owner should know."""

    path: Path
    note: str = ""


@dataclass(frozen=True)
class _New:
    path: Path
    before: str
    text: str
    record: str | None
    is_secret: bool
    is_own: bool
    """Whether the file is the program's, not the shell's."""


def write(client: Client, settings: Settings, home: Home) -> list[Change]:
    """Write the settings of a program. Return the changed files. Raises CannotEdit before any file is changed."""
    new: list[_New] = []
    own = list(client.files)
    for file in [*own, home.profile(client)] if client.environment else own:
        path = real(home.places(file)[0])
        text = _read(path)
        with _named(path):
            result, record = _changed(client.name, path, text, settings.file(file))
        is_secret = "{key}" in repr(file)
        new.append(_New(path, text, result, record, is_secret, file in own))
    return [_write(client.name, change) for change in new]


def _write(name: str, new: _New) -> Change:
    path, backup = new.path, _beside(new.path, BACKUP)
    is_first = edits.without_lines(new.before, name) == new.before and not _beside(path, RECORD).exists()
    if is_first and not edits.is_ours(new.before) and not backup.exists():
        _replace(backup, new.before)
    if new.record is not None:
        _replace(_beside(path, RECORD), new.record)
    is_open = new.is_secret and path.exists() and bool(path.stat().st_mode & 0o077)
    _replace(path, new.text, 0o600 if is_open and new.is_own else None)
    if not is_open:
        return Change(path)
    if new.is_own:
        return Change(path, "  It has the key, and others could read it: its mode is 600 now.")
    return Change(path, f"  warning: it has the key, and others can read it: chmod 600 {path}")


def undo(client: Client, home: Home) -> list[Change]:
    """Take out what `write` wrote. Return the changed files; what others changed since is kept.

    The files of all shells are looked at, and each place of a program's file. Raises CannotEdit before any is changed.
    """
    new: dict[Path, tuple[str, str]] = {}
    for file in [*client.files, *home.profiles()]:
        for path in map(real, home.places(file)):
            if path in new or not _may_be_ours(path, client.name, file):
                continue
            text = _read(path)
            with _named(path):
                before = edits.without_lines(text, client.name)
                if file.values is not None:
                    before = _without_values(path, text)
            top = file.top if file.item else ""  # the head of a file that was new
            if before != text:
                new[path] = (before, top)
    return [_undo(path, before, top) for path, (before, top) in new.items()]


def _undo(path: Path, before: str, top: str) -> Change:
    backup = _beside(path, BACKUP)
    if not backup.exists() and before.strip() in ("", top.strip()):
        path.unlink()
    else:
        _replace(path, before)
        if backup.exists() and backup.read_bytes() == before.encode():
            backup.unlink()
    _beside(path, RECORD).unlink(missing_ok=True)
    if not backup.exists():
        return Change(path)
    return Change(path, f"  kept: {backup}, the file before the first --write; it was changed since")


def _may_be_ours(path: Path, name: str, file: SettingsFile) -> bool:
    """Return whether there are traces of `write`: a file without them is not read, whatever its encoding."""
    if file.values is not None:
        return _beside(path, RECORD).exists() and path.exists()
    try:
        return f"gateway connect {name}".encode() in path.read_bytes()
    except OSError:
        return False


def _changed(name: str, path: Path, text: str, file: SettingsFile) -> tuple[str, str | None]:
    """Return the new text of a file, and the record of a JSON file. Raises CannotEdit."""
    if file.values is None:
        return edits.with_lines(text, name, file), None
    merged, record = edits.with_values(_without_values(path, text), file.values)
    return merged, json.dumps({"written": merged, "record": record})


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the file in each CannotEdit."""
    try:
        yield
    except CannotEdit as error:
        raise type(error)(f"{path}: {error}") from None


def _read(path: Path) -> str:
    """Return the text of a file; one that does not exist is empty. Raises CannotEdit."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise CannotEdit(f"{path}: it is too large for a settings file")
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise CannotEdit(f"{path}: {error}") from None


def _without_values(path: Path, text: str) -> str:
    """Return a JSON file's text without what was merged into it. Raises CannotEdit."""
    try:
        record = json.loads(_beside(path, RECORD).read_text("utf-8"))
    except FileNotFoundError:
        return text
    except (OSError, ValueError) as error:
        raise CannotEdit(f"{_beside(path, RECORD)}: {error}") from None
    backup = _beside(path, BACKUP)
    if text == record["written"]:  # nobody has changed it since
        return backup.read_text("utf-8") if backup.exists() else ""
    return edits.without_values(text, record["record"])


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _replace(path: Path, text: str, mode: int | None = None) -> None:
    """Write a file in one step. A file that exists keeps its mode; a new one is the user's only: it may have a key."""
    if mode is None:
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("wb", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.write(text.encode())
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.replace(file.name, path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
