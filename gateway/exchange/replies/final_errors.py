"""Errors of surfaces whose calls are billed when they succeed: SDKs must not repeat what cannot succeed."""

from collections.abc import Iterator
from contextlib import contextmanager

from gateway.errors import GatewayError

_RATE_LIMITED = 429


@contextmanager
def final_errors() -> Iterator[None]:
    """Send `x-should-retry: false` with every 4xx but 429."""
    try:
        yield
    except GatewayError as error:
        if 400 <= error.status < 500 and error.status != _RATE_LIMITED:
            error.should_retry = False
        raise
