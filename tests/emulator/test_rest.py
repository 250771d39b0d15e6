"""Bodies, keys and pages of the emulator's REST methods."""

from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from msgspec import json

from gateway.emulator.errors import Refusal, RefusedError
from gateway.emulator.rest import decoded, key_of, page, refused, reply


@pytest.mark.parametrize(("data", "body"), [(b'{"a":1}', {"a": 1}), (b"[1]", {}), (b"", {}), (b"\xff", {})])
def test_a_body_is_an_object_or_empty(data: bytes, body: Any) -> None:
    assert decoded(data) == body


def test_a_key_is_in_the_header_or_the_query() -> None:
    assert key_of(make_mocked_request("GET", "/x?key=q")) == "q"
    assert key_of(make_mocked_request("GET", "/x?key=q", {"x-goog-api-key": "h"})) == "h"
    assert key_of(make_mocked_request("GET", "/x")) == ""


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"items": [0, 1], "nextPageToken": "2"}),
        ("?pageSize=0", {"items": [0, 1], "nextPageToken": "2"}),
        ("?pageSize=3", {"items": [0, 1, 2], "nextPageToken": "3"}),
        ("?pageToken=3", {"items": [3]}),
        ("?pageSize=5000&pageToken=0", {"items": [0, 1, 2, 3]}),
        ("?pageToken=4", {}),
    ],
)
def test_lists_come_in_pages(query: str, expected: Any) -> None:
    assert page(make_mocked_request("GET", f"/x{query}"), [0, 1, 2, 3], "items", 2) == expected


@pytest.mark.parametrize("query", ["pageSize=x", "pageToken=-1"])
def test_a_page_that_is_none_is_refused(query: str) -> None:
    with pytest.raises(RefusedError):
        page(make_mocked_request("GET", f"/x?{query}"), [], "items")


def test_answers_are_json() -> None:
    answer, refusal = reply({"a": 1}, headers={"X-A": "b"}), refused(Refusal(404, "NOT_FOUND", "no"))

    assert (answer.status, answer.body, answer.headers["X-A"]) == (200, b'{"a":1}', "b")
    assert (refusal.status, refusal.content_type) == (404, "application/json")
    assert isinstance(refusal.body, bytes)
    assert json.decode(refusal.body)["error"] == {"code": 404, "message": "no", "status": "NOT_FOUND"}
