"""Rules of an issued key."""

import msgspec
import pytest

from gateway.errors import Forbidden
from gateway.policy.clients.budgets import Budget
from gateway.policy.clients.client_rules import Rules


def test_without_rules_nothing_is_limited() -> None:
    rules = Rules()
    rules.check("gemini-2.5-pro")

    assert (rules.budgets, rules.model("x"), msgspec.json.encode(rules)) == ((), "x", b"{}")


def test_models_are_patterns_and_calls_of_no_model_are_allowed() -> None:
    rules = Rules(models=("gemini-2.5-*", "gemma-3"))
    for model in ("gemini-2.5-pro", "gemma-3", ""):
        rules.check(model)
    with pytest.raises(Forbidden) as caught:
        rules.check("gemini-3-pro")

    assert caught.value.message == (
        "This API key does not have access to the model `gemini-3-pro`. It may use: gemini-2.5-*, gemma-3."
    )
    assert (caught.value.param, caught.value.code) == ("model", "model_not_allowed")


@pytest.mark.parametrize(
    ("requested", "named"),
    [
        ("gpt-4o", "the model `gpt-4o`, which stands for `gemini-flash-latest` here. It may use: a."),
        ("gemini-flash-latest", "the model `gemini-flash-latest`. It may use: a."),
        ("", "the model `gemini-flash-latest`, which answers requests without a model. It may use: a."),
        (None, "the model `gemini-flash-latest`. It may use: a."),
        ("sk-gw-123456789", "the model `****`, which stands for"),
    ],
)
def test_o17_the_error_names_the_name_that_was_sent_and_the_model(requested: str | None, named: str) -> None:
    with pytest.raises(Forbidden) as caught:
        Rules(models=("a",)).check("gemini-flash-latest", requested)

    assert named in caught.value.message


def test_an_error_names_ten_patterns_at_most() -> None:
    with pytest.raises(Forbidden, match=r"It may use: m0, m1, .*, m9, …\.$"):
        Rules(models=tuple(f"m{n}" for n in range(12))).check("x")


def test_aliases_are_the_client_s_own() -> None:
    assert [Rules(aliases={"fast": "gemini-2.5-flash"}).model(name) for name in ("fast", "slow")] == [
        "gemini-2.5-flash",
        "slow",
    ]


def test_budgets_in_the_ledger_s_units() -> None:
    assert Rules(dollars={"month": 2.5, "day": 0.1}, tokens={"total": 9}).budgets == (
        Budget("money", "month", 2_500_000),
        Budget("money", "day", 100_000),
        Budget("tokens", "total", 9),
    )
