"""Work counted instead of timed: the calls that a function makes are the same on every machine."""

import sys
from collections.abc import Callable
from types import FrameType

_CALLS = ("call", "c_call")


def calls_made(function: Callable[[], object]) -> int:
    """Run a function, and return how many calls of Python's and C's functions it made, those of its callees included.

    Work inside one call of C, such as a copy, counts as one call.
    """
    count = 0

    def profile(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in _CALLS

    former = sys.getprofile()
    sys.setprofile(profile)
    try:
        function()
    finally:
        sys.setprofile(former)
    return count
