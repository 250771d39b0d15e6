"""The key pool: keys that Google refuses, projects that it has suspended, and what the operator puts back."""

import pytest

from gateway.errors import (
    NotFound,
    NoUsableKey,
)
from gateway.policy.pool.call_outcome import Cancelled, Ok, Refused, outcome
from gateway.policy.pool.projects import ADVICE, PoolUpdate
from tests.support.pools import (
    FAILURE,
    LEAKED,
    NOON,
    SPENT,
    SUSPENDED,
    M,
    cooldowns,
    fail,
    limited,
    pool,
    refused,
    succeed,
)


def test_a_refused_key_makes_way_for_the_project_s_others() -> None:
    keys = pool("a", keys=2)
    first = keys.acquire(M, NOON)
    updates = keys.settle(first, outcome(refused()), NOON + 1, 0.0)

    assert updates == [PoolUpdate("a", first.key_id, "", "bad", NOON + 3601, NOON + 1)]
    assert {keys.acquire(M, NOON + 1 + i).key for i in range(10)} == {"a-0", "a-1"} - {first.key}
    assert cooldowns(keys, NOON + 1) == {("a", first.key_id): ("bad", 3600)}


def test_a_refused_key_is_tried_once_after_its_time_and_by_one_call_only() -> None:
    keys = pool("a", reprobe=60.0)
    fail(keys, refused(), NOON)
    for second in range(0, 60, 7):
        with pytest.raises(NoUsableKey):
            keys.acquire(M, NOON + second)
    trial = keys.acquire(M, NOON + 61)
    assert cooldowns(keys, NOON + 61) == {("a", trial.key_id): ("bad", 60)}
    with pytest.raises(NoUsableKey):
        keys.acquire(M, NOON + 62)
    keys.settle(trial, Ok(), NOON + 63, 0.0)

    assert keys.acquire(M, NOON + 64).project == "a"


@pytest.mark.parametrize("end", [Refused(), Cancelled()])
def test_a_trial_that_shows_nothing_is_repeated_after_a_minute(end: Refused | Cancelled) -> None:
    """Otherwise a client's 400 would keep out for an hour what may be a good key."""
    keys = pool("a")
    fail(keys, refused(), NOON)
    trial = keys.acquire(M, NOON + 3601)
    keys.settle(trial, end, NOON + 3602, 0.0)

    assert cooldowns(keys, NOON + 3602) == {("a", trial.key_id): ("bad", 60)}


def test_o23_a_project_without_credit_is_not_lent_for_any_model_and_the_others_serve() -> None:
    keys = pool("a", "b", keys=2, reprobe=600.0)
    lease = keys.acquire(M, NOON, only="a")
    updates = keys.settle(lease, outcome(SPENT), NOON + 1, 0.0)

    assert updates == [PoolUpdate("a", "", "", "spent", NOON + 601, NOON + 1)]
    for model in (M, "gemini-3-pro", "gemini-embedding-001", ""):
        assert {keys.acquire(model, NOON + 2).project for _ in range(6)} == {"b"}
    (state,) = [state for state in keys.describe(NOON + 2) if state.reason]
    assert (state.project, state.key_id, state.model, state.state) == ("a", "", "", "refused")
    assert "https://ai.studio/spend" in ADVICE[state.reason]
    fail(keys, SPENT, NOON + 3)
    with pytest.raises(NoUsableKey, match="no credit left"):
        keys.acquire(M, NOON + 4)


@pytest.mark.parametrize("end", [SPENT, None, *(outcome(error) for error in (FAILURE, limited()))])
def test_o23_one_call_tries_a_project_without_credit_each_reprobe(end: object) -> None:
    """What the trial shows counts: credit again, still none, or nothing, which is tried again in a minute."""
    keys = pool("a", keys=3, reprobe=600.0)
    fail(keys, SPENT, NOON)
    with pytest.raises(NoUsableKey):
        keys.acquire("gemini-3-pro", NOON + 599)
    trial = keys.acquire(M, NOON + 601)
    with pytest.raises(NoUsableKey):
        keys.acquire("gemini-3-pro", NOON + 602)
    result = Ok() if end is None else outcome(SPENT) if end is SPENT else end
    keys.settle(trial, result, NOON + 603, 0.0)  # type: ignore[arg-type]  # an outcome of any kind

    expected = {None: None, SPENT: ("spent", 600)}.get(end, ("spent", 60))  # type: ignore[call-overload]  # the same
    assert cooldowns(keys, NOON + 603).get(("a", "")) == expected
    if end is None:
        assert {keys.acquire(M, NOON + 604).key for _ in range(6)} == {"a-0", "a-1", "a-2"}


def test_o23_a_project_is_put_back_after_its_cap_was_raised() -> None:
    here, restarted = pool("a"), pool("a")
    fail(here, SPENT, NOON)
    for update in here.changes(NOON + 1):
        restarted.apply(update, NOON + 1)
    with pytest.raises(NoUsableKey):
        restarted.acquire(M, NOON + 2)
    restarted.put_back("a", "", NOON + 3)

    assert succeed(restarted, NOON + 4).project == "a"


@pytest.mark.row("A1")
@pytest.mark.parametrize("end", [Refused(9), Cancelled()])
def test_a01_a_clients_own_mistake_neither_brings_a_key_back_nor_ends_a_cooldown(
    end: Refused | Cancelled,
) -> None:
    keys = pool("a", "b")
    leases = [keys.acquire(M, NOON, only="a") for _ in range(7)]
    keys.settle(leases[0], outcome(LEAKED), NOON, 0.0)
    keys.settle(leases[1], outcome(limited()), NOON, 0.5)
    before = cooldowns(keys, NOON)
    for lease in leases[2:]:
        assert keys.settle(lease, end, NOON, 0.0) == []

    assert cooldowns(keys, NOON) == before


@pytest.mark.row("A1")
def test_a01_a_retired_key_can_be_put_back_here_and_elsewhere() -> None:
    here, elsewhere = pool("a", keys=2), pool("a", keys=2)
    lease = here.acquire(M, NOON)
    for update in here.settle(lease, outcome(LEAKED), NOON, 0.0):
        elsewhere.apply(update, NOON)
    updates = here.put_back("a", lease.key_id, NOON + 10)
    for update in updates:
        elsewhere.apply(update, NOON + 11)

    assert cooldowns(here, NOON + 10) == cooldowns(elsewhere, NOON + 11) == {}
    assert here.changes(NOON + 10) == []
    fail(elsewhere, refused(), NOON + 12)
    for update in updates:  # other machines are told for a minute; what they learn meanwhile stays
        elsewhere.apply(update, NOON + 13)
    assert [reason for reason, _ in cooldowns(elsewhere, NOON + 13).values()] == ["bad"]


@pytest.mark.parametrize(
    ("project", "key", "message"),
    [
        ("c", "", "There is no project 'c' in the pool."),
        ("c", "k", "There is no project 'c' with key 'k' in the pool."),
        ("a", "00000000", "There is no project 'a' with key '00000000' in the pool."),
    ],
)
def test_a_key_that_is_not_in_the_pool_cannot_be_put_back(project: str, key: str, message: str) -> None:
    with pytest.raises(NotFound) as caught:
        pool("a", keys=2).put_back(project, key, NOON)

    assert (caught.value.message, caught.value.code) == (message, "not_found")


@pytest.mark.parametrize("whole", [False, True])
def test_other_machines_are_told_for_a_minute_what_was_put_back(whole: bool) -> None:
    keys = pool("a", "b", keys=2)
    ids = [state.key_id for state in keys.describe(NOON) if state.project == "a"]

    assert keys.put_back("a", "" if whole else ids[1], NOON) == [
        PoolUpdate("a", key_id, "", "put_back", NOON + 60, NOON)
        for key_id in (["", *ids] if whole else ids[1:])
    ]


@pytest.mark.parametrize(("refused_at", "stays"), [(NOON + 4, False), (NOON + 5, False), (NOON + 6, True)])
@pytest.mark.parametrize("of_key", [False, True])
def test_the_later_of_a_refusal_and_a_return_counts_in_whatever_order_they_arrive(
    refused_at: float, stays: bool, of_key: bool
) -> None:
    key_id = succeed(pool("a"), NOON).key_id if of_key else ""
    refusal = PoolUpdate("a", key_id, "", "bad", NOON + 100, refused_at)
    back = PoolUpdate("a", key_id, "", "put_back", NOON + 65, NOON + 5)
    for updates in ((refusal, back), (back, refusal), (back, refusal, refusal, back)):
        keys = pool("a")
        for update in updates:
            keys.apply(update, NOON + 7)
        assert cooldowns(keys, NOON + 7) == ({("a", key_id): ("bad", 93)} if stays else {})


@pytest.mark.row("A1")
def test_a01_a_project_is_put_back_with_all_its_keys() -> None:
    keys = pool("a", "b", keys=2)
    fail(keys, LEAKED, NOON, only="a")
    fail(keys, SUSPENDED, NOON, only="a")
    fail(keys, LEAKED, NOON, only="b")
    keys.put_back("a", "", NOON + 1)

    assert {project for project, _ in cooldowns(keys, NOON + 1)} == {"b"}


def test_a_leaked_key_is_out_for_ten_years_also_after_a_restart() -> None:
    keys = pool("a")
    lease = keys.acquire(M, NOON)
    updates = keys.settle(lease, outcome(LEAKED), NOON, 0.0)
    restarted = pool("a")
    for update in updates:
        restarted.apply(update, NOON + 5)

    for each in (keys, restarted):
        with pytest.raises(NoUsableKey):
            each.acquire(M, NOON + 365 * 86400)
    assert [(state.state, state.reason) for state in restarted.describe(NOON + 5)] == [("refused", "leaked")]


def test_a_suspended_project_cools_down_for_an_hour_with_all_its_keys() -> None:
    keys = pool("a", "b", keys=3)
    lease = keys.acquire(M, NOON)
    updates = keys.settle(lease, outcome(SUSPENDED), NOON, 0.0)
    other = "ab".replace(lease.project, "")

    assert updates == [PoolUpdate(lease.project, "", "", "suspended", NOON + 3600, NOON)]
    assert cooldowns(keys, NOON) == {(lease.project, ""): ("suspended", 3600)}
    assert {keys.acquire(M, NOON + 3599).project for _ in range(9)} == {other}
    assert lease.project in {keys.acquire(M, NOON + 3601).project for _ in range(9)}


def test_a_success_of_an_earlier_call_does_not_bring_a_leaked_key_back() -> None:
    keys = pool("a")
    earlier, later = keys.acquire(M, NOON), keys.acquire(M, NOON + 1)
    keys.settle(later, outcome(LEAKED), NOON + 2, 0.0)
    keys.settle(earlier, Ok(0), NOON + 3, 0.0)

    with pytest.raises(NoUsableKey):
        keys.acquire(M, NOON + 4)


def test_a_look_for_a_free_project_does_not_use_up_the_trial_of_a_refused_key() -> None:
    keys = pool("a", reprobe=60.0)
    fail(keys, refused(), NOON)

    assert [project.name for project in keys.free(M, NOON + 61)] == ["a"]
    assert keys.acquire(M, NOON + 61).key == "a-0"
