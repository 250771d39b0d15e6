"""Gemini's errors as ours, and ours in each dialect's body: the only place that knows both (translation.md E).

No message leaves without its keys scrubbed: Google echoes them in some refusals.
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
from gateway.gemini import wire as gemini

_DELAY = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")
_LONGEST_USEFUL_WAIT = 60.0
"""Seconds; older SDKs answer a longer one with their own, shorter back-off (translation.md E.3)."""


class _Meaning(Struct, frozen=True):
    """What one refusal means to a client."""

    error: type[GatewayError]
    code: str | None = None
    type: str | None = None
    status: int | None = None
    param: str | None = None


_BY_MESSAGE: tuple[tuple[int, re.Pattern[str], _Meaning], ...] = (
    (
        400,
        re.compile(r"API key not valid|API key expired|API Key not found|API_KEY_INVALID", re.I),
        _Meaning(Unauthorized),
    ),
    (
        400,
        re.compile(r"input token count .*exceeds the maximum number of tokens", re.I),
        _Meaning(ContextTooLong, param="messages"),
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
"""Refusals whose message says more than their status (translation.md E.2, J)."""

_BY_STATUS: dict[int, _Meaning] = {
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

_decode_one = msgspec.json.Decoder(gemini.ErrorBody).decode
_decode_many = msgspec.json.Decoder(list[gemini.ErrorBody]).decode


def from_response(status: int, body: bytes) -> GatewayError:
    """An upstream answer other than 200 as ours; the body may be an object, an array or a page."""
    for decode in (_decode_one, _decode_many):
        try:
            found = decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        if isinstance(found, list):
            if not found:
                break
            found = found[0]
        return from_status(status, found.error)
    return from_status(
        status, gemini.ErrorStatus(message=f"The upstream answered {status} without a reason.")
    )


def from_status(status: int, told: gemini.ErrorStatus) -> GatewayError:
    """A google.rpc.Status as ours, with the HTTP status it came with (or its own code, inside a 200)."""
    details = told.details or []
    told_text = f"{told.message} {' '.join(_reasons(details))}"
    if status == 429:
        return _rate_limited(told, details)
    meaning = next((m for s, pattern, m in _BY_MESSAGE if s == status and pattern.search(told_text)), None)
    meaning = meaning or _BY_STATUS.get(status)
    if meaning is None:
        meaning = _BY_STATUS[400] if 400 <= status < 500 else _BY_STATUS[502]
    message = scrub(told.message) or f"The upstream answered {status}."
    if meaning.error is Unauthorized:
        message = f"Incorrect API key provided: {message}"  # OpenAI's words: LiteLLM knows the error by them
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


def _rate_limited(told: gemini.ErrorStatus, details: list[dict[str, Any]]) -> RateLimited:
    """A 429: by the minute it pays to wait, by the day or without credit it does not."""
    violations = [v for d in details for v in _dicts(d.get("violations"))]
    quotas = tuple(_quota(v) for v in violations)
    spent = (
        any("PerDay" in quota.id or quota.value == 0 for quota in quotas)
        or re.search(r"credits are depleted|spending cap|credit balance", told.message, re.I) is not None
    )
    tokens = any("input_token" in str(v.get("quotaMetric", "")) for v in violations)
    delay = _retry_delay(details)
    hopeless = spent or (delay is not None and delay > _LONGEST_USEFUL_WAIT)
    error = RateLimited(
        scrub(told.message),
        type="insufficient_quota" if spent else "tokens" if tokens else None,
        code="insufficient_quota" if spent else None,
        retry_after=delay,
        should_retry=False if hopeless else None,
        upstream_status=429,
    )
    error.quotas = quotas
    return error


def _quota(violation: dict[str, Any]) -> Quota:
    """One violation, as far as it can be read; int64 travels as a text."""
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
    return (str(d["reason"]) for d in details if "reason" in d)


def _violated_field(details: list[dict[str, Any]]) -> str | None:
    fields = (v.get("field") for d in details for v in _dicts(d.get("fieldViolations")))
    return next((str(f) for f in fields if f), None)


def _retry_delay(details: list[dict[str, Any]]) -> float | None:
    """Seconds of the first RetryInfo, or None when there is none that makes sense."""
    for detail in details:
        found = _DELAY.fullmatch(str(detail.get("retryDelay", "")))
        if found:
            return float(found[1])
    return None
