"""Close frames (RFC 6455, 5.5.1): Google's as errors of the gateway, and the gateway's errors as close frames.

Google closes with 1007 for a message that it refuses and for a key, with 1008 for a model that does not exist, and with
1011 for a spent quota and its own failures.
"""

from aiohttp import WSCloseCode
from msgspec import Struct

from gateway.errors import BudgetExceeded, Draining, GatewayError, Overloaded, UpstreamError, scrub
from gateway.gemini.errors import from_response
from gateway.plugins.native.live.messages import error_object

_MOST_REASON = 123
"""Bytes of a reason (RFC 6455, 5.5)."""
_NO_STATUS, _ABNORMAL, _TLS = 1005, 1006, 1015
"""Codes that no frame may have (RFC 6455, 7.4.1)."""
_LOST = "The connection to Google was lost."
_QUOTA = ("You exceeded your current quota", "Resource has been exhausted", "RESOURCE_EXHAUSTED")
_BUSY = ("The service is currently unavailable", "The model is overloaded", "UNAVAILABLE")
_CODES = {400: WSCloseCode.INVALID_TEXT, 413: WSCloseCode.MESSAGE_TOO_BIG}
_REFUSALS = frozenset({401, 402, 403, 404, 429})


class Ending(Struct, frozen=True):
    """Code and reason of a close frame."""

    code: int = WSCloseCode.OK
    reason: str = ""

    @property
    def payload(self) -> bytes:
        """The reason as a frame may have it, without secrets."""
        data = scrub(self.reason).encode()
        return data if len(data) <= _MOST_REASON else data[:_MOST_REASON].decode(errors="ignore").encode()


def passed_on(code: int | None, reason: str) -> Ending:
    """Return the close frame for one side when the other has closed, or has been lost."""
    if code in (None, 0, _NO_STATUS):
        return Ending()
    if code in (_ABNORMAL, _TLS) or not 1000 <= (code or 0) < 5000:
        return Ending(WSCloseCode.INTERNAL_ERROR, _LOST)
    return Ending(code or 0, reason)


def ending_of(error: GatewayError) -> Ending:
    """Return the close frame for an error."""
    if isinstance(error, BudgetExceeded):
        return Ending(WSCloseCode.POLICY_VIOLATION, "budget exhausted")
    if isinstance(error, Draining):
        return Ending(WSCloseCode.GOING_AWAY, error.message)
    if isinstance(error, Overloaded):
        return Ending(WSCloseCode.TRY_AGAIN_LATER, error.message)
    if error.status in _REFUSALS:
        return Ending(WSCloseCode.POLICY_VIOLATION, error.message)
    return Ending(_CODES.get(error.status, WSCloseCode.INTERNAL_ERROR), error.message)


def error_of(ending: Ending) -> GatewayError:
    """Return the error for a session that Google has closed before its first answer, or with a failure."""
    reason = ending.reason
    if reason.startswith(_QUOTA):
        return _google(429, reason)
    if ending.code == WSCloseCode.POLICY_VIOLATION:
        return _google(404 if reason.startswith("models/") else 400, reason)
    if ending.code == WSCloseCode.INVALID_TEXT:
        return _google(400, reason)
    if ending.code == WSCloseCode.INTERNAL_ERROR and reason != _LOST:
        return _google(503 if reason.startswith(_BUSY) else 500, reason)
    return UpstreamError(reason or "Google closed the connection.", code="upstream_unreachable")


def _google(status: int, reason: str) -> GatewayError:
    return from_response(
        status, error_object(status, reason or "Google closed the connection without a reason.")
    )
