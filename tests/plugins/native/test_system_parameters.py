"""Query parameters and headers that an issued key may use."""

import pytest

from gateway.errors import BadRequest
from gateway.plugins.native.request import Kind
from gateway.plugins.native.system_parameters import allowed_headers, allowed_query

pytestmark = pytest.mark.row("A7")
CALL = "/v1beta/models/m:generateContent"


@pytest.mark.parametrize(
    ("kind", "query", "sent", "dropped"),
    [
        ("model", [("alt", "sse"), ("key", "sk-gw-x")], "alt=sse", []),
        ("model", [("$alt", "json;enum-encoding=int")], "%24alt=json;enum-encoding%3Dint", []),
        ("model", [("prettyPrint", "false"), ("alt", "json")], "alt=json", ["prettyPrint"]),
        ("list", [("pageSize", "5"), ("pageToken", "a b&c")], "pageSize=5&pageToken=a+b%26c", []),
        ("resource", [("updateMask", "ttl")], "updateMask=ttl", []),
        ("upload", [("upload_id", "u"), ("upload_protocol", "resumable")], "upload_id=u&upload_protocol=resumable", []),
    ],
)  # fmt: skip
def test_a07_what_clients_need_is_passed_on(
    kind: Kind, query: list[tuple[str, str]], sent: str, dropped: list[str]
) -> None:
    assert allowed_query(query, kind, CALL) == (sent, dropped)


@pytest.mark.parametrize(
    "query",
    [
        [("fields", "candidates")], [("$fields", "candidates")], [("alt", "proto")], [("alt", "media")], [("$alt", "proto")],
        [("alt", "sse"), ("alt", "proto")], [("alt", "sse"), ("$alt", "json")], [("alt", "sse;fields=x")], [("alt", "")],
        [("callback", "f")], [("$callback", "f")], [("access_token", "t")], [("oauth_token", "t")], [("$ct", "a/b")],
        [("upload_protocol", "raw")], [("uploadType", "media")], [("$httpMethod", "GET")], [("$httpHeaders", "a")],
        [("ALT", "proto")], [("generationConfig.candidateCount", "8")], [("$req", "x")], [("", "")], [("x\r\ny", "z")],
    ],
)  # fmt: skip
def test_a07_what_hides_the_counts_is_refused_by_name(query: list[tuple[str, str]]) -> None:
    with pytest.raises(BadRequest, match="is not allowed with an API key of this gateway") as caught:
        allowed_query(query, "model", CALL)
    assert query[-1][0] in caught.value.message


def test_a07_a_file_is_downloaded_as_media() -> None:
    assert allowed_query([("alt", "media")], "resource", "/v1beta/files/a:download") == ("alt=media", [])
    with pytest.raises(BadRequest):
        allowed_query([("alt", "media")], "resource", "/v1beta/files/a")


@pytest.mark.parametrize("name", ["X-Goog-FieldMask", "x-http-method-override", "X-HTTP-Method"])
def test_a07_a_header_that_hides_the_counts_is_refused_by_name(name: str) -> None:
    with pytest.raises(BadRequest, match=name.lower()):
        allowed_headers({name.lower(): "candidates"}, "model")


def test_a07_headers_that_sdks_send_do_no_harm() -> None:
    sent = {
        "X-Goog-Api-Client": "google-genai-sdk/1", "X-Server-Timeout": "60", "X-Goog-User-Project": "p", "Accept": "*/*",
        "x-goog-request-params": "model=m", "x-goog-api-key": "sk-gw-x", "Content-Type": "application/x-protobuf",
    }  # fmt: skip

    assert set(allowed_headers(sent, "model")) == {"X-Goog-Api-Client", "X-Server-Timeout"}
    assert set(allowed_headers({"X-Goog-Upload-Command": "start", **sent}, "upload")) == {
        "X-Goog-Api-Client", "X-Server-Timeout", "X-Goog-Upload-Command", "Content-Type",
    }  # fmt: skip
