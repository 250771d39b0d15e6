"""How much at once: bounds that keep one process healthy."""

from typing import Annotated

from msgspec import Meta, Struct

from gateway.errors import RateLimited


class LimitsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds of one process."""

    body: Annotated[
        int,
        Meta(ge=1024, le=2**30, description="Largest request body in bytes; `make install` tells nginx too."),
    ] = 32 * 1024 * 1024
    streams: Annotated[
        int,
        Meta(ge=1, description="Requests in progress at once, streamed or not; one more is answered 429."),
    ] = 4096
    choices: Annotated[
        int, Meta(ge=1, le=128, description="Most choices of one answer (`n`); each is a call of its own.")
    ] = 8


class Admission:
    """Counts requests in progress: `with admission:` holds a place, or raises RateLimited when none is free."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.in_progress = 0

    def enter(self) -> None:
        """Take a place."""
        if self.in_progress >= self._limit:
            raise RateLimited(
                f"This gateway is serving {self._limit} requests already.",
                code="gateway_overloaded",
                retry_after=1,
            )
        self.in_progress += 1

    def leave(self) -> None:
        """Give a place back."""
        self.in_progress -= 1

    def __enter__(self) -> None:
        self.enter()

    def __exit__(self, *_: object) -> None:
        self.leave()
