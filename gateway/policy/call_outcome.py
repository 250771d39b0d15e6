"""Outcomes of upstream calls, as far as they concern the key and the project."""

from msgspec import Struct

from gateway.errors import GatewayError, KeyFault, RateLimited, UpstreamDropped, UpstreamError


class Ok(Struct, frozen=True):
    """The call succeeded and used `tokens`."""

    tokens: int = 0


class Refused(Struct, frozen=True):
    """Google refused what the client sent. It says nothing about the key or the project."""

    tokens: int = 0


class Limited(Struct, frozen=True):
    """Google answered 429, for any reason.

    The cooldown reason `limited` is narrower: it stands for a 429 that names neither a delay nor a quota per minute,
    second or day.
    """

    error: RateLimited


class Rejected(Struct, frozen=True):
    """Google refused the key, or has suspended its project."""

    reason: KeyFault


class Broken(Struct, frozen=True):
    """Google or the network on the way to it failed, or the attempt ended with an unexpected exception."""


class Cancelled(Struct, frozen=True):
    """The client disconnected, or a pooled connection had closed; the call says nothing about the key."""


Outcome = Ok | Refused | Limited | Rejected | Broken | Cancelled


def outcome(error: GatewayError | None, tokens: int = 0) -> Outcome:
    """Return the outcome of a call that ended with `error`, or that succeeded, and used `tokens`.

    No text of Google's is read here: `gemini.errors` has read status and reason.
    """
    if error is None:
        return Ok(tokens)
    if isinstance(error, RateLimited):
        return Limited(error)
    if isinstance(error, UpstreamDropped):
        return Cancelled()
    if error.key_fault is not None:
        return Rejected(error.key_fault)
    return Broken() if isinstance(error, UpstreamError) else Refused(tokens)
