"""Counts from any value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.counts import MAX_COUNT, as_count


@given(st.one_of(st.integers(), st.floats(), st.none(), st.text(max_size=3), st.booleans(), st.just(2**63)))
def test_any_value_becomes_a_count(value: object) -> None:
    assert as_count(value) in range(MAX_COUNT + 1)


@pytest.mark.parametrize(
    ("value", "count"),
    [(7, 7), (7.9, 7), (-1, 0), (True, 0), ("7", 0), (None, 0), (float("nan"), 0), (float("inf"), MAX_COUNT)],
)
def test_numbers_are_kept_and_anything_else_is_nothing(value: object, count: int) -> None:
    assert as_count(value) == count
