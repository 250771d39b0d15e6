"""The C library's allocator, told to give large blocks back to the system.

glibc raises its threshold for blocks with a mapping of their own up to 32 MiB once such a block was freed
(mallopt(3), M_MMAP_THRESHOLD), so that bodies come to lie among small blocks, which keep their pages in use for ever.
Another C library is left alone.
"""

import asyncio
import ctypes
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from gateway.policy.load.memory import MemoryAccount

_C = ctypes.CDLL(None)
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_THRESHOLD = 128 * 1024
"""Bytes from which on a block has a mapping of its own; setting it ends its growth."""
_ARENAS = 2
"""Heaps: threads that decode bodies would each have one of their own, whose free pages the others cannot use."""
_EVERY = 1.0
"""Seconds between two looks."""
_WORTHWHILE = 32 * 2**20
"""Bytes that requests have given back since the last trim."""


def tune() -> None:
    """Fix the threshold and the number of heaps, once at the start of the process."""
    mallopt = getattr(_C, "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _THRESHOLD)
        mallopt(_M_ARENA_MAX, _ARENAS)


def trim() -> None:
    """Give the free pages of all heaps back to the system."""
    malloc_trim = getattr(_C, "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)


@asynccontextmanager
async def trimming(account: MemoryAccount, trim: Callable[[], None] = trim) -> AsyncIterator[None]:
    """Trim in a thread, while the context lasts, whenever large requests have given much back."""
    task = asyncio.create_task(_keep_trimming(account, account.given_back, trim), name="trim")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _keep_trimming(account: MemoryAccount, trimmed: int, trim: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(_EVERY)
        if account.given_back - trimmed >= _WORTHWHILE:
            trimmed = account.given_back
            await asyncio.to_thread(trim)
