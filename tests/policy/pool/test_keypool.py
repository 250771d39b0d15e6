"""The key pool: after an event at a time, which project is used next, or how long to wait."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import (
    BadRequest,
    Forbidden,
    GatewayError,
    NoUsableKey,
    PoolExhausted,
    Quota,
    UpstreamError,
    UpstreamTimeout,
)
from gateway.policy.pool import google_quota
from gateway.policy.pool.call_outcome import Broken, Cancelled, Ok, Refused, outcome
from gateway.policy.pool.keypool import KeyPool
from gateway.policy.pool.projects import PUT_BACK, PoolConfig, PoolUpdate, Project
from tests.support.pools import (
    FAILURE,
    LEAKED,
    NOON,
    PER_DAY,
    PER_MINUTE,
    TOKENS,
    M,
    cooldowns,
    fail,
    fail_in_a_row,
    limited,
    pool,
    refused,
    succeed,
    wait,
)

ROWS: list[tuple[str, GatewayError, float, str]] = [
    ("the client's mistake", BadRequest("no", upstream_status=400), 0, ""),
    ("a model without access", Forbidden("no access to the model", upstream_status=403), 0, ""),
    ("`suspended` in an error that is not a 403", BadRequest("suspended", upstream_status=400), 0, ""),
    ("RetryInfo of 34 s", limited(Quota(PER_MINUTE), after=34), 34, "minute"),
    ("a quota per minute without RetryInfo", limited(Quota(PER_MINUTE)), 60, "minute"),
    ("RetryInfo alone", limited(after=7), 7, "minute"),
    ("less than a second", limited(after=0.2), 1, "minute"),
    ("longer than an hour", limited(after=1e9), 3600, "minute"),
    ("a negative delay", limited(after=-1), 1, "minute"),
    ("no details", limited(), 1, "limited"),
    ("a quota per day: until midnight in California", limited(Quota(PER_DAY), after=17), 12 * 3600, "day"),
    ("a model without free tier", limited(Quota(PER_MINUTE, value=0), after=17), 12 * 3600, "day"),
    ("no credit left", limited(code="insufficient_quota"), 12 * 3600, "day"),
    ("one 503", UpstreamError("overloaded", upstream_status=503), 0, ""),
]


@pytest.mark.parametrize(("name", "error", "seconds", "reason"), ROWS, ids=[row[0] for row in ROWS])
def test_how_long_a_project_cools_down_and_why(
    name: str, error: GatewayError, seconds: float, reason: str
) -> None:
    keys = pool("a")
    fail(keys, error, NOON)

    assert cooldowns(keys, NOON) == ({("a", M): (reason, seconds)} if seconds else {})
    if seconds:
        assert wait(keys, NOON) == pytest.approx(seconds)
        assert wait(keys, NOON + seconds - 0.5) == pytest.approx(0.5)
    assert keys.acquire(M, NOON + seconds + 0.001).project == "a"


@pytest.mark.parametrize(
    ("error", "seconds"),
    [(limited(after=20), 21), (limited(Quota(PER_MINUTE)), 63), (limited(Quota(PER_DAY)), 12 * 3600)],
)
def test_jitter_lengthens_a_cooldown_by_a_tenth_at_most_but_no_day(
    error: GatewayError, seconds: float
) -> None:
    keys = pool("a")
    fail(keys, error, NOON, jitter=0.5)

    assert wait(keys, NOON) == pytest.approx(seconds)


def test_a_spent_quota_concerns_one_project_and_one_model() -> None:
    keys = pool("a", "b")
    spent = fail(keys, limited(Quota(PER_MINUTE), after=34), NOON).project

    assert {keys.acquire(M, NOON + i).project for i in range(10)} == {"a", "b"} - {spent}
    assert {keys.acquire("gemini-2.5-pro", NOON).project for _ in range(4)} == {"a", "b"}


def test_a_quota_concerns_the_model_it_names_and_the_model_that_was_called() -> None:
    keys = pool("a")
    fail(keys, limited(Quota(PER_DAY, "gemini-3.5-flash")), NOON, "gemini-flash-latest")

    assert wait(keys, NOON, "gemini-flash-latest") == wait(keys, NOON, "gemini-3.5-flash") == 12 * 3600


def test_other_machines_learn_the_models_of_a_limit_its_reason_and_its_end() -> None:
    keys = pool("a")
    lease = keys.acquire("gemini-flash-latest", NOON)
    updates = keys.settle(lease, outcome(limited(Quota(PER_DAY, "gemini-3.5-flash"))), NOON, 0.0)

    assert updates == [
        PoolUpdate("a", "", model, "day", NOON + 12 * 3600)
        for model in ("gemini-3.5-flash", "gemini-flash-latest")
    ]


def test_retry_after_is_the_shortest_wait() -> None:
    keys = pool("a", "b")
    fail(keys, limited(Quota(PER_MINUTE), after=50), NOON)
    fail(keys, limited(Quota(PER_MINUTE), after=20), NOON)
    assert wait(keys, NOON + 5) == pytest.approx(15)
    fail(keys, limited(Quota(PER_DAY)), NOON + 21)
    assert wait(keys, NOON + 22) == pytest.approx(28)


def test_the_message_says_whether_quota_or_failures_keep_the_projects_out() -> None:
    keys, messages = pool("a", "b"), []
    for reasons in (("failing", "failing"), ("failing", "minute"), ("minute", "minute")):
        for project, reason in zip("ab", reasons, strict=True):
            keys.apply(PoolUpdate(project, "", M, reason, NOON + 9), NOON)
        with pytest.raises(PoolExhausted) as caught:
            keys.acquire(M, NOON)
        messages.append(caught.value.message)

    projects = "All Google projects of this gateway"
    assert messages == [
        f"{projects} are cooling down after failed calls.",
        f"{projects} have used up the quota for {M} or are cooling down after failed calls.",
        f"{projects} have used up the quota for {M}.",
    ]


@pytest.mark.parametrize(
    ("model", "error", "cause"),
    [
        (M, limited(after=1), f"has used up the quota for {M}"),
        ("", limited(after=1), "has used up the quota"),
        (M, FAILURE, "is cooling down after failed calls"),
    ],
)
def test_the_message_for_files_names_their_project_alone(model: str, error: GatewayError, cause: str) -> None:
    keys = pool("a", "b")
    for lease in [keys.acquire(model, NOON, only="a") for _ in range(5)]:
        keys.settle(lease, outcome(error), NOON, 0.0)
    with pytest.raises(PoolExhausted) as caught:
        keys.acquire(model, NOON + 0.5, only="a")

    assert caught.value.message == f"The Google project that holds these files {cause}."


@pytest.mark.parametrize(("seconds", "should_retry"), [(60, None), (61, False), (3600, False)])
def test_sdks_must_not_retry_after_more_than_a_minute(seconds: float, should_retry: bool | None) -> None:
    keys = pool("a")
    fail(keys, limited(after=seconds), NOON)
    with pytest.raises(PoolExhausted) as caught:
        keys.acquire(M, NOON)

    assert caught.value.should_retry is should_retry


def test_a_shorter_cooldown_does_not_replace_a_longer_one() -> None:
    keys = pool("a")
    leases = [keys.acquire(M, NOON) for _ in range(3)]
    for lease, seconds in zip(leases, (20, 50, 30), strict=True):
        keys.settle(lease, outcome(limited(after=seconds)), NOON, 0.0)
    assert wait(keys, NOON) == pytest.approx(50)
    keys.apply(PoolUpdate("a", "", M, "minute", NOON + 40), NOON)
    assert wait(keys, NOON) == pytest.approx(50)
    keys.apply(PoolUpdate("a", "", M, "day", NOON + 60), NOON)
    assert cooldowns(keys, NOON) == {("a", M): ("day", 60)}


def test_others_learn_of_the_longest_cooldown_not_of_the_last_one() -> None:
    keys = pool("a")
    first, second = keys.acquire(M, NOON), keys.acquire(M, NOON)
    (day,) = keys.settle(first, outcome(limited(Quota(PER_DAY))), NOON, 0.0)
    (sent,) = keys.settle(second, outcome(limited(after=2.0)), NOON + 1, 0.0)

    assert sent == day
    assert (sent.reason, sent.until) == ("day", NOON + 12 * 3600)


def test_five_failures_in_a_row_take_a_project_out_for_twice_as_long_each_time() -> None:
    keys, now, seconds = pool("a", "b"), NOON, []
    fail_in_a_row(keys, 4, now)
    assert cooldowns(keys, now) == {}
    for _ in range(7):
        fail_in_a_row(keys, 1, now)
        ((reason, left),) = cooldowns(keys, now).values()
        assert reason == "failing"
        assert {keys.acquire(M, now, tried=("b",)).project for _ in range(3)} == {"b"}
        seconds.append(left)
        now += left

    assert seconds == [1, 2, 4, 8, 16, 30, 30]


def test_a_success_starts_the_count_of_failures_again() -> None:
    keys = pool("a", "b")
    for _ in range(3):
        fail_in_a_row(keys, 4, NOON)
        succeed(keys, NOON, only="a")
    assert cooldowns(keys, NOON) == {}
    fail_in_a_row(keys, 5, NOON)
    assert cooldowns(keys, NOON) == {("a", M): ("failing", 1)}
    succeed(keys, NOON + 1, only="a")
    fail_in_a_row(keys, 5, NOON + 1)
    assert cooldowns(keys, NOON + 1) == {("a", M): ("failing", 1)}


def test_jitter_lengthens_the_cooldown_of_a_failing_project() -> None:
    keys = pool("a", "b")
    fail_in_a_row(keys, 5, NOON, jitter=0.5)

    assert cooldowns(keys, NOON) == {("a", M): ("failing", 1.05)}


def test_the_last_free_project_is_never_taken_out_for_failures() -> None:
    keys = pool("a", "b")
    fail(keys, limited(Quota(PER_DAY)), NOON, only="b")
    fail_in_a_row(keys, 40, NOON)
    assert keys.acquire(M, NOON + 1).project == "a"
    assert ("a", M) not in cooldowns(keys, NOON + 1)


def test_after_its_cooldown_a_failing_project_gets_one_call_at_a_time_until_one_succeeds() -> None:
    keys = pool("a", "b")
    fail_in_a_row(keys, 5, NOON)
    assert {keys.acquire(M, NOON + 0.5).project for _ in range(4)} == {"b"}
    trials = [lease for lease in (keys.acquire(M, NOON + 2) for _ in range(6)) if lease.project == "a"]
    assert len(trials) == 1
    keys.settle(trials[0], Ok(), NOON + 2, 0.0)

    assert [keys.acquire(M, NOON + 3).project for _ in range(6)].count("a") > 1


def test_a_rebuilt_pool_tries_a_failing_project_with_one_call_at_a_time() -> None:
    keys, rebuilt = pool("a", "b"), pool("a", "b")
    fail_in_a_row(keys, 5, NOON)
    for update in keys.changes(NOON):
        rebuilt.apply(update, NOON)
    assert cooldowns(rebuilt, NOON) == {("a", M): ("failing", 1)}

    assert [rebuilt.acquire(M, NOON + 2).project for _ in range(6)].count("a") == 1


def test_limits_without_details_take_longer_each_time_and_a_success_forgets_them() -> None:
    keys = pool("a")
    now, waits = NOON, []
    for _ in range(7):
        fail(keys, limited(), now, jitter=0.999)
        waits.append(round(wait(keys, now)))
        now += waits[-1] + 1
    succeed(keys, now)
    fail(keys, limited(), now, jitter=0.999)

    assert waits == [2, 4, 8, 16, 32, 60, 60]
    assert round(wait(keys, now)) == 2


def test_a_thousand_limits_without_details_cool_down_for_a_minute_at_most() -> None:
    keys, now = pool("a"), NOON
    for _ in range(1100):
        fail(keys, limited(), now, jitter=1.0)
        now += wait(keys, now)

    assert now - NOON <= 1100 * 60


def test_a_limit_that_a_429_named_is_not_exceeded_again() -> None:
    keys = pool("a")
    fail(keys, limited(Quota(PER_MINUTE, value=3), after=1), NOON)
    later = NOON + 120
    for i in range(3):
        succeed(keys, later + i)

    assert wait(keys, later + 10) == pytest.approx(50)
    assert keys.acquire(M, later + 60.5).project == "a"


def test_a_learned_limit_is_shown_while_it_keeps_a_project_out_and_is_not_stored() -> None:
    keys = pool("a")
    fail(keys, limited(Quota(PER_MINUTE, value=1), after=1), NOON)
    assert cooldowns(keys, NOON) == {("a", M): ("learned_limit", 60)}
    assert wait(keys, NOON + 1) == pytest.approx(59)
    assert [(update.reason, update.until - NOON) for update in keys.changes(NOON)] == [("minute", 1)]
    assert keys.changes(NOON + 1) == []
    assert cooldowns(keys, NOON + 60) == {}


def test_a_limit_of_tokens_counts_used_and_wanted_ones() -> None:
    keys = pool("a")
    fail(keys, limited(Quota(TOKENS, value=1000), after=1), NOON)
    later = NOON + 120
    keys.settle(keys.acquire(M, later, tokens=900), Ok(900), later, 0.0)

    with pytest.raises(PoolExhausted):
        keys.acquire(M, later + 1, tokens=200)
    assert keys.acquire(M, later + 1, tokens=50).project == "a"


def test_a_prompt_of_unknown_size_may_use_a_limit_of_tokens_up() -> None:
    keys = pool("a")
    fail(keys, limited(Quota(TOKENS, value=1000), after=1), NOON)
    later = NOON + 120
    keys.settle(keys.acquire(M, later), Ok(1000), later, 0.0)

    assert keys.others(M, (), later + 1)
    assert [project.name for project in keys.free(M, later + 1)] == ["a"]
    assert keys.acquire(M, later + 1).project == "a"


@pytest.mark.row("P19")
@pytest.mark.parametrize("jump", [-3600.0, 3600.0, -86400.0, 86400.0 * 400])
def test_a_clock_that_jumps_lengthens_no_cooldown(jump: float) -> None:
    keys = pool("a")
    fail(keys, limited(Quota(PER_MINUTE, value=5), after=34), NOON)
    now = NOON + jump

    assert [left for _, left in cooldowns(keys, now).values()] == ([34] if jump < 0 else [])
    assert keys.acquire(M, now + 61).project == "a"


def test_updates_rebuild_a_pool_and_those_of_unknown_projects_and_keys_are_ignored() -> None:
    keys = pool("a", "b", keys=2)
    spent = fail(keys, limited(Quota(PER_DAY)), NOON)
    refusal = fail(keys, refused(), NOON, "gemma-3")
    rebuilt = pool("a", "b", keys=2)
    for update in keys.changes(NOON):
        rebuilt.apply(update, NOON)
        rebuilt.apply(update, NOON)
    rebuilt.apply(PoolUpdate("gone", "", M, "day", NOON + 99), NOON)
    rebuilt.apply(PoolUpdate("a", "unknown", "", "bad", NOON + 99), NOON)

    assert rebuilt.changes(NOON) == keys.changes(NOON)
    assert cooldowns(rebuilt, NOON) == cooldowns(keys, NOON)
    assert rebuilt.changes(NOON) == [
        PoolUpdate(refusal.project, refusal.key_id, "", "bad", NOON + 3600),
        PoolUpdate(spent.project, "", M, "day", NOON + 12 * 3600),
    ]


@pytest.mark.parametrize(
    ("of_key", "model", "reason"),
    [(False, M, "day"), (False, M, "failing"), (True, "", "leaked"), (False, "", "suspended")],
)
def test_an_update_lasts_ten_years_at_most(of_key: bool, model: str, reason: str) -> None:
    keys = pool("a")
    key_id = succeed(keys, NOON).key_id if of_key else ""
    keys.apply(PoolUpdate("a", key_id, model, reason, NOON + 1e12), NOON)
    ten_years = 10 * 365 * 86400

    assert cooldowns(keys, NOON) == {("a", model or key_id): (reason, ten_years)}
    assert keys.acquire(M, NOON + ten_years + 1).project == "a"


def test_models_with_calls_in_flight_are_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.policy.pool.keypool._MAX_STATES", 3)
    keys = pool("a")
    keys.acquire("busy", NOON)
    fail(keys, limited(after=30), NOON, "spent")
    for i in range(5):
        succeed(keys, NOON, f"model-{i}")

    assert [(state.model, state.in_flight) for state in keys.describe(NOON) if state.model] == [("busy", 1)]


def test_a_lease_settles_once() -> None:
    keys = pool("a")
    lease = keys.acquire(M, NOON)
    keys.settle(lease, Cancelled(), NOON, 0.0)
    keys.settle(lease, outcome(limited(after=50)), NOON, 0.0)

    assert cooldowns(keys, NOON) == {}
    assert keys.acquire(M, NOON).project == "a"
    assert [state.in_flight for state in keys.describe(NOON) if state.model] == [1]


ERRORS: Sequence[GatewayError | None] = [
    None, BadRequest("x"), refused(), LEAKED, limited(),
    limited(after=float("nan")), limited(Quota(PER_DAY, value=-5)), limited(Quota("?", "other", 3), after=0),
    UpstreamError("x", status=503), UpstreamTimeout("x"),
]  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(-4000, 4000), st.booleans()), max_size=60))
def test_any_sequence_of_events_lends_a_key_or_has_a_wait_and_counts_right(
    events: list[tuple[int, float, bool]],
) -> None:
    keys = pool("a", "b", "c", keys=2)
    now, held = NOON, []
    for kind, passed, keep in events:
        now += passed
        try:
            lease = keys.acquire(M, now, tokens=kind)
        except (PoolExhausted, NoUsableKey) as error:
            assert error.retry_after is None or 0 < error.retry_after <= 25 * 3600  # noqa: PT017
            continue
        if keep:
            held.append(lease)
        else:
            keys.settle(lease, outcome(ERRORS[kind], kind), now, kind / 10)

    in_flight = sum(state.in_flight for state in keys.describe(now))
    assert in_flight == len(held)


SEARCH = Quota("SearchGroundingRequestsPerDayPerProject", value=500)


@pytest.mark.parametrize("error", [limited(), limited(after=30), limited(SEARCH)])
def test_a_429_of_a_feature_with_a_quota_of_its_own_concerns_the_feature_alone(error: GatewayError) -> None:
    keys = pool("a")
    fail(keys, error, NOON, feature="googleSearch", client="eve")

    with pytest.raises(PoolExhausted, match="have used up the quota"):
        keys.acquire(M, NOON, feature="googleSearch", client="ada")
    assert succeed(keys, NOON, client="ada").project == "a"
    assert succeed(keys, NOON, client="ada", feature="codeExecution").project == "a"
    assert set(cooldowns(keys, NOON)) == {("a", f"{M}#googleSearch")}
    other = pool("a")  # another machine, or the process after a restart
    for update in keys.changes(NOON):
        other.apply(update, NOON)
    assert succeed(other, NOON).project == "a"
    with pytest.raises(PoolExhausted):
        other.acquire(M, NOON, feature="googleSearch")


@pytest.mark.parametrize(
    "error", [limited(Quota(PER_MINUTE)), limited(Quota(PER_DAY)), limited(code="insufficient_quota")]
)
def test_a_429_of_a_feature_that_names_the_model_s_quota_concerns_the_model(error: GatewayError) -> None:
    keys = pool("a")
    fail(keys, error, NOON, feature="googleSearch")

    assert wait(keys, NOON) > 0


def test_a_429_without_details_doubles_only_with_another_client_s() -> None:
    keys, now, seconds = pool("a"), NOON, []
    for client in ("eve", "eve", "eve", "ada", "ada", "eve"):
        fail(keys, limited(), now, client=client, jitter=0.999)
        seconds.append(round(wait(keys, now)))
        now += seconds[-1]

    assert seconds == [2, 2, 2, 4, 4, 8]


def test_a_prompt_that_is_larger_than_the_tokens_per_minute_costs_only_itself() -> None:
    keys = pool("a")
    lease = keys.acquire(M, NOON, tokens=900, client="eve")
    error = limited(Quota(TOKENS, value=1000), after=41)
    keys.settle(lease, outcome(error, most_prompt=4000), NOON, 0.0)

    assert cooldowns(keys, NOON) == {}
    assert succeed(keys, NOON, client="ada").project == "a"
    with pytest.raises(PoolExhausted, match=r"Request too large for .* Limit 1000") as caught:
        keys.acquire(M, NOON, tokens=1001)
    assert (caught.value.type, caught.value.should_retry) == ("tokens", False)


@pytest.mark.parametrize(
    "quotas",
    [
        (Quota(TOKENS, value=5000),),
        (Quota(TOKENS),),
        (Quota(TOKENS, value=1000), Quota(PER_MINUTE, value=10)),
    ],
)
def test_a_prompt_within_the_tokens_per_minute_shows_that_they_are_spent(quotas: tuple[Quota, ...]) -> None:
    keys = pool("a")
    keys.settle(keys.acquire(M, NOON), outcome(limited(*quotas, after=41), most_prompt=4000), NOON, 0.0)

    assert cooldowns(keys, NOON) == {("a", M): ("minute", 41)}


@pytest.mark.parametrize(
    "error", [UpstreamTimeout("x", upstream_status=504), UpstreamError("x", upstream_status=499)]
)
def test_a_deadline_of_the_client_s_own_says_nothing_about_the_project(error: GatewayError) -> None:
    keys = pool("a", "b")
    for _ in range(20):
        keys.settle(keys.acquire(M, NOON), outcome(error, own_deadline=True), NOON, 0.0)

    assert cooldowns(keys, NOON) == {}
    fail_in_a_row(keys, 5, NOON)
    assert cooldowns(keys, NOON) != {}


def test_an_order_of_the_operator_counts_once_on_each_machine() -> None:
    """Machines read an update again and again while it lives: it must not end a rest that has begun since."""
    pool = KeyPool([Project("a", ("k",))], PoolConfig())
    pool.apply(PoolUpdate("a", "", "m", "day", 5000.0), 1000.0)
    (update,) = pool.order("a", "m", PUT_BACK, 1010.0)
    assert pool.describe(1010.0)[-1].state == "ready"
    pool.apply(PoolUpdate("a", "", "m", "minute", 1100.0), 1011.0)
    pool.apply(update, 1012.0)

    assert pool.describe(1012.0)[-1].reason == "minute"


def test_the_words_of_a_failure_are_kept_and_those_of_a_refusal_of_the_client_are_not() -> None:
    pool = KeyPool([Project("a", ("k",))], PoolConfig())
    pool.settle(pool.acquire("m", 1000.0), Refused(), 1000.0, 0.0, "your prompt")
    pool.settle(pool.acquire("m", 1000.0), Broken(), 1001.0, 0.0, "overloaded")
    ((model, state),) = pool.known_models("a")

    assert (model, state.said, state.said_at) == ("m", "overloaded", 1001.0)


def test_a_pool_needs_no_file_for_the_time_of_a_quota() -> None:
    """Where no descriptor is free, `zoneinfo` could not read it."""
    google_quota.pacific_time.cache_clear()
    KeyPool([], PoolConfig())
    assert google_quota.pacific_time.cache_info().currsize == 0
    KeyPool([Project("a", ("k",))], PoolConfig())
    assert google_quota.pacific_time.cache_info().currsize == 1
