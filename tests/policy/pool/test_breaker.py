"""The circuit breaker: when it opens, for how long, and what closes it."""

from gateway.policy.pool.breaker import Breaker


def open_for(breaker: Breaker, now: float) -> float:
    return breaker.cooldown.remaining(now)


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    breaker = Breaker(3, 1.0, 60.0)
    states = []
    for failed in (True, True, False, True, True, True):
        breaker.failed(0.0) if failed else breaker.succeeded()
        states.append(breaker.is_open(0.0))

    assert states == [False, False, False, False, False, True]


def test_a_restored_breaker_is_open_and_then_half_open() -> None:
    breaker = Breaker(3, 1.0, 60.0)
    breaker.restore(100.0, 104.0)
    assert (breaker.tripped, open_for(breaker, 100.0), breaker.is_open(104.0)) == (True, 4, False)
    breaker.failed(104.0)
    assert open_for(breaker, 104.0) == 2


def test_a_shorter_restored_time_does_not_replace_a_longer_one() -> None:
    breaker = Breaker(3, 1.0, 60.0)
    breaker.restore(100.0, 130.0)
    breaker.restore(100.0, 110.0)

    assert open_for(breaker, 100.0) == 30


def test_each_failure_after_its_time_opens_it_for_twice_as_long_up_to_a_bound() -> None:
    breaker, now, seconds = Breaker(1, 1.0, 60.0), 100.0, []
    for _ in range(9):
        breaker.failed(now)
        seconds.append(open_for(breaker, now))
        now += seconds[-1]
        assert not breaker.is_open(now)

    assert seconds == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_failures_of_calls_made_before_it_opened_change_nothing() -> None:
    breaker = Breaker(2, 1.0, 60.0)
    for _ in range(10):
        breaker.failed(100.0)

    assert open_for(breaker, 100.0) == 1
    breaker.failed(101.0)
    assert open_for(breaker, 101.0) == 2


def test_a_success_closes_it_and_starts_the_count_again() -> None:
    breaker = Breaker(2, 1.0, 60.0)
    breaker.failed(100.0)
    breaker.failed(100.0)
    assert breaker.tripped
    breaker.succeeded()
    assert (breaker.tripped, breaker.is_open(100.0)) == (False, False)
    breaker.failed(100.0)
    assert not breaker.is_open(100.0)
    breaker.failed(100.0)
    assert open_for(breaker, 100.0) == 1


def test_the_time_is_bounded_however_often_it_opens() -> None:
    breaker, now = Breaker(1, 1.0, 60.0), 0.0
    for _ in range(2000):
        breaker.failed(now)
        now += 60

    breaker.failed(now)
    assert open_for(breaker, now) == 60


def test_jitter_lengthens_by_a_tenth_at_most() -> None:
    seconds = []
    for jitter in (0.0, 0.5, 1.0):
        breaker = Breaker(1, 10.0, 60.0)
        breaker.failed(0.0, jitter)
        seconds.append(open_for(breaker, 0.0))

    assert seconds == [10.0, 10.5, 11.0]


def test_without_leave_to_open_failures_are_only_counted() -> None:
    breaker = Breaker(2, 1.0, 60.0)
    for _ in range(5):
        breaker.failed(0.0, may_open=False)
    assert not breaker.is_open(0.0)
    breaker.failed(0.0)
    assert breaker.is_open(0.0)
