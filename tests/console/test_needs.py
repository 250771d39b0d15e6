"""Sentences about what needs an operator."""

from gateway.console.needs import missing, of_budgets, of_pool, of_prices, of_requests, worst
from gateway.observability.recent import Recent
from gateway.observability.request_log import RequestLog
from gateway.policy.budgets import Budget, BudgetUse
from gateway.policy.pool_projects import KeyState

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


def test_many_failures_are_worth_a_sentence() -> None:
    def entries(failed: int, fine: int) -> list[Recent]:
        records = [RequestLog("r", "POST", "/", 429, error="e")] * failed + [
            RequestLog("r", "POST", "/", 200)
        ] * fine
        return [Recent(1, NOW, record) for record in records]

    assert [need.values["count"] for need in of_requests(entries(6, 50))] == [6]
    assert list(of_requests(entries(4, 0))) == []
    assert list(of_requests(entries(6, 500))) == []


def test_old_prices_and_what_is_missing() -> None:
    assert [need.values for need in of_prices(94)] == [{"days": 94}]
    assert list(of_prices(3)) == []
    assert "Set ledger.url or pool.projects" in missing("no_ledger").message
