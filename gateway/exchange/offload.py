"""Work that would keep the event loop busy is done in a thread."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

HEAVY = 128 * 1024
"""Bytes of a body from which on its decoding, translation and encoding are done in a thread."""
HEAVY_ANSWER = 32 * 1024
"""Bytes of an answer from which on it is read and encoded in a thread: 13 bytes of it may become 1 KB of frames."""

_THREADS = ThreadPoolExecutor(2, thread_name_prefix="heavy")
"""Few threads: they share one interpreter with the event loop, which waits up to 5 ms for each of them, and a second
one lets a heavy body pass another. DNS and the stores have threads of their own."""


async def offload(heavy: bool, work: Callable[[*Ts], T], *arguments: *Ts) -> T:
    """Return what `work` returns. Heavy work runs in a thread, so that other requests do not wait for it."""
    if not heavy:
        return work(*arguments)
    return await asyncio.get_running_loop().run_in_executor(_THREADS, work, *arguments)


_CODECS = ThreadPoolExecutor(2, thread_name_prefix="codec")
"""Threads of their own, because a minute of audio takes longer than a heavy body. Codecs let the event loop run."""


async def in_codec_thread(work: Callable[[*Ts], T], *arguments: *Ts) -> T:
    """Return what `work` returns, which encodes or decodes media."""
    return await asyncio.get_running_loop().run_in_executor(_CODECS, work, *arguments)
