"""Circuit breaker: stop using what keeps failing, and try it again after a while.

The states are those of Nygard's "Release It!": closed (in use), open (not used), and half-open (tried again, after the
time is over and until a success closes it). https://martinfowler.com/bliki/CircuitBreaker.html
"""

from gateway.policy.pool.cooldown import Cooldown

FAILING = "failing"
"""Reason of a breaker's cooldowns."""


class Breaker:
    """Opens after `threshold` failures in a row, for `shortest` seconds, and twice as long each time it opens again."""

    __slots__ = ("_longest", "_shortest", "_threshold", "cooldown", "failures", "openings")

    def __init__(self, threshold: int, shortest: float, longest: float) -> None:
        self._threshold, self._shortest, self._longest = threshold, shortest, longest
        self.openings = 0
        """Since a call has succeeded; 0 while it is closed."""
        self.failures = 0
        """In a row. Failures of calls that were made before it opened do not count."""
        self.cooldown = Cooldown()

    @property
    def tripped(self) -> bool:
        """Whether it has opened and no call has succeeded since: it is open or half-open."""
        return self.openings > 0

    def is_open(self, now: float) -> bool:
        """Return whether the thing is not to be used now."""
        return self.cooldown.remaining(now) > 0

    def failed(self, now: float, jitter: float = 0.0, *, may_open: bool = True) -> None:
        """Count a failure, and open when it is one too many, or when the breaker was half-open.

        `jitter` from [0, 1) lengthens the time by up to a tenth. `may_open=False` counts only: there is nothing else
        to use.
        """
        if self.is_open(now):
            return
        self.failures += 1
        if may_open and (self.tripped or self.failures >= self._threshold):
            seconds = min(self._longest, self._shortest * 2.0 ** min(self.openings, 30)) * (1 + jitter / 10)
            self.openings += 1
            self.cooldown.start(FAILING, now, now + seconds)

    def restore(self, now: float, until: float) -> None:
        """Open until a time, as a breaker that this one replaces was."""
        self.openings = max(1, self.openings)
        self.cooldown.start(FAILING, now, until)

    def succeeded(self) -> None:
        """Close: the count of failures starts again."""
        self.failures = self.openings = 0
        if self.cooldown.until:
            self.cooldown = Cooldown()
