"""Places for requests in progress, and the queue for them."""

import asyncio

import pytest

from gateway.errors import RateLimited
from gateway.policy.load.admission import Admission


class Clock:
    """A clock that a test turns."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def admission(clock: Clock) -> Admission:
    """Two places, three that may wait a second."""
    return Admission(2, 3, 1.0, clock)


def turn() -> "asyncio.Future[None]":
    return asyncio.get_running_loop().create_future()


def test_places_are_limited_and_given_back() -> None:
    admission = Admission(1)
    with admission, pytest.raises(RateLimited) as caught, admission:
        pass

    assert caught.value.retry_after == 1
    assert admission.in_progress == 0
    assert admission.refused == {"places": 1}


async def test_a_place_passes_to_the_first_that_waits(admission: Admission) -> None:
    turns = [turn(), turn()]
    assert [admission.try_enter() for _ in range(3)] == [True, True, False]
    for each in turns:
        admission.join(each)
    admission.leave()

    assert [each.done() for each in turns] == [True, False]
    assert (admission.in_progress, admission.queued) == (2, 1)
    admission.withdraw(turns[1])
    admission.leave()
    admission.leave()
    assert (admission.in_progress, admission.queued) == (0, 0)


async def test_a_wait_that_has_ended_gets_no_place(admission: Admission) -> None:
    assert admission.try_enter()
    assert admission.try_enter()
    first, second = turn(), turn()
    admission.join(first)
    admission.join(second)
    first.cancel()
    admission.leave()

    assert second.done()
    assert admission.in_progress == 2


@pytest.mark.row("C43")
async def test_c43_the_queue_is_bounded(admission: Admission) -> None:
    admission.try_enter()
    admission.try_enter()
    for _ in range(3):
        admission.join(turn())
    with pytest.raises(RateLimited, match="2 requests are in progress"):
        admission.join(turn())

    assert admission.refused == {"places": 1}


@pytest.mark.row("C43")
async def test_c43_a_body_is_not_awaited_where_the_wait_for_a_place_is_hopeless(admission: Admission) -> None:
    admission.try_enter()
    admission.check()
    admission.try_enter()
    admission.check()  # the queue has room
    for _ in range(3):
        admission.join(turn())
    with pytest.raises(RateLimited, match="2 requests are in progress"):
        admission.check()

    assert (admission.in_progress, admission.queued) == (2, 3)


@pytest.mark.row("C43")
@pytest.mark.parametrize(("pace", "queued"), [(0.1, 3), (0.4, 2), (0.9, 1), (1.1, 0)])
async def test_c43_nobody_waits_whose_turn_comes_too_late(
    admission: Admission, clock: Clock, pace: float, queued: int
) -> None:
    admission.try_enter()
    admission.try_enter()
    for _ in range(5):  # places come free at this pace, and are taken again at once
        clock.now += pace
        waiting = turn()
        admission._queue.append(waiting)
        admission.leave()
    for _ in range(4):
        try:
            admission.join(turn())
        except RateLimited:
            break

    assert admission.queued == queued


async def test_nobody_waits_while_no_place_comes_free_at_all(admission: Admission, clock: Clock) -> None:
    admission.try_enter()
    admission.try_enter()
    clock.now += 1.5
    with pytest.raises(RateLimited):
        admission.join(turn())
