"""Finish reasons: every name that Google documents has a meaning."""

import pytest
from google.genai.types import FinishReason

from gateway.gemini.finish_reasons import BROKEN, COMPLETE, KNOWN, REASONS, UNKNOWN_CAUSE, reason_name


def test_each_name_of_googles_client_is_known() -> None:
    assert {reason.value for reason in FinishReason} - KNOWN == set()


def test_no_reason_has_two_meanings() -> None:
    assert not BROKEN & (UNKNOWN_CAUSE | COMPLETE | set(REASONS))


@pytest.mark.parametrize(
    ("printed", "name"), [("STOP", "STOP"), (3, "SAFETY"), (99, "FINISH_REASON_UNSPECIFIED")]
)
def test_a_number_is_its_name(printed: str | int, name: str) -> None:
    assert reason_name(printed) == name
