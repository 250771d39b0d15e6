"""A search for bodies and answers whose cost grows faster than their size. It counts lines of Python, not time."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, given, settings, target
from hypothesis import strategies as st

from tests.adversary.genes import FILLERS, Gene, build, places
from tests.adversary.work import ANSWER, SURFACES, on_answer, on_body
from tests.support.steps import steps

SIZE = 6_000
"""Bytes of the smaller of two bodies; the larger one has twice as many."""
STEPS = 400_000
"""Lines that any body of 12,000 bytes may run: two models, and the most that references may bring on the loop."""
GROWTH = 3
"""A body of twice the size may run so many times the lines. Quadratic work runs four times as many."""
SEARCH = settings(max_examples=40, derandomize=True, database=None, deadline=None, phases=[Phase.generate, Phase.target],
                  suppress_health_check=list(HealthCheck))  # fmt: skip


def judged(work: Callable[[bytes], None], small: bytes, large: bytes) -> None:
    cost = steps(lambda: work(large))
    target(cost / len(large))
    assert cost < STEPS
    if len(large) > 1.6 * len(small):
        assert cost < GROWTH * steps(lambda: work(small)) * len(large) / (2 * len(small)) + 20_000


@pytest.mark.row("A4", "C27")
@pytest.mark.parametrize("surface", SURFACES)
def test_a04_no_body_costs_more_than_its_size(surface: str) -> None:
    good, _ = SURFACES[surface]
    spots = places(good)
    gene = st.builds(Gene, st.sampled_from(spots), st.integers(0, FILLERS - 1))

    @SEARCH
    @given(st.lists(gene, min_size=1, max_size=2))
    def search(genes: list[Gene]) -> None:
        small, large = (build(good, genes, size) for size in (SIZE, 2 * SIZE))
        judged(lambda data: on_body(surface, data), small, large)

    search()


@pytest.mark.row("A4")
@pytest.mark.parametrize("surface", ["chat", "responses", "messages", "completions"])
def test_a04_no_answer_costs_more_than_its_size(surface: str) -> None:
    spots = places(ANSWER)
    gene = st.builds(Gene, st.sampled_from(spots), st.integers(0, FILLERS - 1))

    @SEARCH
    @given(st.lists(gene, min_size=1, max_size=2))
    def search(genes: list[Gene]) -> None:
        small, large = (build(ANSWER, genes, size) for size in (SIZE, 2 * SIZE))
        judged(lambda data: on_answer(surface, data), small, large)

    search()


@pytest.mark.parametrize("surface", SURFACES)
def test_a_good_body_is_good(surface: str) -> None:
    """Or the search would look at nothing but errors."""
    good, say = SURFACES[surface]

    say(build(good, [], 100_000))
