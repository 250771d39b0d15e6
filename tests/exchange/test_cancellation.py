"""The error for the client of a request that was cancelled."""

import asyncio

import pytest

from gateway.errors import Draining, Revoked
from gateway.exchange.cancellation import BY_OPERATOR, of_cancellation


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (Draining.CANCELLED, "shutting_down"), (Revoked.CANCELLED, "invalid_api_key"),
        (BY_OPERATOR, "cancelled_by_operator"),
    ],
)  # fmt: skip
def test_the_message_of_the_cancellation_says_why(message: str, code: str) -> None:
    error = of_cancellation(asyncio.CancelledError(message))
    assert error is not None

    assert error.code == code


def test_a_client_that_has_left_needs_no_error() -> None:
    assert of_cancellation(asyncio.CancelledError()) is None
