"""What the end of a call says about its key."""

import pytest

from gateway.errors import (
    BadRequest,
    Forbidden,
    GatewayError,
    NotFound,
    RateLimited,
    Unauthorized,
    UpstreamError,
    UpstreamTimeout,
)
from gateway.policy.call_outcome import Broken, Limited, Ok, Outcome, Rejected, outcome

LIMITED = RateLimited("spent", upstream_status=429)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (None, Ok(7)),
        (BadRequest("no", upstream_status=400), Ok(7)),
        (NotFound("no", upstream_status=404), Ok(7)),
        (Forbidden("no access to the model", upstream_status=403), Ok(7)),
        (LIMITED, Limited(LIMITED)),
        (
            Unauthorized("API key not valid. Please pass a valid API key.", upstream_status=400),
            Rejected("bad"),
        ),
        (Forbidden("Your API key was reported as leaked.", upstream_status=403), Rejected("leaked")),
        (Forbidden("Consumer 'projects/1' has been suspended.", upstream_status=403), Rejected("suspended")),
        (BadRequest("The word `suspended` is not a value.", upstream_status=400), Ok(7)),
        (UpstreamError("Service suspended", upstream_status=503), Broken()),
        (UpstreamError("overloaded", upstream_status=503), Broken()),
        (UpstreamTimeout("slow"), Broken()),
    ],
)
def test_outcome(error: GatewayError | None, expected: Outcome) -> None:
    assert outcome(error, 7) == expected
