"""OpenAI's error object, the retry headers, and the scrubbing of keys."""

import json
from time import process_time

import pytest

from gateway.errors import BadRequest, GatewayError, NotFound, RateLimited, openai_error, retry_headers, scrub
from tests.support.canaries import CANARIES, hits

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


@pytest.mark.row("A24")
@pytest.mark.parametrize("kind", CANARIES)
@pytest.mark.parametrize(
    "around", ["{}", "Unknown parameter: '{}'.", "x.{}[0]", "/v1/{}/x", "an ({}) in brackets"]
)
def test_a24_no_error_repeats_a_key(kind: str, around: str) -> None:
    text = around.format(CANARIES[kind])
    body = openai_error(BadRequest(text, param=text))

    assert hits(text)
    assert hits(body) == []


@pytest.mark.row("A24")
def test_a24_the_search_for_secrets_takes_linear_time() -> None:
    pieces = [
        "eyj",
        "sk-",
        "-----begin ",
        "-----begin private key",
        "://a",
        "key=",
        "%41",
        "aq.",
        "bearer ",
        "aiza",
        "1//0",
    ]
    for text in [piece * (200_000 // len(piece)) for piece in [*pieces, "".join(pieces)]]:
        start = process_time()
        scrub(text)
        assert process_time() - start < 1
