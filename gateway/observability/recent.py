"""The last requests of the process, in memory, for the console.

The ring holds the records that are logged anyway, by reference: a request pays for one append.
"""

from collections import deque
from collections.abc import Iterator
from itertools import islice
from time import time
from typing import Any, NamedTuple

from gateway.observability.error_groups import ErrorGroups
from gateway.observability.request_log import RequestLog

MOST = 2000
"""Records that are held. A record has at most some kilobytes: the log has shortened its texts."""


_MAX_NOTES = 200


class Recent(NamedTuple):
    """A record with its number in this process, and the time of its end in seconds since 1970."""

    number: int
    at: float
    record: RequestLog


class RecentRequests:
    """Ring of the last records, and groups of the failed ones."""

    def __init__(self, most: int = MOST) -> None:
        self._ring: deque[tuple[float, RequestLog]] = deque(maxlen=most)
        self.newest = 0
        """Number of the last record; the first has 1."""
        self.errors = ErrorGroups()
        self._notes: deque[tuple[str, Any]] = deque(maxlen=_MAX_NOTES)
        self.noted = 0
        """Number of the last note."""

    def add(self, record: RequestLog) -> None:
        """Add a request that has ended."""
        self.newest += 1
        at = time()
        self._ring.append((at, record))
        if record.error is not None:
            self.errors.add(record, at)

    def note(self, name: str, data: Any) -> None:
        """Add an event that viewers of the tail should see, such as a cooldown. `data` can be encoded as JSON."""
        self.noted += 1
        self._notes.append((name, data))

    def notes_since(self, number: int) -> list[tuple[str, Any]]:
        """Return the notes above a number, the oldest first."""
        count = min(self.noted - number, len(self._notes))
        return list(self._notes)[len(self._notes) - count :] if count > 0 else []

    @property
    def oldest(self) -> int:
        """Number of the first record that is held; above `newest` if there is none."""
        return self.newest - len(self._ring) + 1

    def __len__(self) -> int:
        return len(self._ring)

    def newest_first(self, before: int | None = None) -> Iterator[Recent]:
        """Yield the records below a number, the newest first; all without one."""
        newest = self.newest
        skipped = 0 if before is None else max(0, newest - before + 1)
        for index, (at, record) in enumerate(islice(reversed(self._ring), skipped, None), skipped):
            yield Recent(newest - index, at, record)

    def since(self, number: int, most: int) -> list[Recent]:
        """Return the records above a number, the oldest first: of more than `most` the newest."""
        count = min(self.newest - number, len(self._ring), most)
        entries = list(islice(reversed(self._ring), max(0, count)))[::-1]
        first = self.newest - len(entries) + 1
        return [Recent(first + index, at, record) for index, (at, record) in enumerate(entries)]
