"""When new requests are refused: too much work for the event loop, too little memory."""

import pytest

from gateway.policy.load.memory import MemoryAccount
from gateway.policy.load.overload import Overload

LATE, SOON = 0.05, 0.001


def busy() -> Overload:
    """Return a process whose requests had to wait for 0.4 seconds on end, until the time 10."""
    overload = Overload()
    for step in range(9):
        overload.turn_ended(LATE, 9.6 + step * LATE)
    return overload


def refused(overload: Overload, now: float, requests: int = 100) -> int:
    """Return how many of so many requests are refused; the others are begun."""
    count = 0
    for _ in range(requests):
        if overload.refusal(now, has_body=True) is None:
            overload.begin(now)
        else:
            count += 1
    return count


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
def test_p21_under_lasting_load_a_bounded_number_is_worked_on() -> None:
    overload = busy()

    assert not overload.admits_all(10.0)
    assert [refused(overload, 10.0), refused(overload, 10.0)] == [52, 100]
    generation = overload.begin(10.0)
    for _ in range(11):
        overload.end(generation)
    assert refused(overload, 10.01) == 90
    assert overload.refused == {"loop": 242}


@pytest.mark.row("P21", "C43")
def test_p21_requests_that_wait_for_google_are_not_refused_for_long() -> None:
    """200 requests a second that take a second each are no load, once the moment that was too much has passed."""
    overload = busy()
    ends = [(10 + number / 200, overload.begin(10.0)) for number in range(200)]
    times: list[float] = []
    for number in range(2_000):
        now = 10 + number / 200
        while ends and ends[0][0] <= now:
            overload.end(ends.pop(0)[1])
        overload.turn_ended(SOON, now)
        if overload.refusal(now, has_body=True) is None:
            ends.append((now + 1, overload.begin(now)))
        else:
            times.append(now)

    assert times
    assert times[-1] < 12
    assert overload.admits_all(20.0)


def test_fewer_requests_are_allowed_while_waits_are_long() -> None:
    overload = busy()
    for step in range(20):
        overload.turn_ended(SOON, 10 + step / 10)
        refused(overload, 10 + step / 10, requests=1000)
    many = overload._at_once
    for step in range(40):
        overload.turn_ended(LATE, 12 + step / 10)

    assert many > 200
    assert overload._at_once == 48


def test_requests_that_take_long_make_room() -> None:
    overload = busy()
    assert refused(overload, 10.0) == 52
    assert refused(overload, 10.9, requests=5) == 5
    assert refused(overload, 11.1, requests=5) == 5  # those of the last second still count
    overload._busy_until = 20.0
    overload.begin(12.2)
    assert refused(overload, 12.3) == 53


def test_the_end_of_a_request_of_long_ago_counts_for_nothing() -> None:
    overload = busy()
    old = overload.begin(1.0)
    overload.begin(10.0)
    overload.end(old)
    overload.end(0)

    assert refused(overload, 10.0) == 53


def test_refusing_ends_a_second_after_the_last_refusal() -> None:
    overload = busy()
    assert refused(overload, 10.5) == 52

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


MB = 10**6


def serving(held: int = 0) -> tuple[Overload, MemoryAccount]:
    """Return a process of 60 MB that serves with a limit of 400 MB, and its account, of which some MB are in use."""
    overload, account = Overload(), MemoryAccount(400 * MB)
    overload.measure(60 * MB, 0, account)
    hold = account.open()
    hold.admit(held * MB)
    return overload, account


@pytest.mark.row("A5", "P21")
def test_a05_full_stores_are_no_reason_to_refuse() -> None:
    """Stores that were filled to their own bounds refused every request while nothing was in progress."""
    overload, account = serving(held=200)
    overload.measure((60 + 256 + 200) * MB, 256 * MB, account)

    assert overload.memory_share == 0.5
    assert overload.admits_all(1.0)


@pytest.mark.row("A5", "P21")
def test_a05_memory_that_stays_after_a_load_refuses_nothing() -> None:
    overload, account = serving()
    hold = account.open()
    hold.admit(300 * MB)
    overload.measure(500 * MB, 0, account)
    assert overload.closes_connections
    hold.release()
    overload.measure(480 * MB, 0, account)
    assert (overload.memory_share, overload.retained_memory) == (0.0, 420 * MB)

    hold.admit(100 * MB)
    overload.measure(500 * MB, 0, account)
    assert overload.memory_share == 0.05
    overload.measure(150 * MB, 0, account)  # given back after all
    overload.measure(460 * MB, 0, account)
    assert overload.memory_share == 310 / 400


@pytest.mark.row("A5", "P21")
def test_a05_events_that_are_kept_for_readers_are_no_work() -> None:
    overload, account = serving()
    hold = account.open()
    hold.admit(100 * MB)
    hold.keep()
    overload.measure(470 * MB, 0, account)
    assert (overload.memory_share, account.kept) == (0.0, 100 * MB)

    hold.release()
    assert (account.kept, account.used) == (0, 0)


@pytest.mark.row("A5", "P21")
def test_a05_growth_that_the_account_does_not_see_is_refused_under_load() -> None:
    overload, account = serving(held=60)
    overload.measure(440 * MB, 0, account)

    assert overload.memory_share == 0.95
    assert overload.refusal(1.0, has_body=True) == "memory"


@pytest.mark.row("A5", "P21")
def test_a05_the_limit_of_the_unit_counts_even_at_rest() -> None:
    overload, account = serving()
    overload.most_memory = 500 * MB
    overload.measure(470 * MB, 300 * MB, account)

    assert overload.memory_share == 0.94
    assert overload.refusal(1.0, has_body=True) == "memory"
