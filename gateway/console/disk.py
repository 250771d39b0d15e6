"""Whether the configuration on disk is the one in use: checked when the file has changed, while somebody asks."""

import asyncio
import os
from time import monotonic

from gateway.console.process import Checked, Process
from gateway.console.sources import unexpected

_AGE = 5.0
"""Seconds between two looks at the file."""
_WAIT = 0.02
"""Seconds that an answer waits for a check, before it shows the one before."""
_Seen = tuple[str, int, int, float]


class Disk:
    """The last check. There is one at a time; it builds an application, which takes a tenth of a second."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._checked: Checked | None = None
        self._seen: _Seen | None = None
        self._at = float("-inf")
        self._checking: asyncio.Task[None] | None = None

    async def check(self) -> Checked | None:
        """Return how the file on disk differs; None where that is not known."""
        if self._checking is None and monotonic() - self._at > _AGE:
            self._at = monotonic()
            seen = self._look()
            if seen is not None and seen != self._seen:
                self._checking = asyncio.create_task(self._check(seen), name="check of the configuration")
        if self._checking is not None:
            await asyncio.wait({self._checking}, timeout=_WAIT)
        return self._checked

    @property
    def file(self) -> str | None:
        """Name of the file."""
        return self._process.configuration()[1].file if self._process.configuration is not None else None

    def _look(self) -> _Seen | None:
        """Return the state of the file, and which configuration is in use; None without a file."""
        if self._process.configuration is None or self._process.on_disk is None:
            return None
        _, source, loaded = self._process.configuration()
        try:
            status = os.stat(source.file)
        except (OSError, ValueError):
            return None
        return source.file, status.st_mtime_ns, status.st_size, loaded

    async def _check(self, seen: _Seen) -> None:
        on_disk = self._process.on_disk
        try:
            if on_disk is not None:
                self._checked, self._seen = await asyncio.to_thread(on_disk), seen
        except Exception as error:  # noqa: BLE001 - of plugins, which are built for the check
            unexpected(error)
        finally:
            self._checking = None
