"""OpenAI's error object, the retry headers, and the scrubbing of keys."""

import json

import pytest

from gateway.errors import GatewayError, NotFound, RateLimited, openai_error, retry_headers, scrub

KEYS = (
    ("key AIzaSyA1234567890123456789012345678901234 leaked", "key **** leaked"),
    ("AQ.Ab8RN6abcdefghijklmnop", "****"),
    ("x?key=hush&y=1", "x?key=****&y=1"),
    ("api_key:hush is invalid", "api_key:**** is invalid"),
)


@pytest.mark.parametrize(("text", "scrubbed"), KEYS)
def test_keys_are_scrubbed(text: str, scrubbed: str) -> None:
    assert scrub(text) == scrubbed
    assert json.loads(openai_error(GatewayError(text)))["error"]["message"] == scrubbed


@pytest.mark.parametrize("text", ["AIza", "AQ.short", "a keyword", "monkey = 1"])
def test_text_without_a_key_stays(text: str) -> None:
    assert scrub(text) == text


def test_an_error_body_has_its_four_keys() -> None:
    error = json.loads(openai_error(NotFound("no", param="model")))

    assert error == {
        "error": {"message": "no", "type": "invalid_request_error", "param": "model", "code": "unknown_url"}
    }


@pytest.mark.parametrize(
    ("retry_after", "should_retry", "headers"),
    [
        (None, None, {}),
        (34.07, None, {"retry-after": "35", "retry-after-ms": "34070"}),
        (0.8, None, {"retry-after": "1", "retry-after-ms": "800"}),
        (0.0, True, {"retry-after": "1", "retry-after-ms": "0", "x-should-retry": "true"}),
        (None, False, {"x-should-retry": "false"}),
    ],
)
def test_retry_headers(retry_after: float | None, should_retry: bool | None, headers: dict[str, str]) -> None:
    error = RateLimited("slow down", retry_after=retry_after, should_retry=should_retry)

    assert retry_headers(error) == headers
