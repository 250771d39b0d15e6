"""Requests that the gateway itself cancels: the message of the cancellation says why."""

from gateway.errors import Draining, GatewayError, Revoked

BY_OPERATOR = "by operator"
"""Message of the task cancellation by an operator."""


def of_cancellation(cancelled: BaseException) -> GatewayError | None:
    """Return the error for the client of a request that the gateway has cancelled; None where the client has left."""
    if cancelled.args == (Draining.CANCELLED,):
        return Draining()
    if cancelled.args == (BY_OPERATOR,):
        return GatewayError(
            "The operator has cancelled this request.",
            status=503,
            code="cancelled_by_operator",
            should_retry=False,
        )
    return Revoked() if cancelled.args == (Revoked.CANCELLED,) else None
