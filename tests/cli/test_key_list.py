"""Output of `gateway keys list`."""

import json
from datetime import UTC, datetime

import pytest

from gateway.cli.key_list import print_keys
from gateway.policy.clients.access import ClientKey
from gateway.policy.clients.budgets import Budget
from gateway.policy.clients.client_rules import Rules
from gateway.store.ledger.key_reports import BudgetReport, KeyReport

AT = datetime(2026, 11, 26, 12, 30, tzinfo=UTC).timestamp()
RULES = Rules(models=("gemini-*", "gemma-3"), aliases={"a": "b"}, streams=0, dollars={"month": 20})
REPORTS = [
    KeyReport(
        ClientKey("key_1", "ada", "h", AT, AT + 86400, None, RULES), "over budget", AT, 56, 1_250_000,
        [BudgetReport(Budget("money", "month", 20_000_000), 1_250_000, 0, None), BudgetReport(Budget("tokens", "day", 9), 5, 1, None)],
    ),
    KeyReport(ClientKey("key_2", "bob", "h", AT, None, None, Rules()), "active", None, 0, 0, []),
]  # fmt: skip


def test_o15_a_header_and_everything_about_each_key(capsys: pytest.CaptureFixture[str]) -> None:
    print_keys(REPORTS, as_json=False)
    header, ada, bob = capsys.readouterr().out.splitlines()

    assert header.split() == [
        "id",
        "name",
        "state",
        "created",
        "expires",
        "last",
        "used",
        "today",
        "month",
        "budgets",
        "rules",
    ]
    assert [text.strip() for text in ada.split("  ") if text] == [
        "key_1", "ada", "over budget", "2026-11-26", "2026-11-27", "2026-11-26 12:30", "$0.000056", "$1.25",
        "month: $1.25 of $20.00, $18.75 left, day: 5 of 9 tokens, 3 left", "models=gemini-*,gemma-3; aliases=a=b; streams=0",
    ]  # fmt: skip
    assert [text.strip() for text in bob.split("  ") if text.strip()] == [
        "key_2", "bob", "active", "2026-11-26", "never", "never", "$0.00", "$0.00", "none", "none",
    ]  # fmt: skip


def test_o15_the_same_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_keys(REPORTS, as_json=True)
    ada, bob = json.loads(capsys.readouterr().out)

    assert (ada["id"], ada["name"], ada["state"], ada["expires"], ada["last_used"]) == (
        "key_1", "ada", "over budget", AT + 86400, AT,
    )  # fmt: skip
    assert ada["budgets"][0] == {
        "unit": "dollars", "period": "month", "limit": 20, "spent": 1.25, "reserved": 0, "left": 18.75, "resets": None,
    }  # fmt: skip
    assert bob["budgets"] == []
