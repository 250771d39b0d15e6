"""Periods of budgets."""

import pytest

from gateway.policy.budgets import Budget, Period


@pytest.mark.parametrize(
    ("period", "now", "start"),
    [("total", 1e9, 0.0), ("day", 1_000_000_000, 999_993_600), ("month", 1_000_000_000, 999_302_400)],
)
def test_when_a_period_began(period: Period, now: float, start: float) -> None:
    assert Budget("money", period, 1).start(now) == start
