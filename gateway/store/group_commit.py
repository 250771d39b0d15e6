"""Group commit: one thread that writes all that was queued while it wrote before, in one transaction."""

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Generic, TypeVar

T = TypeVar("T")


class GroupCommit(threading.Thread, Generic[T]):
    """Daemon thread that hands queued items to `commit`, in order and as many as there are.

    `commit` returns None, or the seconds after which it is called again even if nothing was queued, to retry.
    `finish` is called in the thread when it ends.
    """

    def __init__(
        self,
        name: str,
        commit: Callable[[list[T]], float | None],
        finish: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._commit = commit
        self._finish = finish
        self._queue: SimpleQueue[T | _End] = SimpleQueue()
        self._working_since: float | None = None

    def put(self, item: T) -> None:
        """Queue an item. May be called from any thread."""
        self._queue.put(item)

    def is_stuck(self, seconds: float) -> bool:
        """Return whether one call of `commit` has taken so long, or the thread has ended by an exception."""
        since = self._working_since
        return not self.is_alive() or (since is not None and monotonic() - since > seconds)

    def end(self, timeout: float) -> bool:
        """Commit what is queued and end the thread. Blocks. Return False if that takes more than `timeout` seconds."""
        self._queue.put(_End())
        self.join(timeout)
        return not self.is_alive()

    def run(self) -> None:
        wait, running = None, True
        while running:
            items: list[T] = []
            for item in self._take(wait):
                if isinstance(item, _End):
                    running = False
                else:
                    items.append(item)
            self._working_since = monotonic()
            wait = self._commit(items)
            self._working_since = None
        self._finish()

    def _take(self, wait: float | None) -> "list[T | _End]":
        """Return all queued items. Wait for the first one, at most `wait` seconds."""
        items: list[T | _End] = []
        try:
            items.append(self._queue.get(timeout=wait))
            while not self._queue.empty():  # no other thread takes from it
                items.append(self._queue.get_nowait())
        except Empty:
            pass
        return items


class _End:
    """Last item of the queue."""
