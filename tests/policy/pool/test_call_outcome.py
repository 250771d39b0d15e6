"""What the end of a call says about its key."""

import pytest

from gateway.errors import (
    BadRequest,
    Forbidden,
    GatewayError,
    KeyFault,
    NotFound,
    OutOfDescriptors,
    RateLimited,
    Unauthorized,
    UpstreamError,
    UpstreamTimeout,
)
from gateway.policy.pool.call_outcome import (
    Broken,
    Cancelled,
    Limited,
    Ok,
    Outcome,
    Refused,
    Rejected,
    outcome,
)

LIMITED = RateLimited("spent", upstream_status=429)


WITHOUT_CREDIT = RateLimited("Your project has exceeded its monthly spending cap.", upstream_status=429)
WITHOUT_CREDIT.key_fault = "spent"


def faulty(fault: KeyFault) -> GatewayError:
    error = Forbidden("no", upstream_status=403)
    error.key_fault = fault
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (None, Ok(7)),
        (BadRequest("no", upstream_status=400), Refused(7)),
        (NotFound("no", upstream_status=404), Refused(7)),
        (Forbidden("no access to the model", upstream_status=403), Refused(7)),
        (LIMITED, Limited(LIMITED)),
        (WITHOUT_CREDIT, Rejected("spent")),
        (faulty("bad"), Rejected("bad")),
        (faulty("leaked"), Rejected("leaked")),
        (faulty("suspended"), Rejected("suspended")),
        (Forbidden("Your API key was reported as leaked.", upstream_status=403), Refused(7)),
        (Unauthorized("API key not valid", upstream_status=400), Refused(7)),
        (UpstreamError("Service suspended", upstream_status=503), Broken()),
        (UpstreamTimeout("slow"), Broken()),
        (OutOfDescriptors(), Cancelled()),
    ],
)
def test_outcome(error: GatewayError | None, expected: Outcome) -> None:
    """Only `key_fault` concerns the key: no text does."""
    assert outcome(error, 7) == expected


def test_a_call_whose_tokens_are_unknown_used_none() -> None:
    assert outcome(None) == Ok(0)
