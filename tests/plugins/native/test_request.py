"""What an issued key permits of Gemini's API, which headers Google is sent, and the names in a body."""

import json
from typing import Any

import pytest

from gateway.errors import BadRequest, Forbidden
from gateway.plugins.native.request import (
    Permitted,
    check_models,
    check_path,
    is_sent_once,
    model_of,
    named_body,
    passed_on,
    permitted,
    upload_id,
)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/v1beta/models/gemini-x:generateContent", Permitted("model", "gemini-x")),
        ("POST", "/v1/models/gemini-x:embedContent", Permitted("model", "gemini-x")),
        ("GET", "/v1beta/files/abc", Permitted("resource", "files/abc")),
        ("GET", "/v1beta/files/abc:download", Permitted("resource", "files/abc")),
        ("DELETE", "/v1beta/cachedContents/c-1", Permitted("resource", "cachedContents/c-1")),
        ("POST", "/upload/v1beta/files", Permitted("upload")),
        ("POST", "/v1beta/files", Permitted("upload")),
        ("POST", "/v1beta/cachedContents", Permitted("cache")),
        ("POST", "/v1beta/models/gemini-x:batchGenerateContent", Permitted("batch", "gemini-x")),
        ("POST", "/v1/models/gemini-x:asyncBatchEmbedContent", Permitted("batch", "gemini-x")),
        ("GET", "/v1beta/batches/a-1", Permitted("stored", "batches/a-1")),
        ("DELETE", "/v1/batches/a-1", Permitted("stored", "batches/a-1")),
        ("POST", "/v1beta/batches/a-1:cancel", Permitted("stored", "batches/a-1")),
        ("GET", "/v1beta/models", Permitted("list")),
        ("GET", "/v1beta/models/gemini-x", Permitted("list")),
    ],
)
def test_a_request_of_an_issued_key_is_permitted(method: str, path: str, expected: Permitted) -> None:
    assert permitted(method, path) == expected


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("GET", "/v1beta/files", "get each by its name"),
        ("GET", "/v1beta/cachedContents", "get each by its name"),
        ("GET", "/v1beta/batches", "get each by its name"),
        ("POST", "/v1beta/batches/abc", "a Gemini API key of your own"),
        ("GET", "/v1beta/batches/abc:cancel", "a Gemini API key of your own"),
        ("PATCH", "/v1beta/batches/abc:updateGenerateContentBatch", "a Gemini API key of your own"),
        ("POST", "/v1beta/models/gemini-x:predictLongRunning", "a Gemini API key of your own"),
        ("GET", "/v1beta/operations/1", "a Gemini API key of your own"),
        ("POST", "/v1beta/files/abc", "a Gemini API key of your own"),
        ("GET", "/v1beta/files/abc/more", "a Gemini API key of your own"),
        ("PUT", "/v1beta/cachedContents/c", "a Gemini API key of your own"),
    ],
)
def test_resources_of_a_whole_project_are_not(method: str, path: str, message: str) -> None:
    with pytest.raises(Forbidden, match=message):
        permitted(method, path)


def test_what_may_have_been_created_is_not_sent_again() -> None:
    assert is_sent_once("POST", "/v1beta/interactions")
    assert is_sent_once("POST", "/v1/models/gemini-x:asyncBatchEmbedContent")
    assert not is_sent_once("POST", "/v1beta/models/gemini-x:generateContent")
    assert not is_sent_once("GET", "/v1beta/interactions")


def test_google_is_sent_no_key_and_no_cookie() -> None:
    sent = passed_on({
        "Content-Type": "application/json", "accept": "*/*", "X-Goog-Upload-Command": "start", "X-Server-Timeout": "9",
        "x-goog-api-key": "AQ.secret", "Authorization": "Bearer AQ.secret", "Cookie": "a=b", "X-Goog-Api-Key": "AQ.secret",
    })  # fmt: skip

    assert {name.lower() for name in sent} == {
        "content-type",
        "accept",
        "x-goog-upload-command",
        "x-server-timeout",
    }


@pytest.mark.parametrize(
    "path",
    [
        "/v1beta/../x",
        "/v1beta/models/a%2fb",
        "/v1beta/models/a b",
        "/v1beta/é",
        "/v1beta/models/foo:models/gemini-2.5-flash:generateContent",
        "/v1beta/models/foo:bar/gemini-2.5-flash",
        "/v1beta/models/gemini-2.5-flash:countTokens:generateContent",
        "/v1beta/models/foo:countTokens/models/gemini-2.5-flash:generateContent/",
        "/v1beta/models/gemini-2.5-flash::generateContent",
    ],
)
def test_an_odd_path_is_refused(path: str) -> None:
    with pytest.raises(BadRequest):
        check_path(path)


@pytest.mark.parametrize(
    "path",
    ["/v1beta/models/a.b-1:generateContent", "/v1beta/models/a:generateContent/", "/v1beta/files/a:download"],
)
def test_a_method_stands_at_the_end(path: str) -> None:
    check_path(path)


def test_names_in_a_body_are_found_with_their_fields() -> None:
    uri = "https://generativelanguage.googleapis.com/v1beta/files/abc"
    body = {"model": "models/m", "contents": [{"parts": [{"fileData": {"fileUri": uri}}]}], "cachedContent": "cachedContents/c"}  # fmt: skip
    result = named_body(json.dumps(body).encode())

    assert result.names == {
        "files/abc": "contents[0].parts[0].fileData.fileUri",
        "cachedContents/c": "cachedContent",
    }
    assert result.model == "models/m"
    assert json.loads(result.data) == body


def test_of_two_equal_keys_google_reads_the_one_that_was_checked() -> None:
    result = named_body(b'{"cachedContent": "cachedContents/mine", "cachedContent": "cachedContents/other"}')

    assert list(result.names) == ["cachedContents/other"]
    assert json.loads(result.data) == {"cachedContent": "cachedContents/other"}
    assert b"mine" not in result.data


def test_a_body_that_is_not_json_is_refused() -> None:
    with pytest.raises(BadRequest, match="not valid JSON"):
        named_body(b"{")


def test_the_model_and_the_upload_are_found_in_the_url() -> None:
    assert model_of("/v1beta/models/gemini-x:generateContent") == "gemini-x"
    assert model_of("/v1beta/files/abc") == ""
    assert upload_id("https://x/upload/v1beta/files?key=k&upload_id=u-1&a=b") == "u-1"
    assert upload_id("https://x/upload") == ""


@pytest.mark.row("A5")
def test_a05_a_models_name_has_a_bound() -> None:
    assert model_of(f"/v1beta/models/{'x' * 256}:generateContent") == "x" * 256
    with pytest.raises(BadRequest, match="string too long"):
        model_of(f"/v1beta/models/{'x' * 257}:generateContent")
    with pytest.raises(BadRequest, match="string too long"):
        check_models({"model": "x" * 10_000_000}, "m")


@pytest.mark.row("A8")
@pytest.mark.parametrize(
    "body",
    [
        {}, {"model": "m"}, {"model": "models/m"}, {"requests": [{"model": "models/m"}, {}, 5]}, {"requests": 5},
        {"generateContentRequest": {"model": "models/m"}},
    ],
)  # fmt: skip
def test_a08_a_body_may_name_the_urls_model(body: dict[str, Any]) -> None:
    check_models(body, "m")


@pytest.mark.row("A8")
@pytest.mark.parametrize(
    "body",
    [
        {"model": "models/other"}, {"model": ["models/m"]}, {"requests": [{"model": "m"}, {"model": "models/other"}]},
        {"generateContentRequest": {"model": "x"}}, {"generate_content_request": {"model": "x"}},
    ],
)  # fmt: skip
def test_a08_a_body_may_name_no_other_model(body: dict[str, Any]) -> None:
    with pytest.raises(BadRequest, match="but the URL names `models/m`"):
        check_models(body, "m")


@pytest.mark.row("A8")
@pytest.mark.parametrize(
    "body",
    [
        b"{'contents': []}", b'{"contents": [],}', b'{"contents": [] /* x */}', b"// x\n{}", b"[1]", b'"x"', b"5", b"null",
        b'{"a": NaN}', b'{"a": Infinity}', b'{"a": 01}', b'{a: 1}', b'\xef\xbb\xbf{}', b'{"a": "\xff"}', b'{"a": "\n"}',
        b'{"a": 1}{"b": 2}', b'\x0a\x05hello', b'{"a": "\\ud800"}',
    ],
)  # fmt: skip
def test_a08_what_only_a_lenient_parser_reads_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        named_body(body)


@pytest.mark.row("A8")
@pytest.mark.parametrize("field", ["fileUri", "file_uri", "file\\u0055ri", "\\u0066ile_uri"])
def test_a08_an_escaped_name_of_a_field_is_read(field: str) -> None:
    result = named_body(
        f'{{"contents": [{{"parts": [{{"fileData": {{"{field}": "files/abc"}}}}]}}]}}'.encode()
    )

    assert list(result.names) == ["files/abc"]
    assert b"\\u" not in result.data
