"""Conditions for alerts."""

import pytest

from gateway.plugins.alert import conditions
from gateway.plugins.alert.outbox import Alert
from gateway.policy.clients.budgets import Budget, BudgetUse

MONEY, TOKENS = Budget("money", "month", 5_000_000), Budget("tokens", "day", 1000)


def of_budget(
    key: str, limit: Budget, spent: int, marks: tuple[int, ...], *, refuses: bool = False
) -> list[Alert]:
    return list(conditions.budget(BudgetUse(key, limit, spent), marks, refuses=refuses))


@pytest.mark.parametrize(
    ("spent", "mark", "severity"),
    [
        (3_999_999, None, ""),
        (4_000_000, 80, "warning"),
        (4_999_999, 80, "warning"),
        (5_100_000, 100, "critical"),
    ],
)
def test_o20_a_budget_is_told_at_its_marks(spent: int, mark: int | None, severity: str) -> None:
    alerts = of_budget("carl", MONEY, spent, (80, 100))

    assert [(a.subject, a.level, a.severity) for a in alerts] == (
        [("carl money month", mark, severity)] if mark else []
    )


@pytest.mark.parametrize(("marks", "level"), [((80, 100), 100), ((50,), 50), ((), None)])
def test_o20_a_budget_that_refuses_counts_as_spent(marks: tuple[int, ...], level: int | None) -> None:
    alerts = of_budget("carl", MONEY, 2_000_000, marks, refuses=True)

    assert [(a.subject, a.level, a.severity) for a in alerts] == (
        [("carl money month", level, "critical")] if level else []
    )
    assert all(
        a.text == "The key carl has used 40 % of its budget (5 dollars, month)."
        " It was refused a request that may have cost more than the rest."
        for a in alerts
    )


def test_a_budget_s_text_has_key_share_and_amount() -> None:
    (money,) = of_budget("carl", MONEY, 4_500_000, (80,))
    (tokens,) = of_budget("eva", TOKENS, 1000, (80, 100), refuses=True)
    (nothing,) = of_budget("none", Budget("tokens", "day", 0), 0, (100,))

    assert money.text == "The key carl has used 90 % of its budget (5 dollars, month)."
    assert tokens.text == "The key eva has used 100 % of its budget (1000 tokens, day)."
    assert nothing.severity == "critical"


def test_o20_refused_keys_and_projects_are_told_and_cooldowns_are_not() -> None:
    alerts = list(
        conditions.projects(
            [
                ("a", "k1", "", "bad"),
                ("a", "", "", "spent"),
                ("b", "", "m", "minute"),
                ("b", "", "m", "day"),
                ("c", "", "", ""),
            ]
        )
    )

    assert [alert.text for alert in alerts] == [
        "key k1 of project a: Google refuses the key: replace it.",
        "project a: the project has no credit left, or has reached its spending cap.",
    ]
    assert len({alert.name for alert in alerts}) == 2


def test_o20_prices_and_certificates_are_told_by_their_age() -> None:
    assert list(conditions.prices(60, 60)) == []
    assert "61 days old" in next(conditions.prices(61, 60)).text
    assert list(conditions.certificate("h", 14.0, "", 14)) == []
    assert [a.severity for a in conditions.certificate("h", 13.9, "", 14)] == ["warning"]
    assert [a.severity for a in conditions.certificate("h", 2.0, "", 14)] == ["critical"]
    (broken,) = conditions.certificate("h", None, "it has expired", 14)
    assert broken.text == "The certificate of h cannot be used: it has expired."
    (own,) = conditions.certificate("h", None, "self-signed certificate", 14)
    assert own.text.startswith(
        "The certificate of h cannot be used: self-signed certificate. Trust it on this machine: "
    )


def test_o20_errors_are_told_by_their_share_in_the_last_minutes() -> None:
    rate = conditions.ErrorRate(300, 0.1, 20)

    rate.begin({("m", 200): 1000, ("m", 500): 900}, 0)  # of before the start
    assert list(rate.read({("m", 200): 1009, ("m", 500): 905}, 60)) == []  # too few requests
    (alert,) = rate.read({("m", 200): 1020, ("m", 500): 905, ("", 503): 5, ("", 429): 10}, 120)
    assert alert.text == "10 of the last 40 requests failed (25 %)."
    assert list(rate.read({("m", 200): 2000, ("m", 500): 910}, 500)) == []  # those are long ago
