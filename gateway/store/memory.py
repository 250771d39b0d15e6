"""Thought signatures in this process: the most recently used ones, bounded in bytes and age.

Nothing here suspends, so that a caller pays no more for the interface than for a dict.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence

from gateway.store.key_value import StoreLimits

_OVERHEAD = 120
"""Bytes that an entry costs beside its key and value: headers, a tuple, a slot in the dict."""
_LARGEST = 4
"""One entry may take this part of the whole, so that a single giant cannot drive out all others."""


def cost(key: bytes, signature: str) -> int:
    """Bytes of an entry; a signature is base64, one byte to the character."""
    return len(key) + len(signature) + _OVERHEAD


class MemoryStore:
    """Signatures as long as the process lives."""

    def __init__(self, config: StoreLimits) -> None:
        self._config = config
        self._kept: OrderedDict[bytes, tuple[str, float]] = OrderedDict()
        self.bytes = 0
        """What is kept, by `cost`."""

    def __contains__(self, key: bytes) -> bool:
        return key in self._kept

    async def get(self, keys: Sequence[bytes], now: float) -> dict[bytes, str]:
        """Those that are known and not too old; they count as used."""
        found = {}
        for key in keys:
            entry = self._kept.get(key)
            if entry is None:
                continue
            if self._old(entry[1], now):
                self._drop(key)
            else:
                self._kept.move_to_end(key)
                found[key] = entry[0]
        return found

    async def put(self, found: Mapping[bytes, str], now: float) -> None:
        """Remember all that are not too big."""
        for key, signature in found.items():
            self.keep(key, signature, now)
        self._expire(now)

    async def close(self) -> None:
        """Nothing to let go of."""

    def fits(self, key: bytes, signature: str) -> bool:
        """Whether one is small enough to be kept."""
        return cost(key, signature) <= self._config.bound // _LARGEST

    def keep(self, key: bytes, signature: str, at: float) -> None:
        """Remember one that came at `at`, in place of the least recently used."""
        if key in self._kept:
            self._drop(key)
        if not self.fits(key, signature):
            return
        self._kept[key] = signature, at
        self.bytes += cost(key, signature)
        while self.bytes > self._config.bound:
            self._drop(next(iter(self._kept)))

    def _expire(self, now: float) -> None:
        """Drop old ones from the least recently used end; one that hides behind a younger follows it soon."""
        while self._kept and self._old(next(iter(self._kept.values()))[1], now):
            self._drop(next(iter(self._kept)))

    def _old(self, at: float, now: float) -> bool:
        return now - at > self._config.age

    def _drop(self, key: bytes) -> None:
        signature, _ = self._kept.pop(key)
        self.bytes -= cost(key, signature)
