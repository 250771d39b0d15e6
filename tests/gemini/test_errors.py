"""Google's error answers as the gateway's errors, a row for each status and message."""

import json
from typing import Any

import pytest

from gateway.errors import ContextTooLong, Quota, RateLimited, Unauthorized, Violation, retry_headers
from gateway.gemini.errors import from_response

GOOGLE = "type.googleapis.com/google.rpc."


def body(code: int, message: str, details: list[dict[str, Any]] | None = None) -> bytes:
    return json.dumps(
        {"error": {"code": code, "message": message, "status": "X", "details": details or []}}
    ).encode()


def quota(quota_id: str, delay: str | None, value: str = "10", metric: str = "requests") -> bytes:
    details: list[dict[str, Any]] = [
        {
            "@type": GOOGLE + "QuotaFailure",
            "violations": [{"quotaId": quota_id, "quotaValue": value, "quotaMetric": metric}, "x"],
        }
    ]
    details += [{"@type": GOOGLE + "RetryInfo", "retryDelay": delay}] if delay else []
    return body(429, "You exceeded your current quota", details)


BAD_KEY = [{"@type": GOOGLE + "ErrorInfo", "reason": "API_KEY_INVALID"}]
FIELD = [{"@type": GOOGLE + "BadRequest", "fieldViolations": [{"field": "contents[0]"}]}]

ROWS: list[tuple[str, int, bytes, int, str, str | None, str | None]] = [
    ("a bad value", 400, body(400, "no", FIELD), 400, "invalid_request_error", "invalid_value", "contents[0]"),
    ("a bad key", 400, body(400, "API key not valid."), 401, "invalid_request_error", "invalid_api_key", None),
    ("a bad key by its reason", 400, body(400, "no", BAD_KEY), 401, "invalid_request_error", "invalid_api_key", None),
    ("too long", 400, body(400, "The input token count (12) exceeds the maximum number of tokens allowed (9)."),
     400, "invalid_request_error", "context_length_exceeded", "contents"),
    ("a region", 400, body(400, "User location is not supported for the API use."), 400, "request_forbidden",
     "unsupported_country_region_territory", None),
    ("an oversize body", 400, body(400, "Request payload size exceeds the limit"), 413, "invalid_request_error",
     "request_too_large", None),
    ("401", 401, body(401, "no"), 401, "invalid_request_error", "invalid_api_key", None),
    ("a leaked key", 403, body(403, "Your API key was reported as leaked."), 403, "permission_denied_error",
     "permission_denied", None),
    ("a cache of others", 403, body(403, "CachedContent not found (or permission denied)"), 403,
     "invalid_request_error", "cached_content_not_found", None),
    ("an unknown model, in an array", 404,
     b"[" + body(404, "models/x is not found for API version v1beta") + b"]", 404, "invalid_request_error",
     "model_not_found", "model"),
    ("an unknown file", 404, body(404, "gone"), 404, "invalid_request_error", "not_found", None),
    ("a conflict", 409, body(409, "no"), 409, "invalid_request_error", "conflict", None),
    ("cancelled", 499, body(499, "no"), 500, "server_error", "upstream_cancelled", None),
    ("500", 500, body(500, "no"), 500, "server_error", "internal_error", None),
    ("501", 501, body(501, "no"), 400, "invalid_request_error", "unsupported", None),
    ("a page", 502, b"<html>", 502, "server_error", "bad_gateway", None),
    ("overloaded", 503, body(503, "overloaded"), 503, "server_error", "overloaded", None),
    ("504", 504, body(504, "no"), 504, "server_error", "timeout", None),
    ("an odd 5xx", 599, b"[]", 502, "server_error", "bad_gateway", None),
    ("an odd 4xx", 418, b"", 400, "invalid_request_error", "invalid_value", None),
    ("per minute", 429, quota("GenerateRequestsPerMinute", "34.07s"), 429, "rate_limit_error",
     "rate_limit_exceeded", None),
    ("tokens per minute", 429, quota("PerMinute", "1s", metric="x/input_token_count"), 429, "tokens",
     "rate_limit_exceeded", None),
    ("per day", 429, quota("GenerateRequestsPerDay", "65205s"), 429, "insufficient_quota", "insufficient_quota", None),
    ("no free tier", 429, quota("PerMinute", None, "0"), 429, "insufficient_quota", "insufficient_quota", None),
    ("no credit", 429, body(429, "Your prepayment credits are depleted."), 429, "insufficient_quota",
     "insufficient_quota", None),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_an_upstream_refusal_becomes_ours(
    row: tuple[str, int, bytes, int, str, str | None, str | None],
) -> None:
    _, status, answer, *expected = row
    error = from_response(status, answer)

    assert expected == [error.status, error.type, error.code, error.param]
    assert error.upstream_status == status


INFO = {"@type": GOOGLE + "ErrorInfo", "metadata": {"service": "generativelanguage.googleapis.com"}}
KEYS: list[tuple[int, str, list[dict[str, Any]] | None, str | None]] = [
    (401, "Request had invalid authentication credentials.", None, "bad"),
    (400, "x", [{**INFO, "reason": "API_KEY_INVALID"}], "bad"),
    (400, "API key expired. Please renew the API key.", None, "bad"),
    (400, "API Key not found. Please pass a valid API key.", None, "bad"),
    (400, "API key not valid, says x", None, None),
    (403, "x", [{**INFO, "reason": "API_KEY_INVALID"}], None),
    (403, "x", [{**INFO, "reason": "API_KEY_IP_ADDRESS_BLOCKED"}], "bad"),
    (403, "x", [{**INFO, "reason": "API_KEY_SERVICE_BLOCKED"}], None),
    (403, "x", [{**INFO, "reason": "CONSUMER_SUSPENDED"}], "suspended"),
    (403, "x", [{**INFO, "reason": "SERVICE_DISABLED"}], "suspended"),
    (
        403,
        "x",
        [{**INFO, "reason": "SERVICE_DISABLED", "metadata": {"service": "places.googleapis.com"}}],
        None,
    ),
    (403, "x", [{"reason": "CONSUMER_SUSPENDED"}], None),
    (403, "x", [{**INFO, "reason": ["CONSUMER_SUSPENDED"], "metadata": 1}], None),
    (403, "Permission denied: Consumer 'api_key:AQ.x-1' has been suspended.", None, "suspended"),
    (403, "Your project has been denied access. Please contact support.", None, "suspended"),
    (403, "Your API key was reported as leaked. Please use another API key.", None, "leaked"),
    (400, "Your API key was reported as leaked. Please use another API key.", None, None),
    (403, "The file 'Your API key was reported as leaked.' is not yours.", None, None),
    (500, "API key not valid.", None, None),
    (429, "Your project has exceeded its monthly spending cap.", None, "spent"),
    (429, "Your project has exceeded its spending cap. Please go to AI Studio", [{"@type": GOOGLE + "Help"}], "spent"),
    (429, "Your billing account has exceeded its monthly spending cap. See x", None, "spent"),
    (429, "Your prepayment credits are depleted. Please go to AI Studio", None, "spent"),
    (429, "Quota exceeded for 'Your project has exceeded its monthly spending cap.'", None, None),
    (429, " Your project has exceeded its monthly spending cap.", None, None),
    (429, "Your project has exceeded its monthly spending cap.",
     [{"@type": GOOGLE + "QuotaFailure", "violations": [{"quotaId": "GenerateRequestsPerMinute"}]}], None),
    (400, "Your project has exceeded its monthly spending cap.", None, None),
    (403, "Your project has exceeded its monthly spending cap.", None, None),
]  # fmt: skip


@pytest.mark.parametrize(("status", "message", "details", "fault"), KEYS)
def test_a_key_is_judged_by_status_and_reason(
    status: int, message: str, details: list[dict[str, Any]] | None, fault: str | None
) -> None:
    error = from_response(status, body(status, message, details))

    assert error.key_fault == fault
    assert isinstance(error, Unauthorized) == (fault == "bad")


def test_the_mistakes_of_a_400_are_kept() -> None:
    violations = [{"field": "a", "description": "b"}, "x", {"description": 1}, *([{"field": "c"}] * 200)]
    details = [{"@type": GOOGLE + "BadRequest", "fieldViolations": violations}]
    error = from_response(400, body(400, "no", details))

    assert error.violations[:2] == (Violation("a", "b"), Violation("", "1"))
    assert len(error.violations) == 100


def test_a_bad_key_is_an_error_in_openais_words() -> None:
    """LiteLLM, and aider with it, takes a 401 for a bad request where these words are missing."""
    error = from_response(400, body(400, "API key not valid. Please pass a valid API key."))

    assert error.message == "Incorrect API key provided: API key not valid. Please pass a valid API key."


@pytest.mark.parametrize(
    ("delay", "headers"),
    [
        ("34.07s", {"retry-after": "35", "retry-after-ms": "34070"}),
        ("0.8s", {"retry-after": "1", "retry-after-ms": "800"}),
        ("60s", {"retry-after": "60", "retry-after-ms": "60000"}),
        ("90s", {"retry-after": "90", "retry-after-ms": "90000", "x-should-retry": "false"}),
        ("soon", {}),
    ],
)
def test_retry_headers_come_from_the_delay(delay: str, headers: dict[str, str]) -> None:
    assert headers == retry_headers(from_response(429, quota("PerMinute", delay)))


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("10", 10),
        ("0", 0),
        ("-1", None),
        ("many", None),
        ("9" * 18, 10**18 - 1),
        ("9" * 19, None),
        ("٣", None),
    ],
)
def test_a_429_says_which_quota_is_spent(value: str, read: int | None) -> None:
    error = from_response(429, quota("GenerateRequestsPerDay", None, value))

    assert isinstance(error, RateLimited)
    assert error.quotas == (Quota("GenerateRequestsPerDay", None, read),)


def test_a_quota_names_its_model() -> None:
    violation = {"quotaId": "Q", "quotaDimensions": {"location": "global", "model": "gemini-2.5-pro"}}
    details = [{"@type": GOOGLE + "QuotaFailure", "violations": [violation, {"quotaDimensions": "x"}]}]

    error = from_response(429, body(429, "spent", details))

    assert isinstance(error, RateLimited)
    assert error.quotas == (Quota("Q", "gemini-2.5-pro"), Quota(""))


def test_a_spent_day_says_do_not_retry() -> None:
    error = from_response(429, quota("PerDay", None))

    assert retry_headers(error) == {"x-should-retry": "false"}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "0"}, 1.0),
        ({"Retry-After": "9" * 400}, 3600.0),
        ({"Retry-After": "Thu, 26 Nov 2026 06:01:00 GMT", "Date": "Thu, 26 Nov 2026 06:00:00 GMT"}, 60.0),
        ({"Retry-After": "Thu, 26 Nov 2026 06:01:00 GMT"}, None),
        ({"Retry-After": "Thu, 26 Nov 2026 06:01:00", "Date": "Thu, 26 Nov 2026 06:00:00 GMT"}, None),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "٣"}, None),
        ({}, None),
    ],
)
def test_a_429_without_a_delay_has_that_of_its_header(headers: dict[str, str], seconds: float | None) -> None:
    assert from_response(429, body(429, "no"), headers).retry_after == seconds
    assert from_response(429, quota("PerMinute", "34s"), headers).retry_after == 34.0
    assert from_response(503, body(503, "no"), headers).retry_after is None


@pytest.mark.row("G6")
@pytest.mark.parametrize(
    ("message", "numbers"),
    [
        ("The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", (1200000, 1048576)),
        ("The input token count 81881 exceeds the maximum number of tokens allowed 65536.", (81881, 65536)),
        ("The input token count exceeds the maximum number of tokens allowed 1048576.", (None, 1048576)),
        ("The input token count exceeds the maximum number of tokens allowed (1048576).", (None, 1048576)),
        (("Unable to submit request because the input token count is 1251952 but model only supports up to 1048576. "
         "Reduce the input token count and try again."), (1251952, 1048576)),
        ("The input token count exceeds the maximum number of tokens allowed.", (None, None)),
    ],
)  # fmt: skip
def test_g06_an_overflow_has_googles_numbers(message: str, numbers: tuple[int | None, int | None]) -> None:
    error = from_response(400, body(400, message))

    assert isinstance(error, ContextTooLong)
    assert (error.tokens, error.most) == numbers


@pytest.mark.row("G6")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "(12) exceeds the maximum number of tokens allowed (9).",
            (
                "This model's maximum context length is 9 tokens. However, your messages resulted in 12 tokens. "
                "Please reduce the length of the messages."
            ),
        ),
        (
            "exceeds the maximum number of tokens allowed 9.",
            "This model's maximum context length is 9 tokens. Please reduce the length of the messages.",
        ),
        (
            "exceeds the maximum number of tokens allowed.",
            "Your input exceeds the context window of this model. Please adjust your input and try again.",
        ),
    ],
)
def test_g06_an_overflow_is_told_in_openais_words(words: str, message: str) -> None:
    assert from_response(400, body(400, f"The input token count {words}")).message == message


@pytest.mark.row("G6")
def test_g06_words_of_a_client_are_no_overflow() -> None:
    words = "Invalid value: The input token count (12) exceeds the maximum number of tokens allowed (9)."

    assert not isinstance(from_response(400, body(400, words)), ContextTooLong)
