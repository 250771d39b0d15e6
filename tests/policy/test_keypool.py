"""The pool, row by row of robustness.md U35 to U46: (event, time) and then who is asked next, or how long to wait."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import (
    BadRequest,
    Forbidden,
    GatewayError,
    NotFound,
    NoUsableKey,
    PoolExhausted,
    Quota,
    RateLimited,
    Unauthorized,
    UpstreamError,
    UpstreamTimeout,
)
from gateway.policy.google_quota import midnight
from gateway.policy.keypool import Cancelled, KeyPool, Lease, Ok, PoolConfig, PoolUpdate, Project, outcome

NOON = datetime(2026, 11, 24, 20, tzinfo=UTC).timestamp()
"""Noon in California; midnight is 12 hours away."""
M = "gemini-2.5-flash"
PER_MINUTE = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"
PER_DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
TOKENS = "GenerateContentInputTokensPerModelPerMinute-FreeTier"


def pool(*names: str, keys: int = 1, **config: Any) -> KeyPool:
    projects = [Project(name, tuple(f"{name}-{i}" for i in range(keys))) for name in names or ("a", "b")]
    return KeyPool(projects, PoolConfig(**config))


def limited(*quotas: Quota, after: float | None = None, code: str | None = None) -> RateLimited:
    error = RateLimited("spent", retry_after=after, code=code, upstream_status=429)
    error.quotas = quotas
    return error


def refused(message: str = "API key not valid.", status: int = 400) -> Unauthorized:
    return Unauthorized(message, upstream_status=status)


def fail(found: KeyPool, error: GatewayError, now: float, model: str = M, **fields: Any) -> Lease:
    """One attempt that ends so; its lease."""
    lease = found.acquire(model, now, **fields)
    found.settle(lease, outcome(error), now, 0.0)
    return lease


def wait(found: KeyPool, now: float, model: str = M) -> float:
    with pytest.raises(PoolExhausted) as caught:
        found.acquire(model, now)
    assert caught.value.retry_after is not None
    return caught.value.retry_after


ROWS: list[tuple[str, GatewayError, float]] = [
    ("U35 the client's mistake", BadRequest("no", upstream_status=400), 0),
    (
        "U35 a model that this project may not use",
        Forbidden("no access to the model", upstream_status=403),
        0,
    ),
    ("U40 RetryInfo of 34 s", limited(Quota(PER_MINUTE), after=34), 34),
    ("U40 a per-minute quota without RetryInfo", limited(Quota(PER_MINUTE)), 60),
    ("U41 RetryInfo alone", limited(after=7), 7),
    ("U41 less than a second", limited(after=0.2), 1),
    ("U41 absurdly long", limited(after=1e9), 3600),
    ("U41 negative", limited(after=-1), 1),
    ("U41 nothing told: short", limited(), 1),
    ("U42 per day: until midnight in California", limited(Quota(PER_DAY), after=17), 12 * 3600),
    ("U42 no free tier for this model", limited(Quota(PER_MINUTE, value=0), after=17), 12 * 3600),
    ("U42 no credit left", limited(code="insufficient_quota"), 12 * 3600),
    ("U44 one 503", UpstreamError("overloaded", status=503), 0),
]


@pytest.mark.parametrize(("name", "error", "rest"), ROWS, ids=[row[0] for row in ROWS])
def test_how_long_a_project_rests(name: str, error: GatewayError, rest: float) -> None:
    found = pool("a")
    fail(found, error, NOON)

    if rest:
        assert wait(found, NOON) == pytest.approx(rest)
        assert wait(found, NOON + rest - 0.5) == pytest.approx(0.5)
    assert found.acquire(M, NOON + rest + 0.001).project == "a"


def test_u36_a_refused_key_makes_way_for_another() -> None:
    found = pool("a", keys=2)
    first = fail(found, refused(), NOON)
    others = {found.acquire(M, NOON + i).key for i in range(10)}

    assert first.key not in others
    assert len(others) == 1


def test_u36_a_refused_key_is_tried_once_more_after_its_time_and_no_oftener() -> None:
    found = pool("a", reprobe=60.0)
    fail(found, refused(), NOON)
    for second in range(0, 60, 7):
        with pytest.raises(NoUsableKey):
            found.acquire(M, NOON + second)
    probe = found.acquire(M, NOON + 61)
    with pytest.raises(NoUsableKey):  # U38: one probe a minute, also while it is under way
        found.acquire(M, NOON + 62)
    found.settle(probe, Ok(), NOON + 63, 0.0)

    assert found.acquire(M, NOON + 64).project == "a"


def test_u37_a_leaked_key_is_out_for_good_also_after_a_restart() -> None:
    found = pool("a")
    lease = found.acquire(M, NOON)
    leaked = Forbidden("Your API key was reported as leaked.", upstream_status=403)
    changes = found.settle(lease, outcome(leaked), NOON, 0.0)
    again = pool("a")
    for change in changes:
        again.apply(change, NOON + 5)

    for one in (found, again):
        with pytest.raises(NoUsableKey):
            one.acquire(M, NOON + 365 * 86400)
    assert [(state.state, state.reason) for state in again.describe(NOON + 5)] == [("refused", "leaked")]


def test_a_suspended_project_rests_with_all_its_keys() -> None:
    found = pool("a", "b", keys=3)
    error = Forbidden("Consumer 'x' has been suspended.", upstream_status=403)
    first = fail(found, error, NOON)

    assert {found.acquire(M, NOON + i).project for i in range(9)} == {"a", "b"} - {first.project}
    assert first.project in {found.acquire(M, NOON + 3601 + i).project for i in range(9)}


def test_u40_the_other_project_serves_meanwhile_and_other_models_go_on() -> None:
    found = pool("a", "b")
    cooling_down = fail(found, limited(Quota(PER_MINUTE), after=34), NOON).project

    assert {found.acquire(M, NOON + i).project for i in range(10)} == {"a", "b"} - {cooling_down}
    assert {found.acquire("gemini-2.5-pro", NOON).project for _ in range(4)} == {"a", "b"}


def test_a_quota_rests_the_model_it_names_and_the_name_that_was_asked() -> None:
    found = pool("a")
    fail(found, limited(Quota(PER_DAY, "gemini-3.5-flash")), NOON, "gemini-flash-latest")

    assert wait(found, NOON, "gemini-flash-latest") == wait(found, NOON, "gemini-3.5-flash") == 12 * 3600


def test_u43_the_soonest_is_told() -> None:
    found = pool("a", "b")
    fail(found, limited(Quota(PER_MINUTE), after=50), NOON)
    fail(found, limited(Quota(PER_MINUTE), after=20), NOON)

    assert wait(found, NOON + 5) == pytest.approx(15)
    with pytest.raises(PoolExhausted) as caught:
        found.acquire(M, NOON + 5)
    assert caught.value.should_retry is None
    fail(found, limited(Quota(PER_DAY)), NOON + 21)
    assert wait(found, NOON + 22) == pytest.approx(28)


def test_u44_failures_in_a_row_rest_one_project_but_never_the_last() -> None:
    found = pool("a", "b")
    for i in range(40):
        fail(found, UpstreamTimeout("slow", upstream_status=504), NOON + i / 100)

    assert found.acquire(M, NOON + 1).project in "ab"  # somebody is always asked


def test_u45_after_its_rest_a_failing_project_gets_one_call_at_a_time_until_one_goes_well() -> None:
    found = pool("a", "b")
    leases = [found.acquire(M, NOON) for _ in range(10)]
    for lease in leases:
        if lease.project == "a":
            found.settle(lease, outcome(UpstreamError("x", status=503)), NOON, 0.0)
        else:
            found.settle(lease, Ok(), NOON, 0.0)
    assert {found.acquire(M, NOON + 0.5).project for _ in range(4)} == {"b"}
    probes = [found.acquire(M, NOON + 2) for _ in range(6)]
    assert [lease.project for lease in probes].count("a") == 1
    found.settle(next(lease for lease in probes if lease.project == "a"), Ok(), NOON + 2, 0.0)

    assert [found.acquire(M, NOON + 3).project for _ in range(6)].count("a") > 1


def test_untold_limits_rest_longer_each_time_and_a_success_forgets_them() -> None:
    found = pool("a")
    now, rests = NOON, []
    for _ in range(7):
        lease = found.acquire(M, now)
        found.settle(lease, outcome(limited()), now, 0.999)
        rests.append(round(wait(found, now)))
        now += rests[-1] + 1
    found.settle(found.acquire(M, now), Ok(), now, 0.0)
    found.settle(found.acquire(M, now), outcome(limited()), now, 0.999)

    assert rests == [2, 4, 8, 16, 32, 60, 60]
    assert round(wait(found, now)) == 2


@pytest.mark.parametrize(
    ("day", "hours"), [((2026, 3, 8), 23), ((2026, 11, 1), 25), ((2026, 7, 1), 24), ((2026, 12, 31), 24)]
)
def test_a_day_at_google_ends_at_midnight_in_california(day: tuple[int, int, int], hours: int) -> None:
    begin = midnight(datetime(*day, 1, tzinfo=UTC).timestamp())  # the evening before, there

    assert midnight(begin + 1) - begin == hours * 3600
    assert midnight(begin - 1) == begin


def test_ceilings_that_a_429_told_are_not_run_into_again() -> None:
    found = pool("a")
    fail(found, limited(Quota(PER_MINUTE, value=3), after=1), NOON)
    later = NOON + 120
    for i in range(3):
        found.settle(found.acquire(M, later + i), Ok(10), later + i, 0.0)

    assert wait(found, later + 10) == pytest.approx(50)
    assert found.acquire(M, later + 60.5).project in "ab"


def test_token_ceilings_count_what_was_spent() -> None:
    found = pool("a")
    fail(found, limited(Quota(TOKENS, value=1000), after=1), NOON)
    later = NOON + 120
    found.settle(found.acquire(M, later, tokens=5000), Ok(900), later, 0.0)  # alone in its window: let it try

    with pytest.raises(PoolExhausted):
        found.acquire(M, later + 1, tokens=200)
    assert found.acquire(M, later + 1, tokens=50).project in "ab"


def test_a_conversation_stays_with_its_project_while_that_is_free() -> None:
    found = pool("a", "b", "c", "d")
    homes = {i: found.acquire(M, NOON, affinity=b"%d" % i).project for i in range(40)}
    assert len(set(homes.values())) == 4
    assert {i: found.acquire(M, NOON, affinity=b"%d" % i).project for i in range(40)} == homes
    fail(found, limited(Quota(PER_MINUTE), after=30), NOON, affinity=b"0")
    moved = {i: found.acquire(M, NOON, affinity=b"%d" % i).project for i in range(40)}

    assert all(moved[i] == home for i, home in homes.items() if home != homes[0])
    assert homes[0] not in moved.values()


def test_tried_projects_come_last_and_a_pinned_one_alone() -> None:
    found = pool("a", "b")
    assert {found.acquire(M, NOON, tried={"a"}).project for _ in range(5)} == {"b"}
    assert found.acquire(M, NOON, tried={"a", "b"}).project in "ab"
    fail(found, limited(after=30), NOON, only="b")

    with pytest.raises(PoolExhausted):
        found.acquire(M, NOON, only="b")
    assert found.acquire(M, NOON, tried={"a"}).project == "a"


def test_only_one_project_may_be_asked_or_it_is_told_why_not() -> None:
    found = KeyPool(
        [Project("a", ("k",), ("gemma-*",)), Project("b", ("l",)), Project("c", ("m",))], PoolConfig()
    )
    assert {found.acquire(M, NOON, only="c", affinity=b"%d" % i, tried=("c",)).project for i in range(9)} == {
        "c"
    }
    fail(found, limited(Quota(PER_MINUTE), after=30), NOON, only="c")
    fail(found, refused(), NOON, only="b")

    with pytest.raises(PoolExhausted, match="has these files") as cooling_down:
        found.acquire(M, NOON, only="c")
    assert cooling_down.value.retry_after == pytest.approx(30)
    with pytest.raises(NoUsableKey):
        found.acquire(M, NOON, only="b")
    with pytest.raises(Forbidden, match="does not serve"):
        found.acquire(M, NOON, only="a")
    with pytest.raises(NotFound):
        found.acquire(M, NOON, only="d")


def test_files_of_a_client_stay_together_where_all_models_are_served() -> None:
    projects = [Project("a", ("k",), ("gemma-*",)), Project("b", ("l",)), Project("c", ("m",))]
    found = KeyPool(projects, PoolConfig(affinity=False, select="round_robin"))
    homes = [{found.acquire("", NOON, affinity=b"%d" % i).project for _ in range(5)} for i in range(20)]

    assert {len(home) for home in homes} == {1}
    assert set.union(*homes) == {"b", "c"}
    assert KeyPool(projects[:1], PoolConfig()).acquire("", NOON).project == "a"


def test_round_robin_takes_turns_and_patterns_choose_projects() -> None:
    found = pool("a", "b", "c", select="round_robin")
    assert [found.acquire(M, NOON).project for _ in range(6)] == ["b", "c", "a", "b", "c", "a"]
    mixed = KeyPool([Project("a", ("k",), ("gemini-2*",)), Project("b", ("l",), ("gemma-*",))], PoolConfig())
    assert mixed.acquire("gemma-3", NOON).project == "b"
    with pytest.raises(NoUsableKey):
        mixed.acquire("imagen-4", NOON)


@pytest.mark.parametrize("jump", [-3600.0, 3600.0, -86400.0, 86400.0 * 400])
def test_p19_a_clock_that_jumps_lengthens_no_rest(jump: float) -> None:
    found = pool("a")
    fail(found, limited(Quota(PER_MINUTE, value=5), after=34), NOON)
    now = NOON + jump
    rests = [state.until - now for state in found.describe(now) if state.until is not None]

    assert all(0 < rest <= 34 for rest in rests)
    assert found.acquire(M, now + 61).project == "a"


def test_changes_rebuild_a_pool_and_strangers_are_ignored() -> None:
    found = pool("a", "b", keys=2)
    fail(found, limited(Quota(PER_DAY)), NOON)
    fail(found, refused(), NOON, "gemma-3")
    again = pool("a", "b", keys=2)
    for change in found.changes(NOON):
        again.apply(change, NOON)
        again.apply(change, NOON)
    again.apply(PoolUpdate("gone", "", M, "day", NOON + 99), NOON)
    again.apply(PoolUpdate("a", "nobody", "", "bad", NOON + 99), NOON)

    assert again.changes(NOON) == found.changes(NOON)
    assert len(again.changes(NOON)) == 2


def test_a_lease_settles_once() -> None:
    found = pool("a")
    lease = found.acquire(M, NOON)
    found.settle(lease, Cancelled(), NOON, 0.0)
    found.settle(lease, outcome(limited(after=50)), NOON, 0.0)

    assert found.acquire(M, NOON).project in "ab"
    assert [state.in_flight for state in found.describe(NOON) if state.model] == [1]


ERRORS: Sequence[GatewayError | None] = [
    None, BadRequest("x"), refused(), Forbidden("was reported as leaked", upstream_status=403), limited(),
    limited(after=float("nan")), limited(Quota(PER_DAY, value=-5)), limited(Quota("?", "other", 3), after=0),
    UpstreamError("x", status=503), UpstreamTimeout("x"),
]  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(-4000, 4000), st.booleans()), max_size=60))
def test_whatever_happens_it_lends_or_says_why_and_counts_right(
    events: list[tuple[int, float, bool]],
) -> None:
    found = pool("a", "b", "c", keys=2)
    now, held = NOON, []
    for kind, passed, keep in events:
        now += passed
        try:
            lease = found.acquire(M, now, tokens=kind)
        except (PoolExhausted, NoUsableKey) as error:
            assert error.retry_after is None or 0 < error.retry_after <= 25 * 3600  # noqa: PT017
            continue
        if keep:
            held.append(lease)
        else:
            found.settle(lease, outcome(ERRORS[kind], kind), now, kind / 10)

    in_flight = sum(state.in_flight for state in found.describe(now))
    assert in_flight == len(held)
