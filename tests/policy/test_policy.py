"""Models, keys, retries, limits: pure decisions as tables."""

import pytest

from gateway.errors import (
    BadRequest,
    Draining,
    GatewayError,
    NotFound,
    Quota,
    RateLimited,
    Unauthorized,
    UpstreamError,
    UpstreamTimeout,
    UpstreamTruncated,
)
from gateway.policy.access import identify
from gateway.policy.admission import Admission
from gateway.policy.catalog import Catalog, ModelRoute, ModelsConfig
from gateway.policy.google_quota import cause
from gateway.policy.retry import Fail, Retry, RetryBudget, RetryConfig, judge

ALIASES = {"gpt-4o": "gemini-2.5-pro"}


@pytest.mark.parametrize(
    ("requested", "route"),
    [
        (None, ModelRoute("gemini-flash-latest")),
        ("", ModelRoute("gemini-flash-latest")),
        ("gemini-2.5-pro", ModelRoute("gemini-2.5-pro")),
        ("models/gemini-2.5-flash", ModelRoute("gemini-2.5-flash")),  # I.16
        ("google/gemini-2.5-flash", ModelRoute("gemini-2.5-flash")),
        ("tunedModels/mine-1", ModelRoute("tunedModels/mine-1")),
        ("gpt-4o", ModelRoute("gemini-2.5-pro")),
        ("models/gpt-4o", ModelRoute("gemini-2.5-pro")),
        ("gpt-5", ModelRoute("gemini-flash-latest", substituted=True)),
        ("../../x", ModelRoute("gemini-flash-latest", substituted=True)),
    ],
)
def test_a_name_becomes_the_operators_model(requested: str | None, route: ModelRoute) -> None:
    assert Catalog(ModelsConfig(aliases=ALIASES)).resolve(requested) == route


@pytest.mark.parametrize("name", ["gemini-../x", "gemini-a/b", "gemini-%2e", "gemini-a?key=1", "gemini-a..b"])
def test_nothing_unsafe_gets_into_a_url(name: str) -> None:
    with pytest.raises(BadRequest) as caught:
        Catalog(ModelsConfig()).resolve(name)
    assert caught.value.param == "model"


def test_unknown_names_can_be_forwarded_or_rejected() -> None:
    assert Catalog(ModelsConfig(unknown="forward")).resolve("gpt-5") == ModelRoute("gpt-5")
    with pytest.raises(NotFound) as caught:
        Catalog(ModelsConfig(unknown="reject")).resolve("gpt-5")
    assert (caught.value.status, caught.value.code) == (404, "model_not_found")


def test_the_default_and_aliases_must_be_names() -> None:
    with pytest.raises(ValueError, match="not a model name"):
        ModelsConfig(default="a b")


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer k"},
        {"Authorization": "bearer  k"},
        {"x-api-key": "k"},
        {"x-goog-api-key": "k"},
        {"Authorization": "Bearer k", "x-api-key": "k"},
    ],
)
def test_the_key_is_found_in_any_header(headers: dict[str, str]) -> None:
    client = identify(headers)

    assert client.key == "k"
    assert len(client.fingerprint) == 8
    assert client.fingerprint != "k"


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({}, Unauthorized),
        ({"Authorization": "Basic a2V5"}, Unauthorized),
        ({"Authorization": "Bearer "}, Unauthorized),
        ({"Authorization": "Bearer a b"}, Unauthorized),
        ({"Authorization": "Bearer é"}, Unauthorized),
        ({"Authorization": "Bearer " + "k" * 513}, Unauthorized),
        ({"Authorization": "Bearer a", "x-api-key": "b"}, BadRequest),
    ],
)
def test_no_usable_key_is_refused(headers: dict[str, str], error: type[GatewayError]) -> None:
    with pytest.raises(error):
        identify(headers)


CONFIG = RetryConfig(attempts=3, backoff=1)


@pytest.mark.parametrize(
    ("error", "attempt", "after"),
    [
        (UpstreamError("reset"), 1, 0.5),
        (UpstreamError("reset"), 2, 1.0),
        (UpstreamError("reset"), 3, None),
        (UpstreamError("busy", retry_after=2.0), 1, 2.0),
        (UpstreamError("busy", retry_after=30.0), 1, None),
        (UpstreamTimeout("504 of theirs", upstream_status=504), 1, 0.5),
        (UpstreamTimeout("our patience"), 1, None),
        (RateLimited("minute", retry_after=3.0), 1, 3.0),
        (RateLimited("minute", retry_after=34.0), 1, None),
        (RateLimited("unknown"), 1, None),
        (RateLimited("day", retry_after=1.0, should_retry=False), 1, None),
        (BadRequest("no"), 1, None),
        (Draining(), 1, None),
    ],
)
def test_only_what_may_end_differently_is_tried_again(
    error: GatewayError, attempt: int, after: float | None
) -> None:
    expected = Fail(error) if after is None else Retry(after)

    assert judge(error, attempt, RetryBudget(), CONFIG, 0.5) == expected


def test_retries_must_be_earned() -> None:
    budget = RetryBudget()
    spent = [budget.spend() for _ in range(22)]
    budget.earn()
    budget.earn()

    assert spent == [True] * 20 + [False] * 2
    assert [budget.spend(), budget.spend()] == [True, False]


def test_a_storm_is_amplified_by_a_fifth_at_most() -> None:
    budget, attempts = RetryBudget(), 0
    for _ in range(100):
        attempt = 1
        while isinstance(judge(UpstreamError("503"), attempt, budget, CONFIG, 0.5), Retry):
            attempt += 1
        attempts += attempt

    assert attempts <= 120


def test_places_are_limited_and_given_back() -> None:
    admission = Admission(1)
    with admission, pytest.raises(RateLimited) as caught, admission:
        pass

    assert caught.value.retry_after == 1
    assert admission.in_progress == 0


def limited(*quotas: Quota, code: str | None = None) -> RateLimited:
    error = RateLimited("no", code=code, upstream_status=429)
    error.quotas = quotas
    return error


MINUTELY, DAILY = Quota("GenerateRequestsPerMinutePerProject"), Quota("GenerateRequestsPerDayPerProject")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (UpstreamError("no", code="upstream_unreachable"), "upstream_unreachable"),
        (UpstreamTimeout("no"), "upstream_timeout"),
        (UpstreamTruncated("no"), "upstream_incomplete"),
        (limited(), "rate_limit_exceeded"),
        (limited(MINUTELY), "quota_per_minute"),
        (limited(MINUTELY, DAILY, code="insufficient_quota"), "quota_per_day"),
        (
            limited(Quota(MINUTELY.id, value=0), code="insufficient_quota"),
            "insufficient_quota",
        ),  # no free tier
        (limited(code="insufficient_quota"), "insufficient_quota"),  # no credit
    ],
)
def test_a_failed_call_has_a_cause(error: GatewayError, told: str) -> None:
    assert cause(error) == told
