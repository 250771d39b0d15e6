"""The shipped table of models."""

from datetime import date

import pytest

from gateway.config.model_table import age, model_table
from gateway.config.prices import prices
from gateway.policy.ledger import LedgerConfig
from gateway.policy.models.successors import Successor, cycle_fault, timestamp


def test_the_table_has_a_date_prices_and_abilities() -> None:
    table = model_table()

    assert date(2026, 11, 26) <= table.date
    assert "gemini-3.8-flash-tts*" in table.prices
    assert next(iter(table.abilities)) == "*"


@pytest.mark.row("M2")
def test_m02_the_successors_of_the_table_are_no_circle_and_have_prices() -> None:
    rows = model_table().successors
    known = prices(LedgerConfig())

    assert rows["gemini-2.5-flash"] == Successor("gemini-3.5-flash-lite", date(2026, 12, 1))
    assert [cycle_fault(rows, name) for name in rows] == [None] * len(rows)
    assert known.of("unknown", 0) not in [known.of(row.model, 0) for row in rows.values()]


def test_the_age_is_in_days() -> None:
    noon = timestamp(model_table().date) + 43_200

    assert [age(noon + days * 86_400) for days in (-9, 0, 1, 61)] == [0, 0, 1, 61]
