"""Waiting for an event, in place of sleeping for a time."""

import asyncio
from collections.abc import Callable

_MOST = 30.0
"""Seconds until a test fails; a busy machine needs many times what an idle one does."""


async def eventually(condition: Callable[[], object]) -> None:
    """Return once a condition holds. Raises TimeoutError if it does not for 30 seconds."""
    async with asyncio.timeout(_MOST):
        while not condition():
            await asyncio.sleep(0.005)
