"""Periods of budgets."""

import pytest

from gateway.policy.clients.budgets import Budget, Period, dollars


@pytest.mark.parametrize(
    ("period", "now", "start"),
    [("total", 1e9, 0.0), ("day", 1_000_000_000, 999_993_600), ("month", 1_000_000_000, 999_302_400)],
)
def test_when_a_period_began(period: Period, now: float, start: float) -> None:
    assert Budget("money", period, 1).start(now) == start


@pytest.mark.parametrize(
    ("period", "now", "end"),
    [
        ("total", 1e9, None),
        ("day", 1_000_000_000, 1_000_080_000),
        ("month", 1_000_000_000, 1_001_894_400),
        ("month", 1_767_225_599, 1_767_225_600),  # the last second of a year
        ("month", 1_769_904_000, 1_772_323_200),  # February 2026
    ],
)
def test_when_a_period_ends(period: Period, now: float, end: float | None) -> None:
    assert Budget("money", period, 1).end(now) == end


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (56, "$0.000056"),
        (0, "$0.00"),
        (20_000_000, "$20.00"),
        (1_250_000, "$1.25"),
        (1_234_500, "$1.2345"),
        (10, "$0.00001"),
        (100_000, "$0.10"),
    ],
)
def test_o15_money_is_text_without_exponent(micros: int, text: str) -> None:
    assert dollars(micros) == text
