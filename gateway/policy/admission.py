"""Admission control: limits that keep one process healthy."""

from typing import Annotated

from msgspec import Meta, Struct

from gateway.errors import RateLimited
from gateway.policy.memory import MemoryLimit


class LimitsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Limits of one process."""

    body: Annotated[
        int,
        Meta(
            ge=1024,
            le=2**30,
            description="Largest request body in bytes; `make install` sets it in nginx too.",
        ),
    ] = 32 * 1024 * 1024
    memory: MemoryLimit = 400 * 10**6
    streams: Annotated[
        int,
        Meta(ge=1, description="Most requests in progress, streamed or not; further ones are answered 429."),
    ] = 4096
    choices: Annotated[
        int,
        Meta(
            ge=1, le=128, description="Most choices of one answer (`n`); each is a separate call of Gemini."
        ),
    ] = 8


class Admission:
    """Counter of requests in progress. `with admission:` holds a place; RateLimited is raised when none is free."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.in_progress = 0

    def enter(self) -> None:
        """Take a place. Raises RateLimited when none is free."""
        if self.in_progress >= self._limit:
            raise RateLimited(
                f"The gateway is overloaded: {self._limit} requests are in progress. Please try again later.",
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
