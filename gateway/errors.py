"""Everything that can go wrong, drawn once.

GatewayError            500  server_error
├─ BadRequest           400  invalid_request_error
│  ├─ UnsupportedParameter   unsupported_parameter
│  └─ ContextTooLong         context_length_exceeded
├─ Unauthorized         401  invalid_api_key
├─ Forbidden            403  permission_denied
├─ NotFound             404  unknown_url, model_not_found
├─ MethodNotAllowed     405  method_not_allowed
├─ TooLarge             413  request_too_large
├─ RateLimited          429  rate_limit_exceeded
│  ├─ PoolExhausted          every project rests for this model
│  └─ BudgetExceeded         insufficient_quota: a client's own budget is spent
├─ Draining             503  shutting_down
└─ UpstreamError        502  bad_gateway
   ├─ UpstreamTimeout   504  upstream_timeout
   ├─ UpstreamRejected       an upstream answer that we cannot blame on the client
   ├─ UpstreamTruncated      upstream_incomplete: a stream ended without a finish reason
   └─ UnusableAnswer         upstream_unusable: an answer with nothing in it, for no reason of the client's
ConfigError                  at start only; every fault carries file, line and column

A class knows its status, type and code; `translate.failure` alone renders them for a dialect.
"""

from msgspec import Struct


class GatewayError(Exception):
    """A failure a client may see. `message` is shown as it is: it must hold no secret.

    `param` is the JSON path of the offending field; `retry_after` is in seconds; `should_retry` tells
    the official SDKs outright (`x-should-retry`); `upstream_status` is Google's own status, for the log.
    """

    status = 500
    type = "server_error"
    code: str | None = "internal_error"

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


class BadRequest(GatewayError):
    """The client's mistake; `param` says where."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_value"


class UnsupportedParameter(BadRequest):
    """A field that is understood but cannot be honoured."""

    code = "unsupported_parameter"


class ContextTooLong(BadRequest):
    """More input tokens than the model takes."""

    code = "context_length_exceeded"


class Unauthorized(GatewayError):
    """No key, or one that is refused (design.md 1.1, 8: OpenAI's own type and code)."""

    status = 401
    type = "invalid_request_error"
    code = "invalid_api_key"


class Forbidden(GatewayError):
    """A good key that may not do this."""

    status = 403
    type = "permission_denied_error"
    code = "permission_denied"


class NotFound(GatewayError):
    """No such URL, model or object."""

    status = 404
    type = "invalid_request_error"
    code = "unknown_url"


class MethodNotAllowed(GatewayError):
    """A known path, asked in the wrong way; `allow` lists the right ones."""

    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"

    def __init__(self, allow: frozenset[str]) -> None:
        super().__init__("The specified HTTP method is not allowed for the requested resource")
        self.allow = ", ".join(sorted(allow))


class TooLarge(GatewayError):
    """A body over `limits.body`."""

    status = 413
    type = "invalid_request_error"
    code = "request_too_large"


class Quota(Struct, frozen=True):
    """What a 429 of Google's says is spent (google.rpc.QuotaFailure.Violation)."""

    id: str
    """`quotaId`: "GenerateRequestsPerDayPerProjectPerModel-FreeTier"."""
    model: str | None = None
    """`quotaDimensions.model`."""
    value: int | None = None
    """`quotaValue`: what the project may have."""


class RateLimited(GatewayError):
    """Too much at once, by Google's count (then `quotas` says which) or by ours."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"
    quotas: tuple[Quota, ...] = ()


class PoolExhausted(RateLimited):
    """No project is free for this model; `retry_after` says when the first will be."""


class BudgetExceeded(RateLimited):
    """A client's budget is spent; another attempt before it is renewed cannot help."""

    type = "insufficient_quota"
    code = "insufficient_quota"

    def __init__(self, message: str) -> None:
        super().__init__(message, should_retry=False)


class Draining(GatewayError):
    """The process is going down; another attempt reaches its successor."""

    status = 503
    code = "shutting_down"

    CANCELLED = "draining"
    """The message of a cancellation that means this, so that a client leaving is told apart."""

    def __init__(self) -> None:
        super().__init__("The gateway is restarting; please try again.", retry_after=1)


class UpstreamError(GatewayError):
    """Google, or the way to it, failed."""

    status = 502
    code = "bad_gateway"


class UpstreamTimeout(UpstreamError):
    """Google kept silent for longer than configured."""

    status = 504
    code = "upstream_timeout"


class UpstreamRejected(UpstreamError):
    """Google refused in a way that is not the client's doing."""

    status = 500
    code = "internal_error"


class UpstreamTruncated(UpstreamError):
    """A stream that ended without a finish reason (design.md 1.1, 2)."""

    code = "upstream_incomplete"


class NoUsableKey(UpstreamError):
    """Google refuses every key of the pool that might serve this model."""

    status = 503
    code = "no_usable_key"

    def __init__(self, model: str) -> None:
        super().__init__(f"No key of this gateway can be used for {model}.", should_retry=False)


class UnusableAnswer(UpstreamError):
    """An answer with nothing in it: empty, or a call the model garbled. `cause` is Gemini's word for it."""

    code = "upstream_unusable"

    def __init__(self, cause: str) -> None:
        super().__init__(f"The model's answer holds nothing: {cause}.", upstream_status=200)
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
    """A configuration that cannot be used, with each fault found."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults
