"""Outcomes of upstream calls, as far as they concern the key and the project."""

from typing import Literal

from msgspec import Struct

from gateway.errors import GatewayError, RateLimited, Unauthorized, UpstreamError


class Ok(Struct, frozen=True):
    """The call succeeded and used `tokens`, or failed because of the client's request."""

    tokens: int = 0


class Limited(Struct, frozen=True):
    """Google answered 429, for any reason.

    The cooldown reason `limited` is narrower: it stands for a 429 that names neither a delay nor a quota per minute,
    second or day.
    """

    error: RateLimited


class Rejected(Struct, frozen=True):
    """Google refused the key, or has suspended its project."""

    reason: Literal["bad", "leaked", "suspended"]


class Broken(Struct, frozen=True):
    """Google or the network on the way to it failed, or the attempt ended with an unexpected exception."""


class Cancelled(Struct, frozen=True):
    """The client disconnected; the call says nothing about the key."""


Outcome = Ok | Limited | Rejected | Broken | Cancelled


def outcome(error: GatewayError | None, tokens: int = 0) -> Outcome:
    """Return the outcome of a call that ended with `error`, or that succeeded and used `tokens`.

    Google's texts for a refused key are "API key not valid. Please pass a valid API key." (400, reason
    API_KEY_INVALID), "Your API key was reported as leaked. Please use another API key." (403), and "Consumer '...' has
    been suspended." (403, reason CONSUMER_SUSPENDED). Any other 403 concerns a model, a file or a cached content, and
    the key is good.
    """
    if error is None:
        return Ok(tokens)
    if isinstance(error, RateLimited):
        return Limited(error)
    message = error.message.lower()
    if "reported as leaked" in message:
        return Rejected("leaked")
    if "suspended" in message and error.upstream_status == 403:
        return Rejected("suspended")
    if isinstance(error, Unauthorized):
        return Rejected("bad")
    return Broken() if isinstance(error, UpstreamError) else Ok(tokens)
