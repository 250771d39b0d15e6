"""Google's error answers as the gateway's errors.

Google answers errors as google.rpc.Status with details such as RetryInfo and QuotaFailure
(https://cloud.google.com/apis/design/errors, https://ai.google.dev/gemini-api/docs/troubleshooting).
"""

import re
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from gateway.errors import (
    BadRequest,
    ContextTooLong,
    Forbidden,
    GatewayError,
    NotFound,
    Quota,
    RateLimited,
    TooLarge,
    Unauthorized,
    UpstreamError,
    UpstreamRejected,
    UpstreamTimeout,
    scrub,
)
from gateway.gemini.wire import ErrorBody, ErrorStatus

_DELAY = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")
_NO_CREDIT = re.compile(r"credits are depleted|spending cap|credit balance", re.I)
_LONGEST_USEFUL_WAIT = 60.0
"""Seconds. Older OpenAI SDKs ignore a longer `retry-after` and use their own, shorter back-off."""


class _Meaning(Struct, frozen=True):
    """The error that stands for one of Google's; None keeps the class's own value."""

    error: type[GatewayError]
    code: str | None = None
    type: str | None = None
    status: int | None = None
    param: str | None = None


_MESSAGES: tuple[tuple[int, re.Pattern[str], _Meaning], ...] = (
    (
        400,
        re.compile(r"API key not valid|API key expired|API Key not found|API_KEY_INVALID", re.I),
        _Meaning(Unauthorized),
    ),
    (
        400,
        re.compile(r"input token count .*exceeds the maximum number of tokens", re.I),
        _Meaning(ContextTooLong, param="contents"),
    ),
    (
        400,
        re.compile(r"User location is not supported|free tier is not available in your country", re.I),
        _Meaning(BadRequest, "unsupported_country_region_territory", "request_forbidden"),
    ),
    (400, re.compile(r"request payload size exceeds", re.I), _Meaning(TooLarge)),
    (
        403,
        re.compile(r"CachedContent not found", re.I),
        _Meaning(Forbidden, "cached_content_not_found", "invalid_request_error"),
    ),
    (
        404,
        re.compile(r"models/\S+ (is not found|is no longer available)|is not supported for", re.I),
        _Meaning(NotFound, "model_not_found", param="model"),
    ),
)
"""Errors whose message says more than their HTTP status. The patterns are Google's own error texts."""

_STATUSES: dict[int, _Meaning] = {
    400: _Meaning(BadRequest),
    401: _Meaning(Unauthorized),
    403: _Meaning(Forbidden),
    404: _Meaning(NotFound, "not_found"),
    409: _Meaning(BadRequest, "conflict", status=409),
    413: _Meaning(TooLarge),
    429: _Meaning(RateLimited),
    499: _Meaning(UpstreamRejected, "upstream_cancelled"),
    500: _Meaning(UpstreamRejected),
    501: _Meaning(BadRequest, "unsupported"),
    502: _Meaning(UpstreamError),
    503: _Meaning(UpstreamError, "overloaded", status=503),
    504: _Meaning(UpstreamTimeout, "timeout"),
}

_decode_body = msgspec.json.Decoder(ErrorBody).decode
_decode_bodies = msgspec.json.Decoder(list[ErrorBody]).decode


def from_response(status: int, body: bytes) -> GatewayError:
    """Return the error for an upstream answer other than 200.

    `body` is Google's error object, an array of one (as streams without `alt=sse` answer), or any other page.
    """
    return from_status(
        status, _read(body) or ErrorStatus(message=f"The upstream answered {status} without a reason.")
    )


def from_status(status: int, answer: ErrorStatus) -> GatewayError:
    """Return the error for a google.rpc.Status. `status` is the HTTP status, or the Status's own code inside a 200."""
    details = answer.details or []
    if status == 429:
        return _rate_limited(answer, details)
    text = f"{answer.message} {' '.join(_reasons(details))}"
    meaning = next((m for s, pattern, m in _MESSAGES if s == status and pattern.search(text)), None)
    meaning = meaning or _STATUSES.get(status)
    if meaning is None:
        meaning = _STATUSES[400] if 400 <= status < 500 else _STATUSES[502]
    message = scrub(answer.message) or f"The upstream answered {status}."
    if meaning.error is Unauthorized:
        message = (
            f"Incorrect API key provided: {message}"  # OpenAI's words, by which LiteLLM detects the error
        )
    param = meaning.param or (_violated_field(details) if meaning.error is BadRequest else None)
    return meaning.error(
        message,
        param=param,
        status=meaning.status,
        type=meaning.type,
        code=meaning.code,
        retry_after=_retry_delay(details),
        upstream_status=status,
    )


def _read(body: bytes) -> ErrorStatus | None:
    try:
        return _decode_body(body).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        bodies = _decode_bodies(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return bodies[0].error if bodies else None


def _rate_limited(answer: ErrorStatus, details: list[dict[str, Any]]) -> RateLimited:
    """Return the error for a 429. A retry helps with limits per minute, not with those per day or without credit."""
    violations = [v for d in details for v in _dicts(d.get("violations"))]
    quotas = tuple(_quota(v) for v in violations)
    spent = (
        any("PerDay" in quota.id or quota.value == 0 for quota in quotas)
        or _NO_CREDIT.search(answer.message) is not None
    )
    tokens = any("input_token" in str(v.get("quotaMetric", "")) for v in violations)
    delay = _retry_delay(details)
    hopeless = spent or (delay is not None and delay > _LONGEST_USEFUL_WAIT)
    error = RateLimited(
        scrub(answer.message),
        type="insufficient_quota" if spent else "tokens" if tokens else None,
        code="insufficient_quota" if spent else None,
        retry_after=delay,
        should_retry=False if hopeless else None,
        upstream_status=429,
    )
    error.quotas = quotas
    return error


def _quota(violation: dict[str, Any]) -> Quota:
    """Return a violation's quota. `quotaValue` is an int64, which proto3 JSON writes as text."""
    dimensions, value = violation.get("quotaDimensions"), str(violation.get("quotaValue", ""))
    model = dimensions.get("model") if isinstance(dimensions, dict) else None
    return Quota(
        str(violation.get("quotaId", "")),
        str(model) if model else None,
        int(value) if value.isascii() and value.isdigit() and len(value) < 19 else None,
    )


def _dicts(value: object) -> Iterable[dict[str, Any]]:
    return (v for v in value if isinstance(v, dict)) if isinstance(value, list) else ()


def _reasons(details: list[dict[str, Any]]) -> Iterable[str]:
    """Return the reasons of google.rpc.ErrorInfo, such as API_KEY_INVALID."""
    return (str(d["reason"]) for d in details if "reason" in d)


def _violated_field(details: list[dict[str, Any]]) -> str | None:
    """Return the first field of google.rpc.BadRequest."""
    fields = (v.get("field") for d in details for v in _dicts(d.get("fieldViolations")))
    return next((str(f) for f in fields if f), None)


def _retry_delay(details: list[dict[str, Any]]) -> float | None:
    """Return the seconds of the first google.rpc.RetryInfo, or None if there is no readable one."""
    for detail in details:
        delay = _DELAY.fullmatch(str(detail.get("retryDelay", "")))
        if delay:
            return float(delay[1])
    return None
