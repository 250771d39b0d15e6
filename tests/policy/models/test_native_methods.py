"""Methods of Gemini's API whose answers say nothing of a model's."""

import pytest

from gateway.policy.models.native_methods import generates, is_silent, shown_path

MODEL = "/v1beta/models/gemini-2.5-flash"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"{MODEL}:countTokens"),
        ("POST", f"{MODEL}:batchEmbedContents"),
        ("GET", MODEL),
        ("GET", "/v1/models"),
        ("POST", "/upload/v1beta/files"),
        ("DELETE", "/v1beta/files/abc"),
        ("PATCH", "/v1alpha/cachedContents/abc"),
        ("GET", "/v1beta/fileSearchStores/a/documents/b"),
        ("POST", "/v1beta/fileSearchStores/a:importFile"),
    ],
)
def test_what_is_stored_and_counted_says_nothing(method: str, path: str) -> None:
    assert is_silent(method, path)
    assert not generates(path)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"{MODEL}:generateContent"),
        ("POST", f"{MODEL}:batchGenerateContent"),
        ("POST", f"{MODEL}:predict"),
        ("POST", f"{MODEL}:someNewMethod"),
        ("GET", "/v1beta/interactions/abc"),
        ("GET", "/v1beta/batches/abc"),
        ("GET", "/v1beta/files/abc:download"),
        ("GET", "/download/v1beta/files/abc:download"),
        ("POST", "/v1alpha/auth_tokens"),
        ("POST", "/v1beta/openai/responses"),
    ],
)
def test_any_other_answer_may_be_a_model_s(method: str, path: str) -> None:
    assert not is_silent(method, path)


@pytest.mark.parametrize(
    ("path", "query", "shown"),
    [
        ("/v1beta/files/a", [], "/v1beta/files/a"),
        ("/v1beta/files/a", [("alt", "json")], "/v1beta/files/a"),
        ("/v1beta/files/a", [("alt", "media")], "/v1beta/files/a:download"),
        ("/v1beta/files/a/", [("$alt", "Media")], "/v1beta/files/a:download"),
        ("/v1beta/files/a", [("alt", "json"), ("alt", "proto")], "/v1beta/files/a:download"),
        (f"{MODEL}:generateContent", [("alt", "media")], f"{MODEL}:generateContent"),
    ],
)
def test_a_query_for_bytes_is_a_download(path: str, query: list[tuple[str, str]], shown: str) -> None:
    assert shown_path(path, query) == shown
