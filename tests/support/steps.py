"""A cost of Python code that does not depend on the machine: the lines and calls that it runs."""

import sys
from collections.abc import Callable
from typing import Any


def steps(work: Callable[[], Any]) -> int:
    """Return how many lines of Python a call runs, comprehensions included. Work inside C functions is not counted."""
    return Meter().run(work)


class Meter:
    """Counts the lines that run in the current thread. `stop_at` raises TooManySteps from inside the work."""

    def __init__(self, stop_at: int = sys.maxsize) -> None:
        self.count = 0
        self._stop_at = stop_at

    def run(self, work: Callable[[], Any]) -> int:
        """Run the work and return its steps."""
        before = sys.gettrace()
        sys.settrace(self._trace)
        try:
            work()
        finally:
            sys.settrace(before)
        return self.count

    def _trace(self, frame: Any, event: str, argument: Any) -> Any:
        self.count += 1
        if self.count > self._stop_at:
            raise TooManySteps(self.count)
        return self._trace


class TooManySteps(BaseException):
    """The work ran more lines than it may. Not an Exception, so that no code under test catches it."""
