"""Work that would keep the event loop busy is done in a thread."""

import asyncio
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

HEAVY = 128 * 1024
"""Bytes of a body from which on its decoding, translation and encoding are done in a thread."""


async def offload(heavy: bool, work: Callable[[*Ts], T], *arguments: *Ts) -> T:
    """Return what `work` returns. Heavy work runs in a thread, so that other requests do not wait for it."""
    return await asyncio.to_thread(work, *arguments) if heavy else work(*arguments)
