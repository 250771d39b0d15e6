"""What is collected of one request."""

import pytest

from gateway.errors import BadRequest, UpstreamError
from gateway.exchange.report import ExchangeReport
from gateway.gemini.usage import TokenCounts


@pytest.mark.parametrize(
    ("gaps", "longest"), [([], None), ([0.5], 0.5), ([0.5, 2.0, 1.0], 2.0), ([0.0], 0.0)]
)
def test_the_longest_gap_is_kept(gaps: list[float], longest: float | None) -> None:
    report = ExchangeReport()
    for gap in gaps:
        report.add_chunk_gap(gap)

    assert report.chunk_gap == longest


def test_tokens_of_several_calls_are_added() -> None:
    report = ExchangeReport()
    report.add_tokens(TokenCounts(prompt=3, thoughts=2, completion=5))
    report.add_tokens(TokenCounts(prompt=3, tool_use=1))

    assert (report.prompt_tokens, report.completion_tokens) == (7, 7)


def test_an_error_without_an_upstream_status_leaves_the_last_one() -> None:
    report = ExchangeReport()
    report.fail(UpstreamError("x", code="overloaded", upstream_status=503))
    report.fail(BadRequest("y", code="invalid_value"))

    assert (report.error, report.upstream_status) == ("invalid_value", 503)


def test_no_notes_are_none() -> None:
    report = ExchangeReport()
    report.describe("m", None, notes=[])

    assert report.notes is None
