"""Who issues a key learns that its budget is too small for one request."""

import pytest

from gateway.exchange.calls.reservation_notes import small_budgets
from gateway.policy.clients.client_rules import Rules
from gateway.policy.models.pricing import Price, Prices

PRICES = Prices("", {"gemini-x": Price(input=1, output=4)})


def notes(rules: Rules) -> list[str]:
    return small_budgets(rules, "gemini-x", 50_000, PRICES, 0)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (Rules(dollars={"month": 0.19}), "The budget of 0.19 dollars per month is less than one request of gemini-x,"),
        (Rules(dollars={"month": 1, "day": 0.1, "total": 5}), "The budget of 0.1 dollars per day is less"),
        (Rules(dollars={"total": 0}), "The budget of 0 dollars in total is less"),
        (Rules(tokens={"day": 49_999}), "The budget of 49999 tokens per day is less"),
    ],
)  # fmt: skip
def test_a_budget_below_one_request_is_noted(rules: Rules, message: str) -> None:
    (note,) = notes(rules)

    assert note.startswith(message)
    assert ("(50000 tokens): 0.2 dollars." if rules.dollars else "(50000 tokens): 50000 tokens.") in note
    assert "429 insufficient_quota" in note
    assert "max_tokens" in note


@pytest.mark.parametrize(
    "rules",
    [
        Rules(),
        Rules(dollars={"day": 0.2}, tokens={"day": 50_000}),
        Rules(dollars={"day": 0.01}, models=("gemini-y",)),
    ],
)
def test_a_budget_that_suffices_is_not_noted(rules: Rules) -> None:
    assert notes(rules) == []


def test_each_unit_has_a_note() -> None:
    assert len(notes(Rules(dollars={"day": 0.1}, tokens={"day": 1}))) == 2
