"""Files of captured requests: one for each, of their owner alone, deleted by age and size. All functions block."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from gateway.plugins.capture.record import Captured

_MODE = 0o600
_PARTS = ("request", "calls", "answer")


def write(folder: Path, record: Captured) -> Path:
    """Write a record into the folder of its day, and return its file."""
    at = datetime.fromtimestamp(record.at, UTC)
    day = folder / f"{at:%Y-%m-%d}"
    day.mkdir(mode=0o700, exist_ok=True)
    path = day / f"{at:%H%M%S.%f}-{record.id}.json"
    data = msgspec.json.format(msgspec.json.encode(record), indent=1)
    with open(path, "wb", opener=lambda name, flags: os.open(name, flags | os.O_EXCL, _MODE)) as file:
        file.write(data)
    return path


def size_of(record: Captured) -> dict[str, int]:
    """Return the bytes of each body of a record."""
    return {name: len(msgspec.json.encode(getattr(record, name))) for name in _PARTS}


def prune(folder: Path, before: float, most: int) -> int:
    """Delete the files from before a time, and then the oldest until all have at most `most` bytes. Return how many."""
    files = sorted(_files(folder), key=lambda entry: entry[1])
    total, deleted = sum(size for _, _, size in files), 0
    for path, at, size in files:
        if at >= before and total <= most:
            break
        path.unlink(missing_ok=True)
        total -= size
        deleted += 1
    for day in folder.iterdir():
        if day.is_dir() and not any(day.iterdir()):
            day.rmdir()
    return deleted


def find(folder: Path, request_id: str) -> Path | None:
    """Return the newest file of a request's id."""
    paths = [path for path, _, _ in _files(folder) if path.name.partition("-")[2] == f"{request_id}.json"]
    return max(paths, default=None)


def read(path: Path) -> Captured:
    """Return the record of a file. Raises ValueError for another file."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Captured)
    except msgspec.DecodeError as error:
        raise ValueError(f"{path} is no captured request: {error}") from None


def _files(folder: Path) -> Iterator[tuple[Path, float, int]]:
    """Yield each file with the time of its last change and its size."""
    for path in folder.glob("*/*.json"):
        try:
            status = path.stat()
        except FileNotFoundError:  # another process prunes, too
            continue
        yield path, status.st_mtime, status.st_size
