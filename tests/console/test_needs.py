"""Sentences about what needs an operator."""

from gateway.console.needs import (
    Lately,
    lately,
    missing,
    of_budgets,
    of_disk,
    of_models,
    of_pool,
    of_prices,
    of_requests,
    worst,
)
from gateway.console.process import Checked
from gateway.errors import Fault
from gateway.observability.recent import Recent
from gateway.observability.request_log import RequestLog
from gateway.policy.clients.budgets import Budget, BudgetUse
from gateway.policy.pool.projects import KeyState

NOW = 1e9


def state(key: str, model: str, kind: str, reason: str, seconds: float = 3600) -> KeyState:
    return KeyState("blue", key, model, kind, reason, NOW + seconds, 0)  # type: ignore[arg-type]


def test_the_pool_s_needs_name_what_ends_them() -> None:
    needs = list(
        of_pool(
            [
                state("1a2b", "", "refused", "bad"), state("", "", "refused", "spent"), state("", "m", "cooling_down", "day"),
                state("", "m", "cooling_down", "minute", 30), state("", "", "cooling_down", "paused"),
                KeyState("blue", "3c", "", "ready", "", None, 0),
            ],
            NOW,
        )
    )  # fmt: skip
    actions = [(need.action.path, dict(need.action.body)) for need in needs if need.action]

    assert [need.code for need in needs] == [
        "key_refused",
        "project_refused",
        "project_rests",
        "project_paused",
    ]
    assert actions[0] == ("/admin/pool/blue/clear", {"key_id": "1a2b"})
    assert actions[2] == ("/admin/pool/blue/clear", {"model": "m"})
    assert actions[3][0] == "/admin/pool/blue/resume"
    (leaked,) = of_pool([state("1a2b", "", "refused", "leaked", 10 * 365 * 86400)], NOW)
    assert ("until" in needs[0].values, "until" in leaked.values) == (True, False)
    assert "until 2001-09-09 02:46 UTC (day)" in needs[2].message
    assert [need.level for need in worst(needs, 3)] == ["bad", "bad", "warn"]


def test_a_budget_that_is_nearly_spent() -> None:
    budget = Budget("money", "month", 100)
    needs = list(
        of_budgets(
            [
                BudgetUse("ada", budget, 97, "key_a"),
                BudgetUse("bob", budget, 10),
                BudgetUse("cy", budget, 100),
            ]
        )
    )

    assert [(need.level, need.message) for need in needs] == [
        ("warn", "ada has 3% of its budget per month left."), ("bad", "cy has 0% of its budget per month left."),
    ]  # fmt: skip


def part(fine: int, *failed: RequestLog, at: float = NOW) -> Lately:
    records = [*failed, *[RequestLog("r", "POST", "/", 200)] * fine]
    return lately([Recent(1, at, record) for record in records], {"key_a": "ada", "key_b": "bob"}.__getitem__)


def test_many_failures_are_worth_a_sentence() -> None:
    failed = RequestLog("r", "POST", "/", 429, error="e")

    assert [need.values["count"] for need in of_requests([part(50, *[failed] * 6)], NOW)] == [6]
    assert list(of_requests([part(0, *[failed] * 4)], NOW)) == []
    assert list(of_requests([part(500, *[failed] * 6)], NOW)) == []
    assert list(of_requests([], NOW)) == []


def test_failures_are_told_by_their_limit_and_only_while_they_go_on() -> None:
    def limited(limit: str, key: str) -> RequestLog:
        return RequestLog("r", "POST", "/", 429, key=key, error="rate_limit_exceeded", refused_by=limit)

    minute, day = limited("requests_per_minute 3/3", "key_a"), limited("tokens_per_day 9/9", "key_a")
    pool = limited("pool", "key_b")
    parts = [part(1, minute, minute, day), part(1, minute, minute, pool, pool, at=NOW - 9)]
    (need,) = of_requests(parts, NOW + 59)

    assert need.message == (
        "7 of 9 requests of the last 5 minutes were refused or failed, 4 of them with rate_limit_exceeded "
        "(requests_per_minute of ada)."
    )
    assert (need.values["refused_by"], need.values["key_name"], need.values["last"]) == (
        "requests_per_minute", "ada", NOW,
    )  # fmt: skip
    assert not list(of_requests(parts, NOW + 61))
    (need,) = of_requests([part(0, *[pool] * 5, minute)], NOW)
    assert "5 of them with rate_limit_exceeded (pool)." in need.message


def test_old_prices_and_what_is_missing() -> None:
    assert [need.values for need in of_prices(94)] == [{"days": 94}]
    assert list(of_prices(3)) == []
    assert "Set ledger.url or pool.projects" in missing("no_ledger").message


def test_a_model_without_a_free_project_names_the_first_end() -> None:
    rests = [
        state("", "m", "cooling_down", "day", 7200),
        KeyState("green", "", "m", "cooling_down", "day", NOW + 60, 0),
    ]
    everything = {"blue": lambda _: True, "green": lambda _: True}
    (need,) = of_models(rests, everything)

    assert (need.code, need.level, need.values) == (
        "no_project_free",
        "bad",
        {"model": "m", "until": NOW + 60},
    )
    assert not list(of_models(rests[:1], everything))
    assert list(of_models(rests[:1], {"blue": lambda _: True, "green": lambda model: model != "m"}))
    paused = KeyState("green", "", "", "cooling_down", "paused", NOW + 99, 0)
    assert list(of_models([rests[0], paused], everything))
    (need,) = of_models([rests[1], paused], {"green": lambda _: True})
    assert (need.code, need.level) == ("no_project_runs", "bad")


def test_a_project_is_not_free_when_all_its_keys_are_refused() -> None:
    rest, serving = (
        KeyState("green", "", "m", "cooling_down", "day", NOW + 60, 0),
        {"blue": lambda _: True, "green": lambda _: True},
    )
    keys = [state("1a", "", "refused", "bad"), state("2b", "", "refused", "bad")]
    ready = KeyState("blue", "2b", "", "ready", "", None, 0)

    assert list(of_models([rest, *keys], serving))
    assert not list(of_models([rest, keys[0], ready], serving))


def test_the_configuration_on_disk() -> None:
    differing = list(of_disk(Checked((), ["drain: 5 -> 6"], ["listen.port"]), "g.yaml"))
    (faulty,) = of_disk(Checked((Fault("g.yaml", 1, 2, "x"),)), "g.yaml")

    assert [need.code for need in differing] == ["config_differs", "restart_needed"]
    assert differing[0].action is not None
    assert differing[1].values == {"settings": "listen.port"}
    assert (faulty.code, faulty.level, faulty.action) == ("config_faulty", "bad", None)
    assert not list(of_disk(None, "g.yaml"))
    assert not list(of_disk(Checked(), "g.yaml"))
