"""The ledger's configuration."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.gemini.usage import TokenCounts
from gateway.policy.ledger import MOST_AMOUNT, MOST_COUNT, Intent, LedgerConfig, Settlement


@pytest.mark.parametrize("url", [None, "ledger.db", "/var/x.db", "postgresql://u@h/n", "postgres://u@h/n"])
def test_a_file_or_a_postgresql_database(url: str | None) -> None:
    assert LedgerConfig(url=url).url == url


def test_another_database_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"^`url` must be postgresql://USER@HOST/NAME or the name of a SQLite file$"
    ):
        LedgerConfig(url="mysql://u@h/n")


NUMBERS = st.one_of(
    st.integers(), st.sampled_from([2**31 - 1, 2**31, 2**53, 2**63 - 1, 2**63, 2**64 - 1, -1, 10**30])
)


@given(
    counts=st.tuples(*[NUMBERS] * len(TokenCounts.__struct_fields__)),
    numbers=st.lists(NUMBERS, min_size=6, max_size=6),
)
def test_any_numbers_become_ones_that_a_row_can_hold(counts: tuple[int, ...], numbers: list[int]) -> None:
    status, micros, first, duration, money, tokens = numbers
    ended = Settlement(
        "a",
        1.0,
        "ok",
        status,
        TokenCounts(*counts),
        micros,
        "v",
        exact=True,
        first_byte_ms=first,
        duration_ms=duration,
    )
    begun = Intent("a", 1.0, "r", "c", "p", "m", "s", money, tokens)

    assert all(
        count == min(max(sent, 0), MOST_COUNT)
        for count, sent in zip(structs.astuple(ended.counts), counts, strict=True)
    )
    assert ended.status == min(max(status, 0), 999)
    assert [ended.first_byte_ms, ended.duration_ms] == [min(max(n, 0), MOST_COUNT) for n in (first, duration)]
    assert [ended.micros, begun.reserve_micros, begun.reserve_tokens] == [
        min(max(n, 0), MOST_AMOUNT) for n in (micros, money, tokens)
    ]
