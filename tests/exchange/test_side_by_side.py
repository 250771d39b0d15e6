"""Calls that run at the same time: their order, and what a failure ends."""

import asyncio
import gc
import weakref

import pytest

from gateway.errors import BadRequest
from gateway.exchange.side_by_side import side_by_side


class Body:
    """Something that must not outlive its call."""


async def test_results_come_in_the_order_of_the_calls() -> None:
    first = asyncio.Event()

    async def slow() -> int:
        await first.wait()
        return 1

    async def quick() -> int:
        first.set()
        return 2

    assert await side_by_side([slow(), quick()]) == [1, 2]


async def test_a_failure_ends_the_others_and_nothing_keeps_what_they_held() -> None:
    kept: list[weakref.ref[Body]] = []
    cancelled = []

    async def fail() -> None:
        body = Body()
        kept.append(weakref.ref(body))
        error = BadRequest("no")  # the error's traceback refers to this frame, and the frame to the error
        await asyncio.sleep(0)
        raise error

    async def wait() -> None:
        body = Body()
        kept.append(weakref.ref(body))
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    gc.disable()
    try:
        with pytest.raises(BadRequest):
            await side_by_side([fail(), fail(), wait()])
        assert cancelled == [True]
        await asyncio.sleep(0)  # the loop lets go of the futures
        assert [reference() for reference in kept] == [None, None, None]
    finally:
        gc.enable()
