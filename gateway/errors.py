"""Every error of the gateway, and its rendering as OpenAI's error object.

GatewayError            500  server_error
├─ BadRequest           400  invalid_request_error
│  ├─ UnsupportedParameter   unsupported_parameter
│  └─ ContextTooLong         context_length_exceeded
├─ Unauthorized         401  invalid_api_key
│  └─ Revoked                the key was revoked while the request was in progress
├─ Forbidden            403  permission_denied
├─ NotFound             404  unknown_url, model_not_found
├─ MethodNotAllowed     405  method_not_allowed
├─ TooLarge             413  request_too_large
├─ RateLimited          429  rate_limit_exceeded
│  ├─ PoolExhausted          no project is free for this model
│  └─ BudgetExceeded         insufficient_quota: a client's own budget is spent
├─ LedgerUnavailable    503  ledger_unavailable
├─ LoopDetected         508  loop_detected
├─ Overloaded           503  gateway_overloaded: the gateway's memory is in use
│  └─ OutOfDescriptors       no file descriptor is free for a connection to Google
├─ Draining             503  shutting_down
└─ UpstreamError        502  bad_gateway
   ├─ UpstreamTimeout   504  upstream_timeout
   ├─ UpstreamRejected       an upstream error that the client did not cause
   ├─ UpstreamUnreachable    upstream_unreachable: no connection could be opened
   ├─ UpstreamDropped        upstream_dropped: a pooled connection closed instead of answering
   ├─ UpstreamTruncated      upstream_incomplete: a stream ended without a finish reason
   ├─ NoUsableKey       503  no_usable_key: Google refuses every key of the pool
   └─ UnusableAnswer         upstream_unusable: an empty answer that the client did not cause
ConfigError                  at start only; every fault carries file, line and column

`type`, `code` and `param` are those of OpenAI's error object
(https://platform.openai.com/docs/guides/error-codes). Surfaces of another dialect render the same fields in their own
body.
"""

import math
import re
import traceback
from typing import Literal, TypeVar

import msgspec
from msgspec import Struct

_CHARACTER = r"(?:[\w.~+/=-]|%[0-9a-f]{2})"
"""One character of a key, also percent-encoded."""
_SECRET = re.compile(
    r"(?:aiza[\w%-]{4,}"  # Google's API keys
    rf"|aq\.{_CHARACTER}{{16,}}|sk-gw-{_CHARACTER}{{4,}}"  # Google's new keys, issued keys
    rf"|(?<![a-z0-9])(?:aq\.|gw-|sk-){_CHARACTER}{{8,}}"  # the same, cut; OpenAI's and Anthropic's keys
    rf"|ya29\.{_CHARACTER}{{4,}}|gocspx-{_CHARACTER}{{4,}}|(?<![a-z0-9])1//0{_CHARACTER}{{8,}}"  # Google's OAuth tokens
    r"|(?<![a-z0-9_])eyj[\w-]{8,500}\.[\w-]{4,}(?:\.[\w-]*)?"  # JSON Web Tokens
    r"|(?<=bearer )(?!auth\b|authentication\b|tokens?\b|your_)[^\s\"'\\]{6,}|(?<=basic )(?=[^\s\"]*[\d=])[^\s\"'\\]{6,}"
    r"|(?:(?<=key=)|(?<=api_key:)|(?<=token=)|(?<=secret=)|(?<=password=)|(?<=passwd=))[^\s&\"'\\]+"
    r"|(?<=://)[^\s/@\"\\]+(?=@)"  # user and password of a URL
    r"|-----begin [a-z ]*private key[^\"]*?(?:-----end[^\"-]*-----|(?=\")|\Z)"
    r"|(?:%[0-9a-f]{2}){8,})",  # text that is hidden by its encoding
    re.IGNORECASE,
)
"""Text in the form of a secret. A match never contains a quotation mark, so that JSON stays JSON."""


KeyFault = Literal["bad", "leaked", "suspended", "spent"]
"""A reason for which Google refuses a key: it is not valid, it was published, its project may not use the API, or its
project has no credit left or has reached its spending cap."""


class Violation(Struct, frozen=True):
    """A mistake that Google's 400 names (google.rpc.BadRequest.FieldViolation). Both repeat the client's words."""

    field: str
    """Path of the field in Gemini's request, in snake_case; "" for the request itself."""
    description: str


class GatewayError(Exception):
    """An error that a client may see. `message` is sent to the client: it must hold no secret.

    `param` is the JSON path of the offending field. `retry_after` is in seconds. `should_retry` becomes the header
    `x-should-retry`, which OpenAI's and Anthropic's SDKs obey. `upstream_status` is Google's HTTP status, for the log.
    """

    status = 500
    type = "server_error"
    code: str | None = "internal_error"
    key_fault: KeyFault | None = None
    """Google refuses the key itself, not the request. Only `gemini.errors` sets it."""
    unserved = False
    """The project does not serve the model, which another may (Vertex AI). Only `gemini.errors` sets it."""
    violations: tuple[Violation, ...] = ()
    """The mistakes that a 400 of Google's lists."""
    refused_by = ""
    """The limit that refused the request, or the state of its key, for the log alone (see `RequestLog`)."""

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        status: int | None = None,
        type: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
        should_retry: bool | None = None,
        upstream_status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.status = status or self.status
        self.type = type or self.type
        self.code = code or self.code
        self.retry_after = retry_after
        self.should_retry = should_retry
        self.upstream_status = upstream_status
        self.sent = True
        """Whether Google may have got the call; False where no connection could be made."""


class BadRequest(GatewayError):
    """An invalid request; `param` names the field."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_value"


class UnsupportedParameter(BadRequest):
    """A known field that the gateway or the model cannot honour."""

    code = "unsupported_parameter"


class ContextTooLong(BadRequest):
    """More input tokens than the model takes."""

    code = "context_length_exceeded"
    tokens: int | None = None
    most: int | None = None
    """Tokens of the request, and those that the model takes, where Google names them."""


class Unauthorized(GatewayError):
    """A missing or refused API key.

    OpenAI answers `invalid_request_error` with the code `invalid_api_key`, not `authentication_error`.
    """

    status = 401
    type = "invalid_request_error"
    code = "invalid_api_key"


class Forbidden(GatewayError):
    """A valid key without the permission for this request."""

    status = 403
    type = "permission_denied_error"
    code = "permission_denied"


class NotFound(GatewayError):
    """An unknown URL, model or object."""

    status = 404
    type = "invalid_request_error"
    code = "unknown_url"


class MethodNotAllowed(GatewayError):
    """A known path with the wrong HTTP method; `allow` lists the right ones."""

    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"

    def __init__(self, allow: frozenset[str]) -> None:
        super().__init__("The specified HTTP method is not allowed for the requested resource")
        self.allow = ", ".join(sorted(allow))


class TooLarge(GatewayError):
    """A request body over `limits.body`."""

    status = 413
    type = "invalid_request_error"
    code = "request_too_large"


class Quota(Struct, frozen=True):
    """A spent quota that Google's 429 names (google.rpc.QuotaFailure.Violation)."""

    id: str
    """`quotaId`: "GenerateRequestsPerDayPerProjectPerModel-FreeTier"."""
    model: str | None = None
    """`quotaDimensions.model`."""
    value: int | None = None
    """`quotaValue`: the project's limit."""


class RateLimited(GatewayError):
    """Too many requests or tokens. `quotas` lists Google's spent quotas; it is empty for the gateway's own limits."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"
    quotas: tuple[Quota, ...] = ()


class PoolExhausted(RateLimited):
    """No project of the pool is free for this model; `retry_after` is the time until the first is."""

    refused_by = "pool"


class BudgetExceeded(RateLimited):
    """A client's `budget` (unit, period, limit) is spent. A retry cannot succeed before its period ends."""

    type = "insufficient_quota"
    code = "insufficient_quota"

    def __init__(self, message: str, budget: tuple[str, str, int] = ("", "", 0)) -> None:
        super().__init__(message, should_retry=False)
        self.budget = budget


class Overloaded(GatewayError):
    """Requests in progress hold all memory that they may; a retry succeeds once some have ended."""

    status = 503
    code = "gateway_overloaded"


class OutOfDescriptors(Overloaded):
    """No file descriptor is free for a connection to Google. It says nothing about Google, a key or a project."""

    def __init__(self) -> None:
        super().__init__(
            "The gateway is overloaded: it has no free file descriptor. Please try again later.",
            retry_after=2,
        )
        self.sent = False


class Draining(GatewayError):
    """The process is shutting down; a retry reaches its successor."""

    status = 503
    code = "shutting_down"

    CANCELLED = "draining"
    """Message of the task cancellation at shutdown; a client's disconnect cancels without it."""

    def __init__(self) -> None:
        super().__init__("The gateway is restarting; please try again.", retry_after=1)


class Revoked(Unauthorized):
    """The API key was revoked, or has expired, while the request was in progress."""

    CANCELLED = "revoked"
    """Message of the task cancellation."""
    refused_by = "key.revoked"

    def __init__(self) -> None:
        super().__init__("Incorrect API key provided: it was revoked or has expired.")


class LedgerUnavailable(GatewayError):
    """The ledger cannot be written, and the request must not go on without it."""

    status = 503
    code = "ledger_unavailable"

    def __init__(
        self, message: str = "The gateway cannot write to its ledger at the moment. Please try again later."
    ) -> None:
        super().__init__(message, retry_after=5)


class LoopDetected(GatewayError):
    """A request that a gateway sent: `upstream.base_url` is the gateway's own address (RFC 5842, 7.2)."""

    status = 508
    code = "loop_detected"

    def __init__(self) -> None:
        super().__init__(
            "The gateway received its own request: `upstream.base_url` must be Gemini's address, not the gateway's.",
            should_retry=False,
        )


class UpstreamError(GatewayError):
    """Google, or the network to it, failed. `most_attempts` limits the attempts that are worth making."""

    status = 502
    code = "bad_gateway"
    most_attempts: int | None = None
    detail = ""
    """Host and cause, for the log alone."""


class UpstreamTimeout(UpstreamError):
    """Google sent nothing for longer than the configured timeout, or answered 504 itself."""

    status = 504
    code = "upstream_timeout"


class UpstreamUnreachable(UpstreamError):
    """No connection to Google could be opened; nothing was sent. A second attempt may find a restarted front end."""

    code = "upstream_unreachable"
    most_attempts = 2


class UpstreamDropped(UpstreamError):
    """A connection that had waited in the pool closed instead of answering.

    The other side had most likely closed it before the request came (RFC 9112, section 9.3.1), but may have read it.
    """

    code = "upstream_dropped"


class UpstreamRejected(UpstreamError):
    """Google answered 500, or cancelled the call (499)."""

    status = 500
    code = "internal_error"


class UpstreamTruncated(UpstreamError):
    """A stream ended without a finish reason: the answer is incomplete."""

    code = "upstream_incomplete"


class NoUsableKey(UpstreamError):
    """No key can be used: no project serves the model, or Google refuses all keys or their projects."""

    status = 503
    code = "no_usable_key"

    def __init__(self, model: str, *, served: bool = True) -> None:
        purpose = f" for {model}" if model else ""
        super().__init__(
            f"No key of this gateway can be used{purpose}: Google refuses all keys, or has suspended their projects, "
            "or these have no credit left."
            if served
            else f"No Google project of this gateway serves {model}.",
            should_retry=False,
        )


class UnusableAnswer(UpstreamError):
    """An empty answer or a malformed function call. `cause` is Gemini's finish reason."""

    code = "upstream_unusable"

    def __init__(self, cause: str) -> None:
        super().__init__(f"The model's answer cannot be used: {cause}.", upstream_status=200)
        self.cause = cause


class Fault(Struct, frozen=True):
    """One mistake in a configuration file."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class ConfigError(Exception):
    """An invalid configuration, with every fault."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults


class ErrorObject(Struct, gc=False):
    """OpenAI's error object. All four keys are always present, as in OpenAI's own answers."""

    message: str
    type: str
    param: str | None
    code: str | None


class _ErrorBody(Struct, gc=False):
    error: ErrorObject


_encode = msgspec.json.Encoder().encode
_E = TypeVar("_E", bound=BaseException)


def forget_frames(error: _E) -> _E:
    """Return the error without what its traceback, and those of the errors behind it, keep alive.

    A traceback refers to frames, and frames to a request's body. Where a frame also refers to the error, only the
    garbage collector would free the body, much later. The places in the traceback of a crash are kept for the log.
    """
    pending: list[BaseException | None] = [error]
    seen = set()
    while pending:
        current = pending.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        traceback.clear_frames(current.__traceback__)
        if current is not error or isinstance(error, GatewayError):
            current.__traceback__ = None
        pending += [current.__cause__, current.__context__]
        if isinstance(current, BaseExceptionGroup):
            pending += current.exceptions
    return error


def scrub(text: str) -> str:
    """Return the text with everything that looks like a secret replaced by `****`.

    Google echoes keys in some errors, and clients put keys into fields that are no place for them.
    """
    return _SECRET.sub("****", text)


def openai_error(error: GatewayError) -> bytes:
    """Return the error as an OpenAI error body, scrubbed of secrets."""
    param = scrub(error.param) if error.param else error.param
    return _encode(_ErrorBody(ErrorObject(scrub(error.message), error.type, param, error.code)))


def retry_headers(error: GatewayError) -> dict[str, str]:
    """Return the headers that tell OpenAI's and Anthropic's SDKs whether and when to retry.

    Both SDKs read `x-should-retry` first, then `retry-after-ms`, then `retry-after` (seconds).
    """
    headers: dict[str, str] = {}
    if error.should_retry is not None:
        headers["x-should-retry"] = str(error.should_retry).lower()
    if error.retry_after is not None:
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after)))
        headers["retry-after-ms"] = str(int(error.retry_after * 1000))
    return headers
