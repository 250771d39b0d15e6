"""Close frames: what the other side gets, and what Google's mean."""

import pytest

from gateway.errors import (
    BadRequest,
    BudgetExceeded,
    Draining,
    Forbidden,
    GatewayError,
    Overloaded,
    RateLimited,
    UpstreamError,
)
from gateway.plugins.native.live.closing import Ending, ending_of, error_of, passed_on


@pytest.mark.parametrize(
    ("code", "expected"),
    [(None, 1000), (0, 1000), (1005, 1000), (1006, 1011), (1015, 1011), (999, 1011), (5000, 1011), (1013, 1013), (3999, 3999)],
)  # fmt: skip
def test_a_frame_has_only_codes_that_frames_may_have(code: int | None, expected: int) -> None:
    assert passed_on(code, "why").code == expected


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BudgetExceeded("The monthly budget of $5 is spent."), 1008), (Forbidden("no"), 1008), (RateLimited("no"), 1008),
        (BadRequest("no"), 1007), (Draining(), 1001), (Overloaded("no"), 1013), (UpstreamError("no"), 1011),
    ],
)  # fmt: skip
def test_errors_have_the_codes_that_google_uses(error: GatewayError, code: int) -> None:
    assert ending_of(error).code == code


def test_a_reason_fits_into_a_frame_and_holds_no_key() -> None:
    assert len(Ending(1008, "ä" * 100).payload) == 122
    Ending(1008, "ä" * 100).payload.decode()
    assert b"AIzaSy" not in Ending(1008, "the key AIzaSyA0000000000000000000000000000000000 is bad").payload


@pytest.mark.parametrize(
    ("code", "reason", "status"),
    [
        (1011, "You exceeded your current quota, please check your plan and billing details.", 429),
        (1008, "models/x is not found for API version v1beta, or is not supported for bidiGenerateContent.", 404),
        (1007, "* BidiGenerateContentRequest.setup.tools[0]: You exceeded your current quota", 400),
        (1011, "The service is currently unavailable.", 503), (1011, "Internal error occurred.", 500), (1011, "", 500),
        (1011, "The connection to Google was lost.", None), (1000, "", None),
    ],
)  # fmt: skip
def test_googles_reasons_are_understood_by_their_beginnings(
    code: int, reason: str, status: int | None
) -> None:
    assert error_of(Ending(code, reason)).upstream_status == status


def test_a_refused_key_is_one() -> None:
    error = error_of(Ending(1007, "API key expired. Please renew the API key."))
    assert error.key_fault == "bad"
