"""Memory of one stream from Gemini, in the account of its request."""

from typing import Self

from gateway.policy.load.memory import MemoryHold

_UNCOUNTED = 64 * 1024
"""Bytes from which on a change is accounted for."""
_EVENT_COPIES = 4
"""Copies of a large event that exist at once: its pieces or bytes, its decoded text, and the client's event."""


class StreamMemory:
    """Memory of a stream until its end: its text, because citations refer to it, and an incomplete event."""

    __slots__ = (
        "_counted", "_hold", "_received",
    )  # fmt: skip

    def __init__(self, hold: MemoryHold) -> None:
        self._hold = hold
        self._received = 0
        self._counted = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._counted:
            self._hold.give(self._counted)

    def arrived(self, size: int, waiting: int) -> None:
        """Count bytes that have arrived, while `waiting` bytes before them wait for the rest of their event.

        Raises Overloaded.
        """
        self._received += size
        change = self._received + waiting * _EVENT_COPIES - self._counted
        if change > _UNCOUNTED:
            self._hold.take(change)
            self._counted += change
        elif change < -_UNCOUNTED:
            self._hold.give(-change)
            self._counted += change
