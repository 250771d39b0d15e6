"""The account of memory: what it admits, and that it is exact."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Overloaded
from gateway.policy.load.memory import LARGE, MemoryAccount, MemoryHold

MB = 1_000_000


def holds(account: MemoryAccount, *sizes: tuple[str, int]) -> list[MemoryHold]:
    """Return holds that were admitted."""
    result = []
    for owner, size in sizes:
        hold = account.open()
        hold.owner = owner
        hold.admit(size)
        result.append(hold)
    return result


def refuses(account: MemoryAccount, owner: str, size: int) -> bool:
    """Return whether a new request is refused. One that is admitted ends at once."""
    hold = account.open()
    hold.owner = owner
    try:
        hold.admit(size)
    except Overloaded:
        return hold.size == 0
    hold.release()
    return False


def test_a_refusal_says_when_to_try_again() -> None:
    account = MemoryAccount(MB)
    holds(account, ("a", MB))
    with pytest.raises(Overloaded) as caught:
        account.open().admit(1)

    error = caught.value
    assert (error.status, error.code, account.refused) == (503, "gateway_overloaded", 1)
    assert error.retry_after


def test_large_requests_use_four_fifths_and_small_ones_the_rest() -> None:
    account = MemoryAccount(100 * MB)
    holds(account, ("a", 40 * MB), ("b", 38 * MB))

    assert refuses(account, "c", 3 * MB)
    assert not refuses(account, "c", 2 * MB)
    assert not refuses(account, "c", LARGE)
    for _ in range(22 * MB // LARGE):
        holds(account, ("c", LARGE))
    assert refuses(account, "c", LARGE)


def test_one_clients_requests_use_half_together() -> None:
    account = MemoryAccount(100 * MB)
    holds(account, ("a", 30 * MB), ("b", MB))

    assert refuses(account, "a", 21 * MB)
    assert not refuses(account, "a", 20 * MB)
    assert not refuses(account, "b", 40 * MB)
    assert refuses(account, "b", 50 * MB)
    assert account.of("a") == 30 * MB


def test_a_request_may_use_more_than_the_share_and_alone_more_than_the_limit() -> None:
    account = MemoryAccount(100 * MB)
    small = holds(account, ("a", 1000))[0]
    assert not refuses(account, "a", 70 * MB)
    assert refuses(account, "a", 90 * MB)

    small.release()
    large = holds(account, ("a", 150 * MB))[0]
    large.take(100 * MB)
    with pytest.raises(Overloaded):
        large.take(100 * MB)
    assert refuses(account, "b", 1000)


def test_what_clients_have_not_read_counts() -> None:
    account = MemoryAccount(100 * MB)
    account.unsent = 50 * MB

    assert refuses(account, "a", 31 * MB)
    assert not refuses(account, "a", 30 * MB)


def test_memory_is_handed_over_to_background_work() -> None:
    account = MemoryAccount(100 * MB)
    before = holds(account, ("a", 30 * MB))[0]
    after = before.handed_over()
    before.release()

    assert (account.used, account.of("a"), after.owner) == (30 * MB, 30 * MB, "a")
    after.shrink(MB)
    assert (account.used, account.of("a")) == (MB, MB)
    after.release()
    assert (account.used, account.of("a")) == (0, 0)


def test_a_part_of_a_hold_is_detached() -> None:
    account = MemoryAccount(100 * MB)
    before = account.open()
    before.owner, before.is_shared = "a", True
    before.admit(3000)
    part = before.detached(1000)

    assert (part.size, before.size, account.used, account.of("a")) == (1000, 2000, 3000, 2000)
    before.release()
    assert (account.used, account.of("a")) == (1000, 0)
    before.admit(30 * MB)
    assert before.detached(20 * MB).owner == "a"
    assert account.of("a") == 30 * MB


@pytest.mark.row("A5")
def test_a05_small_shared_holds_of_one_client_use_half_together() -> None:
    account = MemoryAccount(MB)
    first, *others = [account.open() for _ in range(50)]
    for hold in (first, *others):
        hold.owner, hold.is_shared = "a", True
        hold.take(10_000)
    further = account.open()
    further.owner, further.is_shared = "a", True
    with pytest.raises(Overloaded):
        further.take(1)
    assert not refuses(account, "a", 10_000)
    assert not refuses(account, "b", 200_000)
    first.release()
    further.take(10_000)


def test_a_hold_without_an_account_is_never_refused() -> None:
    hold = MemoryHold.uncounted()
    hold.take(2**40)
    hold.take(2**40)

    assert hold.size == 2**41


_STEPS = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from(["admit", "take", "give", "shrink", "release", "hand over", "rename", "detach"]),
        st.integers(0, 3 * LARGE),
    ),
    max_size=40,
)


@given(_STEPS)
def test_the_account_is_the_sum_of_its_holds(steps: list[tuple[int, str, int]]) -> None:
    account = MemoryAccount(8 * LARGE)
    open_holds = [account.open() for _ in range(4)]
    parts: list[MemoryHold] = []
    open_holds[3].is_shared = True
    for number, step, size in steps:
        hold = open_holds[number]
        try:
            match step:
                case "admit":
                    hold.admit(size)
                case "take":
                    hold.take(size)
                case "give":
                    hold.give(min(size, hold.size))
                case "shrink":
                    hold.shrink(size)
                case "release":
                    hold.release()
                case "detach":
                    parts.append(hold.detached(min(size, hold.size)))
                case "rename":
                    hold.owner = f"client {size % 3}"
                case _:
                    open_holds[number] = hold.handed_over()
        except Overloaded:
            pass
        every = [*open_holds, *parts]
        assert account.used == sum(each.size for each in every)
        owners = {each.owner for each in every}
        owned = {owner: sum(each.owned for each in every if each.owner == owner) for owner in owners}
        assert {owner: account.of(owner) for owner in owners} == owned
        assert all(each.owned == (each.size if each.size > LARGE or each.is_shared else 0) for each in every)
    for hold in [*open_holds, *parts]:
        hold.release()
    assert (account.used, [account.of(each.owner) for each in open_holds]) == (0, [0] * 4)


def test_an_encoded_call_takes_what_the_body_does_not_cover() -> None:
    account = MemoryAccount(MB)
    hold = account.open()
    hold.admit(400)
    hold.covered = 100

    hold.take_encoded(70)
    hold.correct_encoded(70, 60)
    assert (hold.size, hold.covered) == (400, 40)
    hold.take_encoded(100)
    hold.correct_encoded(100, 130)
    assert (hold.size, hold.covered) == (490, 0)
    hold.correct_encoded(130, 0)
    hold.take_encoded(130)
    assert (hold.size, account.used, hold.covered) == (490, 490, 0)
    assert hold.handed_over().covered == hold.covered
    with pytest.raises(Overloaded):
        holds(account, ("a", 1))[0].take_encoded(MB)


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), max_size=20), st.integers(0, 3000))
def test_calls_that_end_cover_later_ones_and_no_byte_is_lost(sizes: list[tuple[int, int]], body: int) -> None:
    account = MemoryAccount(MB)
    hold = account.open()
    hold.covered = body
    alive = 0
    for i, (expected, size) in enumerate(sizes):
        hold.take_encoded(expected)
        hold.correct_encoded(expected, size)
        alive += size
        assert hold.size + body == alive + hold.covered
        assert hold.covered >= 0
        if i % 2:
            hold.covered += size
            alive -= size
    assert account.used == hold.size
