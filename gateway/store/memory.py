"""Key-value store in memory, bounded in bytes and age; the least recently used entries are removed first.

Its methods never suspend, so that a call costs little more than a look-up in a dict.
"""

import sys
from collections.abc import Mapping, Sequence

from gateway.policy.bounded import BoundedMapping
from gateway.store.key_value import StoreLimits

_OVERHEAD = 320
"""Bytes of an entry besides its key and value: object headers, a tuple, a number, a slot of the dict.
Measured with values of 50 to 5,000 characters on CPython 3.12."""
_EMPTY = sys.getsizeof("")
_LARGEST = 4
"""An entry may take one fourth of the bound, so that one does not remove all others."""


def cost(key: bytes, value: str) -> int:
    """Return the bytes that an entry takes. Python stores a text with one, two or four bytes for each character."""
    return len(key) + sys.getsizeof(value) - _EMPTY + _OVERHEAD


class MemoryStore:
    """Texts that live as long as the process."""

    errors = 0

    def __init__(self, limits: StoreLimits) -> None:
        self._limits = limits
        self._entries: BoundedMapping[bytes, tuple[str, float]] = BoundedMapping(
            limits.bound, size=lambda key, entry: cost(key, entry[0])
        )

    @property
    def size(self) -> int:
        """Bytes that all entries take."""
        return self._entries.total

    def __contains__(self, key: bytes) -> bool:
        return key in self._entries

    async def get(self, keys: Sequence[bytes], now: float) -> dict[bytes, str]:
        """Return the entries that exist and are not too old. They count as used."""
        result = {}
        for key in keys:
            entry = self._entries.get(key)
            if entry is None:
                continue
            if self._is_old(entry[1], now):
                del self._entries[key]
            else:
                result[key] = entry[0]
        return result

    async def put(self, entries: Mapping[bytes, str], now: float) -> None:
        """Store entries that are not too large."""
        for key, value in entries.items():
            self.keep(key, value, now)
        self._expire(now)

    async def close(self) -> None:
        """Do nothing: memory needs no closing."""

    def fits(self, key: bytes, value: str) -> bool:
        """Return whether an entry is small enough to be kept."""
        return cost(key, value) <= self._limits.bound // _LARGEST

    def keep(self, key: bytes, value: str, at: float) -> None:
        """Store an entry of the time `at`, if it is small enough; in any case remove an older one of the same key."""
        self._entries.pop(key, None)
        if self.fits(key, value):
            self._entries[key] = value, at

    def _expire(self, now: float) -> None:
        """Remove old entries from the least recently used end. An old one behind a younger one is removed later."""
        while self._entries:
            key, (_, at) = next(iter(self._entries.items()))
            if not self._is_old(at, now):
                break
            del self._entries[key]

    def _is_old(self, at: float, now: float) -> bool:
        return now - at > self._limits.age
