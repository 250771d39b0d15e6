"""Errors of the pool for a call that no project is free for."""

import pytest

from gateway.policy.pool.errors import exhausted, too_large


def test_a_prompt_that_is_too_large_is_not_sent_again() -> None:
    error = too_large("gemini-2.5-flash", 1000)

    assert (error.status, error.type, error.should_retry) == (429, "tokens", False)
    assert "Limit 1000" in error.message


@pytest.mark.parametrize(
    ("spent", "pinned", "message"),
    [
        ({True}, False, "All Google projects of this gateway have used up the quota for m."),
        ({False}, False, "All Google projects of this gateway are cooling down after failed calls."),
        (
            {True, False},
            True,
            "The Google project that holds these files has used up the quota for m or is cooling down after failed calls.",
        ),
    ],
)
def test_the_error_says_what_the_projects_wait_for(spent: set[bool], pinned: bool, message: str) -> None:
    assert exhausted("m", 1.0, spent, pinned=pinned).message == message


@pytest.mark.parametrize(("wait", "should_retry"), [(60.0, None), (61.0, False)])
def test_an_sdk_does_not_wait_for_longer_than_a_minute(wait: float, should_retry: bool | None) -> None:
    assert exhausted("m", wait, {True}, pinned=False).should_retry is should_retry
