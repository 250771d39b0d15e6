"""Google's error bodies, and the refusals of keys and models."""

import aiohttp
import pytest

from gateway.emulator.errors import Refusal, RefusedError, Violation, model_refusal
from tests.support.servers import Fake


@pytest.mark.parametrize(
    ("headers", "path", "status", "message"),
    [
        ({}, "models/gemini-2.5-flash:generateContent", 403, "unregistered callers"),
        ({"x-goog-api-key": "bad"}, "models/gemini-2.5-flash:generateContent", 400, "API_KEY_INVALID"),
        ({"x-goog-api-key": "k"}, "models/none:generateContent", 404, "models/none is not found"),
    ],
)
async def test_keys_and_models_are_checked(
    http: aiohttp.ClientSession, fake: Fake, headers: dict[str, str], path: str, status: int, message: str
) -> None:
    async with http.post(f"{fake.url}/v1beta/{path}", data="{", headers=headers) as response:
        assert (response.status, message in await response.text()) == (status, True)


def test_a_refusal_is_a_google_status() -> None:
    assert Refusal(404, "NOT_FOUND", "gone").body() == {
        "error": {"code": 404, "message": "gone", "status": "NOT_FOUND"}
    }


def test_a_refusal_names_its_field_or_reason() -> None:
    field = RefusedError("bad", (Violation("contents[0]", "bad"), Violation("", "worse"))).refusal
    reason = Refusal(400, "INVALID_ARGUMENT", "bad key", reason="API_KEY_INVALID")

    assert (field.code, field.status) == (400, "INVALID_ARGUMENT")
    assert field.body()["error"]["details"] == [
        {
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": "contents[0]", "description": "bad"}, {"description": "worse"}],
        }
    ]
    assert reason.body()["error"]["details"] == [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "API_KEY_INVALID",
            "domain": "googleapis.com",
            "metadata": {"service": "generativelanguage.googleapis.com"},
        },
        {
            "@type": "type.googleapis.com/google.rpc.LocalizedMessage",
            "locale": "en-US",
            "message": "bad key",
        },
    ]


@pytest.mark.parametrize(
    ("model", "verb", "refused"),
    [
        ("gemini-2.5-flash", "generateContent", False),
        ("gemini-2.5-flash", "countTokens", False),
        ("gemini-2.5-flash", "embedContent", True),
        ("gemini-embedding-001", "batchEmbedContents", False),
        ("gemini-embedding-001", "generateContent", True),
        ("gemini-embedding-001", "countTokens", False),
        ("gemini-embedding-001", "", False),
        ("none", "", True),
    ],
)
def test_a_model_is_refused_for_methods_that_it_lacks(model: str, verb: str, refused: bool) -> None:
    refusal = model_refusal(model, verb)

    assert (refusal is not None) == refused
    if refusal is not None:
        assert refusal.code == 404
        assert refusal.message.startswith(f"models/{model} is not found for API version v1beta, or is not")
