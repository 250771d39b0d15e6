"""Google's error answers as the gateway's errors.

Google answers errors as google.rpc.Status with details such as RetryInfo and QuotaFailure
(https://cloud.google.com/apis/design/errors, https://ai.google.dev/gemini-api/docs/troubleshooting).

A message repeats what the client wrote: names of fields, values, model names. What is concluded from an error therefore
rests on its status, on `reason` and other fields that only Google writes, and on the beginning of the message, which
no client's words precede. No pattern here is searched for within a message.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Any

import msgspec
from msgspec import Struct

from gateway.errors import (
    BadRequest,
    ContextTooLong,
    Forbidden,
    GatewayError,
    KeyFault,
    LoopDetected,
    NotFound,
    Quota,
    RateLimited,
    TooLarge,
    Unauthorized,
    UpstreamError,
    UpstreamRejected,
    UpstreamTimeout,
    Violation,
    scrub,
)
from gateway.gemini.vertex import without_place
from gateway.gemini.wire import ErrorBody, ErrorStatus

_DELAY = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")
_NO_CREDIT = re.compile(
    r"Your prepayment credits are depleted|Your (project|billing account) has exceeded its (monthly )?spending cap"
)
"""Beginnings of a 429 for which Google names no quota and no delay (https://github.com/dyad-sh/dyad/issues/3626,
https://ai.google.dev/gemini-api/docs/billing, "project spend caps"). They concern the whole project. No client's words
precede them."""
_LONGEST_USEFUL_WAIT = 60.0
"""Seconds. Older OpenAI SDKs ignore a longer `retry-after` and use their own, shorter back-off."""
_SHORTEST_RETRY_AFTER, _LONGEST_RETRY_AFTER = 1.0, 3600.0
"""Seconds that count, at least and at most, of the header `Retry-After`."""
_LONGEST_DELAY = 90_000.0
"""Seconds that count, at most, of a RetryInfo: no quota lasts longer than a day of 25 hours."""
_MOST_VIOLATIONS = 100
_MOST_STATUS = 999
"""The largest status of an error: a Status inside a 200 may hold any number as its code."""
_SERVICES = ("generativelanguage.googleapis.com", "aiplatform.googleapis.com")
"""The Gemini API, and Vertex AI."""

_KEY_REASONS: dict[tuple[int, str], KeyFault] = {
    (400, "API_KEY_INVALID"): "bad",
    (403, "API_KEY_IP_ADDRESS_BLOCKED"): "bad",
    (403, "API_KEY_HTTP_REFERRER_BLOCKED"): "bad",
    (403, "API_KEY_ANDROID_APP_BLOCKED"): "bad",
    (403, "API_KEY_IOS_APP_BLOCKED"): "bad",
    (403, "CONSUMER_SUSPENDED"): "suspended",
    (403, "CONSUMER_INVALID"): "suspended",
    (403, "SERVICE_DISABLED"): "suspended",
}
"""Reasons for which a key is refused whatever is asked
(https://github.com/googleapis/googleapis/blob/master/google/api/error_reason.proto).

API_KEY_SERVICE_BLOCKED and BILLING_DISABLED are not among them: they concern one method or model, which a client
chooses.
"""

_KEY_MESSAGES: tuple[tuple[int, re.Pattern[str], KeyFault], ...] = (
    (400, re.compile(r"API [Kk]ey (not valid|expired|not found)\.( Please (pass a valid|renew the) API key\.)?"),
     "bad"),
    (403, re.compile(r"Your API key was reported as leaked\.( Please use another API key\.)?"), "leaked"),
    (403, re.compile(r"(Permission denied: )?Consumer '[\w:./-]{1,200}' has been suspended\."), "suspended"),
    (403, re.compile(r"Your project has been denied access\. Please contact support\."), "suspended"),
)  # fmt: skip
"""Whole messages that mean the same where Google gives no reason. A leaked key and a denied project never have one
(https://github.com/continuedev/continue/issues/11541, https://github.com/poenl/gemini-api/issues/8)."""


class _Meaning(Struct, frozen=True):
    """The error that stands for one of Google's; None keeps the class's own value."""

    error: type[GatewayError]
    code: str | None = None
    type: str | None = None
    status: int | None = None
    param: str | None = None


_OVERFLOW = re.compile(
    r"(?:Unable to submit request because )?[Tt]he input token count (?:is )?(?:\(?(\d{1,12})\)? )?"
    r"(?:exceeds the maximum number(?: of tokens allowed)?|but (?:the )?model only supports up to)"
    r"(?: \(?(\d{1,12}))?"
)
"""More tokens than the model takes, and both numbers. Either may be missing
(https://github.com/google-gemini/gemini-cli/issues/6678, https://github.com/google-gemini/gemini-cli/issues/22609,
https://github.com/google-gemini/gemini-cli/issues/19727, https://github.com/arkavo-org/arkavo-edge/issues/371)."""

_NO_PUBLISHER_MODEL = re.compile(r"Publisher Model `")
"""Vertex AI's 404 for a model that is unknown, not in the region, or not for the project
(https://github.com/BerriAI/litellm/issues/18781)."""
_NO_PERMISSION = re.compile(r"Permission 'aiplatform\.")
"""Vertex AI's 403 for an account that may not use a model (https://github.com/rpurinton/gemini-php/issues/4)."""

_MESSAGES: tuple[tuple[int, re.Pattern[str], _Meaning], ...] = (
    (400, _OVERFLOW, _Meaning(ContextTooLong, param="contents")),
    (
        400,
        re.compile(r"User location is not supported|Gemini API free tier is not available in your country"),
        _Meaning(BadRequest, "unsupported_country_region_territory", "request_forbidden"),
    ),
    (400, re.compile(r"Request payload size exceeds"), _Meaning(TooLarge)),
    (
        403,
        re.compile(r"CachedContent not found"),
        _Meaning(Forbidden, "cached_content_not_found", "invalid_request_error"),
    ),
    (
        404,
        re.compile(
            r"(?s)(This model )?models/.{1,300}? is (not found for|no longer available|not supported for)"
        ),
        _Meaning(NotFound, "model_not_found", param="model"),
    ),
    (404, _NO_PUBLISHER_MODEL, _Meaning(NotFound, "model_not_found", param="model")),
)
"""Errors whose message says more than their HTTP status, by its beginning. The words are Google's own."""

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


def from_response(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> GatewayError:
    """Return the error for an upstream answer other than 200.

    `body` is Google's error object, an array of one (as streams without `alt=sse` answer), or any other page.
    """
    if status == LoopDetected.status:  # Google has no such answer: a gateway does
        return LoopDetected()
    answer = _read(body) or ErrorStatus(message=f"The upstream answered {status} without a reason.")
    if status == 429:
        return _rate_limited(answer, _retry_after(headers or {}))
    return from_status(status, answer)


def from_status(status: int, answer: ErrorStatus) -> GatewayError:
    """Return the error for a google.rpc.Status. `status` is the HTTP status, or the Status's own code inside a 200."""
    details = answer.details or []
    if status == 429:
        return _rate_limited(answer)
    fault = _key_fault(status, answer.message, details)
    meaning = _STATUSES[401] if fault == "bad" else _meaning(status, answer.message)
    message = scrub(answer.message) or f"The upstream answered {status}."
    if meaning.error is Unauthorized:
        message = (
            f"Incorrect API key provided: {message}"  # OpenAI's words, by which LiteLLM detects the error
        )
    violations = _violations(details) if meaning.error is BadRequest else ()
    error = meaning.error(
        message,
        param=meaning.param or next((violation.field for violation in violations if violation.field), None),
        status=meaning.status,
        type=meaning.type,
        code=meaning.code,
        retry_after=_retry_delay(details),
        upstream_status=min(max(status, 0), _MOST_STATUS),
    )
    error.key_fault, error.violations = fault, violations
    if status in (403, 404) and _is_unserved(status, answer.message):
        error.unserved, error.message = True, without_place(message)
    if isinstance(error, ContextTooLong):
        _count(error, answer.message)
    return error


def _count(error: ContextTooLong, message: str) -> None:
    """Take Google's numbers, and say them in OpenAI's words. By these words agents know to shorten their history."""
    overflow = _OVERFLOW.match(message)
    if overflow is not None:
        error.tokens, error.most = (int(number) if number else None for number in overflow.groups())
    if error.most is None:
        error.message = (
            "Your input exceeds the context window of this model. Please adjust your input and try again."
        )
        return
    words = [f"This model's maximum context length is {error.most} tokens."]
    if error.tokens is not None:
        words.append(f"However, your messages resulted in {error.tokens} tokens.")
    error.message = " ".join([*words, "Please reduce the length of the messages."])


def _is_unserved(status: int, message: str) -> bool:
    """Return whether Vertex AI says that a project does not serve a model. No client's words precede these."""
    return (_NO_PUBLISHER_MODEL if status == 404 else _NO_PERMISSION).match(message) is not None


def _meaning(status: int, message: str) -> _Meaning:
    """Return the row for an error that does not concern the key."""
    row = next((row for code, pattern, row in _MESSAGES if code == status and pattern.match(message)), None)
    return row or _STATUSES.get(status) or _STATUSES[400 if 400 <= status < 500 else 502]


def _key_fault(status: int, message: str, details: list[dict[str, Any]]) -> KeyFault | None:
    """Return why the key is refused, or None for a refusal of the request.

    Google answers 401 for a key of a kind that it does not take
    (https://github.com/google-gemini/gemini-cli/issues/28538). A client cannot provoke it: its own credentials are not
    sent beside a key of the pool.
    """
    if status == 401:
        return "bad"
    if status not in (400, 403):
        return None
    info = next(_of_type(details, "ErrorInfo"), None)
    if info is None:
        return next(
            (f for code, text, f in _KEY_MESSAGES if code == status and text.fullmatch(message)), None
        )
    metadata = info.get("metadata")
    if isinstance(metadata, dict) and metadata.get("service", _SERVICES[0]) not in _SERVICES:
        return None  # another API of the project, which a tool of the request needs
    return _KEY_REASONS.get((status, str(info.get("reason"))))


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


def _rate_limited(answer: ErrorStatus, retry_after: float | None = None) -> RateLimited:
    """Return the error for a 429. A retry helps with limits per minute, not with those per day or without credit.

    `retry_after` are the seconds of the answer's header. They count where the details name no delay.
    """
    details = answer.details or []
    violations = [v for d in _of_type(details, "QuotaFailure") for v in _dicts(d.get("violations"))]
    quotas = tuple(_quota(v) for v in violations)
    no_credit = not quotas and _NO_CREDIT.match(answer.message) is not None
    spent = no_credit or any("PerDay" in quota.id or quota.value == 0 for quota in quotas)
    tokens = any("input_token" in str(v.get("quotaMetric", "")) for v in violations)
    delay = _retry_delay(details) or retry_after
    hopeless = spent or (delay is not None and delay > _LONGEST_USEFUL_WAIT)
    error = RateLimited(
        scrub(answer.message),
        type="insufficient_quota" if spent else "tokens" if tokens else None,
        code="insufficient_quota" if spent else None,
        retry_after=delay,
        should_retry=False if hopeless else None,
        upstream_status=429,
    )
    error.quotas, error.key_fault = quotas, "spent" if no_credit else None
    if quotas:
        error.refused_by = f"google {scrub(quotas[0].id)} {quotas[0].value or ''}".rstrip()
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


def _of_type(details: list[dict[str, Any]], name: str) -> Iterator[dict[str, Any]]:
    """Yield the details of one type of google.rpc, such as ErrorInfo."""
    return (detail for detail in details if detail.get("@type") == f"type.googleapis.com/google.rpc.{name}")


def _violations(details: list[dict[str, Any]]) -> tuple[Violation, ...]:
    """Return the mistakes of google.rpc.BadRequest, at most 100."""
    entries = (v for d in _of_type(details, "BadRequest") for v in _dicts(d.get("fieldViolations")))
    return tuple(
        Violation(str(v.get("field", "")), str(v.get("description", "")))
        for v in islice(entries, _MOST_VIOLATIONS)
    )


def _retry_delay(details: list[dict[str, Any]]) -> float | None:
    """Return the seconds of the first google.rpc.RetryInfo, or None if there is no readable one."""
    for detail in _of_type(details, "RetryInfo"):
        delay = _DELAY.fullmatch(str(detail.get("retryDelay", "")))
        if delay:
            return min(_LONGEST_DELAY, float(delay[1]))
    return None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of the header `Retry-After` (RFC 9110, section 10.2.3), between 1 and 3600.

    A date counts from the answer's own `Date`. None if there is no readable header.
    """
    text = headers.get("Retry-After", "")
    if text.isascii() and text.isdigit():
        seconds = float(text[:10])
    else:
        try:
            seconds = (parsedate_to_datetime(text) - parsedate_to_datetime(headers["Date"])).total_seconds()
        except (KeyError, TypeError, ValueError):
            return None
    return min(_LONGEST_RETRY_AFTER, max(_SHORTEST_RETRY_AFTER, seconds))
