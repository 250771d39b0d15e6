"""Waiting for a place among the requests in progress."""

import asyncio

import pytest

from gateway.errors import RateLimited
from gateway.exchange.incoming.place import wait_for_place
from gateway.policy.load.admission import Admission


def full(patience: float = 30.0) -> Admission:
    """Return an admission whose only place is taken."""
    admission = Admission(1, 10, patience)
    assert admission.try_enter()
    return admission


async def test_the_place_is_taken_when_it_comes() -> None:
    admission = full()
    waiting = asyncio.create_task(wait_for_place(admission))
    await asyncio.sleep(0)
    assert admission.queued == 1
    admission.leave()
    await waiting

    assert (admission.in_progress, admission.queued) == (1, 0)


async def test_patience_has_an_end() -> None:
    admission = full(0.01)
    with pytest.raises(RateLimited):
        await wait_for_place(admission)

    assert (admission.in_progress, admission.queued) == (1, 0)
    assert admission.refused == {"patience": 1}


@pytest.mark.row("C11")
@pytest.mark.parametrize("comes", [False, True])
async def test_c11_a_client_that_leaves_the_queue_holds_no_place(comes: bool) -> None:
    admission = full()
    waiting = asyncio.create_task(wait_for_place(admission))
    await asyncio.sleep(0)
    if comes:
        admission.leave()  # the place comes, and the client leaves at the same moment
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert (admission.in_progress, admission.queued) == (0 if comes else 1, 0)
