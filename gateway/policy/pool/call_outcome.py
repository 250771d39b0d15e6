"""Outcomes of upstream calls, as far as they concern the key and the project."""

from msgspec import Struct

from gateway.errors import (
    GatewayError,
    KeyFault,
    OutOfDescriptors,
    RateLimited,
    UpstreamDropped,
    UpstreamError,
)


class Ok(Struct, frozen=True, gc=False):
    """The call succeeded and used `tokens`."""

    tokens: int = 0


class Refused(Struct, frozen=True):
    """Google refused what the client sent, or ended it at the client's own deadline.

    It says nothing about the key or the project.
    """

    tokens: int = 0


class Limited(Struct, frozen=True):
    """Google answered 429, for any reason but a project without credit, which is Rejected.

    The cooldown reason `limited` is narrower: it stands for a 429 that names neither a delay nor a quota per minute,
    second or day.
    """

    error: RateLimited
    too_large: bool = False
    """The prompt alone may be larger than the limit that the error names: the client's own doing."""


class Rejected(Struct, frozen=True):
    """Google refused the key, or its project: it is suspended or has no credit left."""

    reason: KeyFault


class Unserved(Struct, frozen=True):
    """The project's region has not the model, or its account may not use it. Another project may serve it."""


class Broken(Struct, frozen=True):
    """Google or the network on the way to it failed, or the attempt ended with an unexpected exception."""

    connection: bool = False
    """No connection could be made, which no client can cause."""


class Cancelled(Struct, frozen=True):
    """The client disconnected, a pooled connection had closed, or none could be made for want of a file descriptor.

    The call says nothing about the key.
    """


Outcome = Ok | Refused | Limited | Rejected | Unserved | Broken | Cancelled


_DEADLINE_STATUSES = (499, 504)
"""Google's answers to a call whose deadline is over (CANCELLED, DEADLINE_EXCEEDED)."""


def outcome(
    error: GatewayError | None, tokens: int = 0, *, own_deadline: bool = False, most_prompt: int = 0
) -> Outcome:
    """Return the outcome of a call that ended with `error`, or that succeeded, and used `tokens`.

    `own_deadline` says that the client named the deadline. `most_prompt` is the most tokens that the prompt can have.

    No text of Google's is read here: `gemini.errors` has read status and reason.
    """
    if error is None:
        return Ok(tokens)
    if error.key_fault is not None:
        return Rejected(error.key_fault)
    if error.unserved:
        return Unserved()
    if isinstance(error, RateLimited):
        return Limited(error, _is_too_large(error, most_prompt))
    if isinstance(error, UpstreamDropped | OutOfDescriptors):
        return Cancelled()
    if own_deadline and error.upstream_status in _DEADLINE_STATUSES:
        return Refused(tokens)
    return Broken(not error.sent) if isinstance(error, UpstreamError) else Refused(tokens)


def _is_too_large(error: RateLimited, most_prompt: int) -> bool:
    """Return whether a prompt may be larger than each limit that a 429 names."""
    return bool(error.quotas) and all(
        "InputToken" in quota.id and quota.value and most_prompt > quota.value for quota in error.quotas
    )
