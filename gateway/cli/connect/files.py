"""Settings files in a home directory: written with a backup, and taken back."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from gateway.cli.connect import edits
from gateway.cli.connect.clients import Client, SettingsFile
from gateway.cli.connect.edits import CannotEdit
from gateway.cli.connect.settings import Settings

BACKUP = ".before-gateway"
"""Suffix of the copy of a file as it was before the first change."""
RECORD = ".gateway-connect"
"""Suffix of the record of values merged into a JSON file."""
_PROFILES = {"zsh": ".zshrc", "bash": ".bashrc"}
_MOST_BYTES = 4 * 2**20


def write(client: Client, settings: Settings, home: Path, shell: str) -> list[Path]:
    """Write the settings of a program. Return the changed files. Raises CannotEdit before any file is changed."""
    new: list[tuple[Path, str, str, str | None]] = []
    for file in _files(client, shell):
        path, text = _read(home, file)
        with _named(path):
            new.append((path, text, *_changed(client.name, path, text, settings.file(file))))
    for path, before, text, record in new:
        backup = _beside(path, BACKUP)
        is_first = edits.without_lines(before, client.name) == before and not _beside(path, RECORD).exists()
        if is_first and not edits.is_ours(before) and not backup.exists():
            _replace(backup, before)
        if record is not None:
            _replace(_beside(path, RECORD), record)
        _replace(path, text)
    return [path for path, *_ in new]


def undo(client: Client, home: Path, shell: str) -> list[Path]:
    """Take out what `write` wrote. Return the changed files; what others changed since is kept. Raises CannotEdit."""
    changed = []
    for file in _files(client, shell):
        path, text = _read(home, file)
        with _named(path):
            before = (
                edits.without_lines(text, client.name) if file.values is None else _without_values(path, text)
            )
        if before == text:
            continue
        backup, record = _beside(path, BACKUP), _beside(path, RECORD)
        top = file.top if file.item else ""  # the head of a file that was new
        if not backup.exists() and before.strip() in ("", top.strip()):
            path.unlink()
        else:
            _replace(path, before)
            if backup.exists() and backup.read_text("utf-8") == before:
                backup.unlink()
        record.unlink(missing_ok=True)
        changed.append(path)
    return changed


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
        raise CannotEdit(f"{path}: {error}") from None


def _files(client: Client, shell: str) -> list[SettingsFile]:
    """Return the program's files, and the shell's own for its variables."""
    files = [client.file] if client.file is not None else []
    if client.environment:
        profile = _PROFILES.get(PurePosixPath(shell).name, ".profile")
        exports = "".join(f"export {name}={value}\n" for name, value in client.environment)
        files.append(SettingsFile(profile, "env", lines=exports))
    return files


def _read(home: Path, file: SettingsFile) -> tuple[Path, str]:
    """Return path and text of a file; a link is followed, a file that does not exist is empty. Raises CannotEdit."""
    path = Path(os.path.realpath(home / file.path))
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise CannotEdit(f"{path}: it is too large for a settings file")
        return path, path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return path, ""
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


def _replace(path: Path, text: str) -> None:
    """Write a file in one step. A file that exists keeps its mode; a new one is the user's only: it may have a key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("wb", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.write(text.encode())
            file.flush()
            os.fchmod(file.fileno(), path.stat().st_mode & 0o777 if path.exists() else 0o600)
            os.replace(file.name, path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
