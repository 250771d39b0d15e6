"""What is left of an error body that is too large to be read."""

import json

import pytest

from gateway.gemini.errors import from_response
from gateway.gemini.large_error import shortened


@pytest.mark.row("A1")
@pytest.mark.parametrize("array", [False, True])
@pytest.mark.parametrize("text", ['said "so" \\ \n', "\u2028é中😀", "API key not valid. "])
def test_a01_an_error_that_is_too_large_keeps_status_and_first_words(text: str, *, array: bool) -> None:
    body = json.dumps({"error": {"code": 400, "message": "Invalid value: " + text * 20_000}})
    data = (f"[{body}]" if array else body).encode()[:250_000]
    for cut in range(4000, 4060):  # also within an escape or a character
        error = from_response(400, shortened(400, data[:cut]))
        assert (error.status, error.key_fault) == (400, None)
        assert error.message.startswith("Invalid value: " + text)
        assert len(error.message) < 4100


@pytest.mark.parametrize(
    "body", [b"", b"<html>" * 50_000, b'{"error":{"message":17', b'{"x":"' + b"y" * 300_000]
)
def test_an_error_that_is_too_large_and_is_not_google_s_keeps_its_status(body: bytes) -> None:
    error = from_response(403, shortened(403, body))
    assert (error.status, error.message) == (
        403,
        "The upstream answered 403 with a body that is too large to be read.",
    )
