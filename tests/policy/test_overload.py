"""When new requests are refused: too much work for the event loop, too little memory."""

import pytest

from gateway.policy.overload import Overload

LATE, SOON = 0.05, 0.001


def busy() -> Overload:
    """Return a process whose requests had to wait for 0.4 seconds on end, until the time 10."""
    overload = Overload()
    for step in range(9):
        overload.turn_ended(LATE, 9.6 + step * LATE)
    return overload


def refused(overload: Overload, now: float, requests: int = 20) -> int:
    """Return how many of the requests of one turn are refused."""
    return sum(overload.refusal(now, has_body=True) is not None for _ in range(requests))


def test_a_single_long_wait_refuses_nothing() -> None:
    overload = Overload()
    overload.turn_ended(0.09, 10.0)

    assert overload.admits_all(10.0)
    assert refused(overload, 10.0) == 0


def test_waits_that_are_too_long_only_now_and_then_refuse_nothing() -> None:
    overload = Overload()
    for step in range(100):
        overload.turn_ended(LATE if step % 2 else SOON, 10 + step * LATE)

    assert overload.admits_all(15.0)


@pytest.mark.row("P21", "C43")
def test_p21_under_lasting_load_some_requests_of_each_turn_are_begun() -> None:
    overload = busy()

    assert not overload.admits_all(10.0)
    assert [refused(overload, 10.0), refused(overload, 10.0)] == [14, 20]
    overload.turn_ended(SOON, 10.01)
    assert refused(overload, 10.01) == 14
    assert overload.refused == {"loop": 48}


def test_refusing_ends_a_second_after_the_last_refusal() -> None:
    overload = busy()
    overload.turn_ended(SOON, 10.5)
    assert refused(overload, 10.5) == 14
    overload.turn_ended(SOON, 11.4)
    assert refused(overload, 11.4, requests=6) == 0

    assert not overload.admits_all(11.4)
    assert overload.admits_all(11.5)


@pytest.mark.row("P21")
@pytest.mark.parametrize(
    ("share", "closes", "refuses_work", "refuses_all"),
    [(0.84, False, False, False), (0.85, True, False, False), (0.91, True, False, False),
     (0.92, True, True, False), (0.96, True, True, False), (0.97, True, True, True), (3.0, True, True, True)],
)  # fmt: skip
def test_p21_memory_that_runs_short_closes_connections_and_then_refuses(
    share: float, closes: bool, refuses_work: bool, refuses_all: bool
) -> None:
    overload = Overload()
    overload.memory_share = share

    assert overload.closes_connections is closes
    assert (overload.refusal(10.0, has_body=True) == "memory") is refuses_work
    assert (overload.refusal(10.0, has_body=False) == "memory") is refuses_all
    assert overload.admits_all(10.0) is not refuses_work
    assert overload.refused["memory"] == refuses_work + refuses_all
