"""Pictures that can be fetched without a key for some time, by addresses that cannot be guessed.

They are files in a folder for each client. Processes that share the folder (blue and green) share the pictures.
"""

import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from time import time
from typing import IO

from gateway.gemini.base64_text import decoded
from gateway.store.disk_space import check_space, refusal

NAME = r"[0-9a-f]{32}\.(?:png|jpeg|webp|gif)"
"""A picture's name: 128 random bits, and its format."""
MOST_COUNT = 1000
"""Pictures of one client; the oldest goes first."""
MOST_BYTES = 2**30
"""Bytes of the pictures of one client."""


class KeptPictures:
    """All methods block: call them in a thread."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self._folder = folder
        self.seconds = seconds

    def keep(self, scope: str, pictures: Sequence[tuple[str, str]]) -> list[str]:
        """Keep a client's pictures, each in base64 with its format. Return their names.

        Raises InsufficientStorage and OSError.
        """
        folder = self._folder / sha256(scope.encode()).hexdigest()[:32]
        names = []
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            for data, form in pictures:
                content = decoded(data)
                check_space(folder, len(content))
                name = f"{secrets.token_hex(16)}.{form}"
                new = folder / f"new-{name}"
                new.write_bytes(content)
                new.rename(folder / name)  # whole, or not at all
                names.append(name)
            self._forget(folder, time())
        except OSError as error:
            raise refusal(error) from None
        return names

    def open(self, name: str) -> tuple[IO[bytes], int] | None:
        """Return a picture's file, and the seconds until it expires; None for one that is gone, or never was."""
        for folder in self._clients():
            with suppress(FileNotFoundError):
                left = int((folder / name).stat().st_mtime + self.seconds - time())
                return ((folder / name).open("rb"), left) if left > 0 else None
        return None

    def sweep(self) -> None:
        """Delete expired pictures."""
        for folder in self._clients():
            self._forget(folder, time())
            with suppress(OSError):  # it is not empty
                folder.rmdir()

    def _clients(self) -> list[Path]:
        return [Path(entry) for entry in os.scandir(self._folder) if entry.is_dir()]

    def _forget(self, folder: Path, now: float) -> None:
        """Delete a client's pictures that have expired, and the oldest beyond the limits."""
        entries = [(entry.stat(), entry.path) for entry in os.scandir(folder)]
        entries.sort(key=lambda entry: entry[0].st_mtime, reverse=True)
        total = 0
        for i, (stat, path) in enumerate(entries):
            total += stat.st_size
            if stat.st_mtime + self.seconds <= now or i >= MOST_COUNT or total > MOST_BYTES:
                with suppress(FileNotFoundError):
                    os.unlink(path)
