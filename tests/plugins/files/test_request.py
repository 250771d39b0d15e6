"""Files, the request: types, lives and ids."""

import pytest

from gateway.errors import BadRequest, NotFound
from gateway.plugins.files.request import (
    anthropic_query,
    check_batch,
    check_purpose,
    identifier,
    lifetime,
    mime_type_of,
    openai_query,
)
from gateway.plugins.files.wire import ExpiresAfter


@pytest.mark.parametrize(
    "name", ["file-x", "file-" + "A" * 24, "file-" + "0" * 25, "files/abc", "", "file-\n" + "0" * 24]
)
def test_what_is_no_id_is_no_file(name: str) -> None:
    with pytest.raises(NotFound, match="No such File object"):
        identifier(name)


@pytest.mark.parametrize(
    ("head", "name", "declared", "expected"),
    [
        (b"%PDF-1", "a.txt", "text/plain", "application/pdf"),  # the first bytes win
        (b"a,b", "a.csv", "application/octet-stream", "text/csv"),
        (b"a,b", "a", "text/csv", "text/csv"),
        (b"a,b", "a", None, "text/plain"),
        (b"PK\x03\x04", "a.docx", "application/vnd.x", "application/vnd.x"),
        (b"\x00\x01", "a", None, "application/octet-stream"),
    ],
)
def test_a_type_is_sniffed_then_named_then_declared(
    head: bytes, name: str, declared: str | None, expected: str
) -> None:
    assert mime_type_of(head, name, declared) == expected


@pytest.mark.parametrize(
    ("purpose", "seconds", "days", "expected"),
    [
        ("vision", None, None, None),
        ("vision", 3600, None, 3600),
        ("batch", None, None, 2592000),
        ("batch", 3600, None, 3600),
        ("vision", None, 1, 86400),
        ("vision", 3600, 1, 3600),
        ("batch", None, 0.5, 43200),
    ],
)
def test_the_shortest_life_counts(
    purpose: str, seconds: int | None, days: float | None, expected: int | None
) -> None:
    after = ExpiresAfter("created_at", seconds) if seconds else None

    assert lifetime(purpose, after, days) == expected


@pytest.mark.parametrize("head", [b'{"a": 1}\nx', b"\xef\xbb\xbf{}", b"\n\n{}\n", b'{"a": "' + b"x" * 2**21])
def test_a_batch_begins_with_an_object(head: bytes) -> None:
    check_batch(head)


@pytest.mark.parametrize("head", [b"", b"[]\n{}", b"{\n}", b"\xff", b"[" * 100_000])
def test_what_is_no_batch_is_refused(head: bytes) -> None:
    with pytest.raises(BadRequest, match="first line"):
        check_batch(head)


def test_purposes() -> None:
    assert check_purpose("user_data")
    assert not check_purpose("my_own")
    with pytest.raises(BadRequest, match="fine-tuned"):
        check_purpose("fine-tune")


def test_pages() -> None:
    assert openai_query({}).limit == 10_000
    assert openai_query({"limit": "3", "after": "x", "order": "asc"}).oldest_first
    assert anthropic_query({}).limit == 20
    assert anthropic_query({"before_id": "x"}).oldest_first
    with pytest.raises(BadRequest):
        anthropic_query({"before_id": "x", "after_id": "y"})
    with pytest.raises(BadRequest):
        anthropic_query({"limit": "1001"})
