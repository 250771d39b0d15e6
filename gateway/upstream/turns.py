"""Looks at many objects without holding the event loop for long.

A look takes up to a microsecond, so that one at each of 5,000 streams would delay all requests by 5 ms.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")

AT_ONCE = 250
"""Objects of one turn of the loop."""
GAP = 0.005
"""Seconds between two turns."""


def in_turns(
    loop: asyncio.AbstractEventLoop,
    objects: Iterable[T],
    look: Callable[[Sequence[T]], None],
    ended: Callable[[], None] | None = None,
) -> None:
    """Call `look` with some objects at a time, the first ones at once, and then `ended`.

    An object may have left when `look` comes to it.
    """
    _go_on(loop, list(objects), look, ended)


def _go_on(
    loop: asyncio.AbstractEventLoop,
    left: list[T],
    look: Callable[[Sequence[T]], None],
    ended: Callable[[], None] | None,
) -> None:
    share = left[-AT_ONCE:]
    del left[-AT_ONCE:]
    if left:  # before the look, which may fail
        loop.call_later(GAP, _go_on, loop, left, look, ended)
    try:
        look(share)
    finally:
        if not left and ended is not None:
            ended()
