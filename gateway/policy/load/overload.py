"""Decision to refuse a request before it is read, while the process has more work than it can do, or too little memory.

Work: a request that has to wait for its turn in the event loop shows how much stands before it. A single long wait is
nothing to refuse for: it is one large body. If every request of three tenths of a second had to wait, work arrives
faster than it is done, and waits would grow without an end. From then on only so many requests are worked on at once,
and the rest is refused at once, which costs a fraction of an answer. While waits are short, more are allowed step by
step: most requests wait for Google and cost little. That ends once nothing had to be refused for a second.
It is the idea of CoDel (RFC 8289): not the length of a queue counts but how long it has been too long.

Memory: what the process has grown by for its requests, as a share of `limits.memory`, or the whole process as a share
of what the system gives it, whichever is more. There are three thresholds, as in the overload manager of Envoy
(https://www.envoyproxy.io/docs/envoy/latest/configuration/operations/overload_manager/overload_manager).

Times are in seconds of a monotonic clock.
"""

from collections import Counter
from typing import Literal

from gateway.policy.load.memory import MemoryAccount

Reason = Literal["loop", "memory"]

_TARGET = 0.01
"""Wait that is not too long."""
_INTERVAL = 0.3
"""Time for which each wait must be too long before requests are refused."""
_LINGER = 1.0
"""Time without a refusal after which all requests are begun again."""
_AT_ONCE = 48
"""Requests that have begun within the last seconds and not ended, above which others are refused under such load.
It is the least; the number follows the waits."""
_STEP = 0.1
"""Time between two changes of that number."""
_MORE, _FEWER = 1.25, 0.8
"""Its changes, after a step with short waits and after one with a wait that was too long."""
_GENERATION = 1.0
"""Time after which a request counts no more: it is a stream, or waits for Google, and costs little."""

_AT_REST = 0.125
"""Share of the account up to which the process counts as at rest. What it has grown by is then no work in progress, but
connections, and free memory in pieces that cannot be given back. New requests use these first."""
CLOSE_KEEP_ALIVE = 0.85
"""Share of the memory from which on connections are closed after each answer."""
REFUSE_WORK = 0.92
"""Share of the memory from which on requests with a body are refused."""
REFUSE_ALL = 0.97
"""Share of the memory from which on everything but health checks and metrics is refused."""


class Overload:
    """State of one process."""

    def __init__(self) -> None:
        self.memory_share = 0.0
        """Memory in use, as a share of what may be used."""
        self.base_memory = 0
        """Bytes of the process when it began to serve."""
        self.resident_memory = 0
        """Bytes of the process."""
        self.stored_memory = 0
        """Bytes that the stores hold, which are bounded by `state` and `cache`."""
        self.retained_memory = 0
        """Bytes that the process had grown by, besides the stores, when it was last at rest."""
        self.most_memory = 0
        """Bytes that the system gives the process; 0 if unknown."""
        self.refused: Counter[Reason] = Counter()
        self._late_since: float | None = None
        """Begin of the time in which each wait was too long."""
        self._busy_until = float("-inf")
        self._at_once: float = _AT_ONCE
        self._step_began = float("-inf")
        self._step_was_late = False
        self._generation = 2
        """Number of the current second or so."""
        self._until = float("-inf")
        """End of it."""
        self._young = {2: 0, 1: 0}
        """Requests in progress that began in this and in the last generation."""

    def measure(self, resident: int, stored: int, account: MemoryAccount) -> None:
        """Note the bytes of the process and of its stores, and set `memory_share`."""
        self.base_memory = self.base_memory or max(1, resident - stored)
        self.resident_memory, self.stored_memory = resident, stored
        growth = max(0, resident - self.base_memory - stored)
        in_use = account.used - account.kept + account.unsent
        at_rest = in_use <= account.limit * _AT_REST
        self.retained_memory = growth if at_rest else min(self.retained_memory, growth)
        share = (growth - self.retained_memory) / account.limit
        self.memory_share = max(share, resident / self.most_memory if self.most_memory else 0.0)

    def turn_ended(self, wait: float, now: float) -> None:
        """Note how long a request that arrived `wait` ago had to wait for the loop."""
        is_late = wait >= _TARGET
        if now < self._busy_until:
            self._follow(now, is_late=is_late)
        if not is_late:
            self._late_since = None
            return
        if self._late_since is None:
            self._late_since = now - wait
        if now - self._late_since >= _INTERVAL:
            if now >= self._busy_until:
                self._at_once, self._step_began, self._step_was_late = _AT_ONCE, now, False
            self._busy_until = now + _LINGER

    def _follow(self, now: float, *, is_late: bool) -> None:
        """Allow more requests at once while waits are short, fewer while they are not."""
        self._step_was_late |= is_late
        if now - self._step_began >= _STEP:
            self._at_once = max(_AT_ONCE, self._at_once * (_FEWER if self._step_was_late else _MORE))
            self._step_began, self._step_was_late = now, False

    def admits_all(self, now: float) -> bool:
        """Return whether no request has to be refused now."""
        return now >= self._busy_until and self.memory_share < REFUSE_WORK

    @property
    def closes_connections(self) -> bool:
        """Whether connections are closed after each answer, so that their buffers are freed."""
        return self.memory_share >= CLOSE_KEEP_ALIVE

    def refusal(self, now: float, *, has_body: bool) -> Reason | None:
        """Return why a new request is refused, None if it is not."""
        if self.memory_share >= REFUSE_WORK and (has_body or self.memory_share >= REFUSE_ALL):
            self.refused["memory"] += 1
            return "memory"
        if now >= self._busy_until or sum(self._young.values()) < self._at_once:
            return None
        self._busy_until = now + _LINGER
        self.refused["loop"] += 1
        return "loop"

    def begin(self, now: float) -> int:
        """Count a request that is begun. Return its generation, to be given to `end`."""
        if now >= self._until:
            last = (
                {self._generation: self._young[self._generation]} if now < self._until + _GENERATION else {}
            )
            self._generation += 1
            self._young = {self._generation: 0, **last}
            self._until = now + _GENERATION
        self._young[self._generation] += 1
        return self._generation

    def end(self, generation: int) -> None:
        """Count a request that has ended."""
        if generation in self._young:
            self._young[generation] -= 1
