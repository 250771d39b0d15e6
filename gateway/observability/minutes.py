"""Requests by minute for a day, from differences of the statistics: a request pays nothing for them."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import accumulate
from time import time
from typing import NamedTuple

from gateway.observability.statistics import FIRST_BYTES, Statistics

MINUTE = 60
_KEPT = 25 * 60
"""Minutes that are kept: those of a day, and of the hour before."""
_CLIENT_GONE = 499


class Counts(NamedTuple):
    """Requests by outcome."""

    ok: int = 0
    saved: int = 0
    """Answered after a failed call of Gemini."""
    refused: int = 0
    """Answered with a 4xx."""
    failed: int = 0
    """Answered with a 5xx, or with an error inside a stream."""
    first_bytes: tuple[int, ...] = (0,) * (len(FIRST_BYTES) + 1)
    """Streams by time to the first content, in the buckets of the metric."""

    @property
    def requests(self) -> int:
        """All of them."""
        return self.ok + self.saved + self.refused + self.failed

    def minus(self, other: "Counts") -> "Counts":
        """Return what has been counted since another reading."""
        streams = tuple(a - b for a, b in zip(self.first_bytes, other.first_bytes, strict=True))
        return Counts(
            self.ok - other.ok,
            self.saved - other.saved,
            self.refused - other.refused,
            self.failed - other.failed,
            streams,
        )

    def percentile_ms(self, share: float) -> float | None:
        """Return the time to the first content that a share of the streams stayed below, in milliseconds.

        It is interpolated within its bucket. None without a stream.
        """
        return percentile_ms(self.first_bytes, FIRST_BYTES, share)

    def bucket_ms(self, share: float) -> tuple[float, float | None] | None:
        """Return the bounds, in milliseconds, between which `percentile_ms` lies for certain; None without a stream.

        The upper one is None for the last bucket, which has none.
        """
        rest = sum(self.first_bytes) * share
        if not rest:
            return None
        at = next(i for i, count in enumerate(accumulate(self.first_bytes)) if count >= rest)
        return 1000 * (0.0, *FIRST_BYTES)[at], 1000 * FIRST_BYTES[at] if at < len(FIRST_BYTES) else None


def percentile_ms(counts: Iterable[int], bounds: tuple[float, ...], share: float) -> float | None:
    """Return the value below which a share of counted numbers lies, interpolated within its bucket, times 1000."""
    numbers = list(counts)
    rest = sum(numbers) * share
    if not rest:
        return None
    low = 0.0
    for count, high in zip(numbers, (*bounds, bounds[-1]), strict=True):
        if count >= rest:
            return round(1000 * (low + (high - low) * rest / count), 1)
        rest -= count
        low = high
    return round(1000 * low, 1)


def total(counts: Iterable[Counts]) -> Counts:
    """Return the sum of counts."""
    entries = list(counts)
    if not entries:
        return Counts()
    return Counts(
        sum(entry.ok for entry in entries),
        sum(entry.saved for entry in entries),
        sum(entry.refused for entry in entries),
        sum(entry.failed for entry in entries),
        tuple(map(sum, zip(*(entry.first_bytes for entry in entries), strict=True))),
    )


class Minutes:
    """Counts of each minute. `clock` returns seconds since 1970."""

    def __init__(self, statistics: Statistics, clock: Callable[[], float] = time) -> None:
        self._statistics = statistics
        self._clock = clock
        self._ended: deque[tuple[int, Counts]] = deque(maxlen=_KEPT)
        """Minutes since 1970 and their counts, oldest first."""
        self._minute = int(clock() // MINUTE)
        self._before = self._read()
        """Reading at the begin of the current minute."""
        self.began = clock()

    def tick(self) -> None:
        """End the minute if it is over. Those of a pause have no entry."""
        minute = int(self._clock() // MINUTE)
        if minute != self._minute:
            now = self._read()
            self._ended.append((self._minute, now.minus(self._before)))
            self._minute, self._before = minute, now

    def between(self, start: float, end: float) -> list[tuple[int, Counts]]:
        """Return the begin, in seconds since 1970, and the counts of each minute that begins within a time."""
        self.tick()
        minutes = [*self._ended, (self._minute, self._read().minus(self._before))]
        return [(number * MINUTE, counts) for number, counts in minutes if start <= number * MINUTE < end]

    @asynccontextmanager
    async def sampling(self) -> AsyncIterator[None]:
        """End the minutes while the context is open."""
        task = asyncio.create_task(self._sample(), name="minutes of the statistics")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _sample(self) -> None:
        while True:
            await asyncio.sleep(MINUTE - self._clock() % MINUTE + 0.01)
            self.tick()

    def _read(self) -> Counts:
        ok = refused = failed = 0
        for (_, status), count in self._statistics.exchanges.items():
            if status < 400 or status == _CLIENT_GONE:
                ok += count
            elif status < 500:
                refused += count
            else:
                failed += count
        saved, broken = self._statistics.saved, self._statistics.broken
        histograms = [model.first_byte.counts for model in self._statistics.models.values()]
        streams = tuple(map(sum, zip(*histograms, strict=True))) or Counts().first_bytes
        return Counts(ok - saved - broken, saved, refused, failed + broken, streams)
