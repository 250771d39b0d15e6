"""Errors that SDKs must not repeat."""

import pytest

from gateway.errors import BadRequest, Forbidden, GatewayError, RateLimited, UpstreamError
from gateway.exchange.replies.final_errors import final_errors


@pytest.mark.parametrize(
    ("error", "should_retry"),
    [
        (BadRequest("no"), False),
        (Forbidden("no"), False),
        (RateLimited("wait", retry_after=1), None),
        (UpstreamError("busy"), None),
    ],
)
def test_every_4xx_but_429_is_final(error: GatewayError, should_retry: bool | None) -> None:
    with pytest.raises(GatewayError) as caught, final_errors():
        raise error

    assert caught.value.should_retry is should_retry
