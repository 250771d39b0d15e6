"""The type of a file whose sender gives none."""

import base64

import pytest

from gateway.conversation.media_types import is_unspecified, named, of_data, sniff, specified

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
OCTETS = "application/octet-stream"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.row("T8")
@pytest.mark.parametrize(
    "mime_type", [None, "", " ", OCTETS, "Application/Octet-Stream; x=y", "binary/octet-stream", "*/*"]
)
def test_t08_types_that_say_nothing(mime_type: str | None) -> None:
    assert is_unspecified(mime_type)
    assert specified(mime_type) is None


@pytest.mark.row("T8")
@pytest.mark.parametrize(
    ("mime_type", "expected"),
    [
        ("image/png", "image/png"),
        (" Image/JPG ", "image/jpeg"),
        ("audio/x-wav", "audio/wav"),
        ("text/plain; charset=utf-8", "text/plain; charset=utf-8"),
    ],
)
def test_t08_a_type_is_spelled_as_gemini_does(mime_type: str, expected: str) -> None:
    assert specified(mime_type) == expected


@pytest.mark.row("T8")
@pytest.mark.parametrize(
    ("name", "mime_type"),
    [
        ("notes.md", "text/plain"),
        ("a.b.PDF", "application/pdf"),
        ("src/main.rs", "text/plain"),
        ("https://x.example/clip.mov", "video/quicktime"),
        ("Dockerfile", "text/plain"),
        ("talk.m4a", "audio/mp4"),
        ("book.docx", ""),
        ("noext", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_t08_an_extension_shows_the_type(name: str | None, mime_type: str) -> None:
    assert named(name) == mime_type


@pytest.mark.row("T8")
@pytest.mark.parametrize(
    ("name", "data", "mime_type"),
    [
        ("notes.md", b"# Hi", "text/plain"),
        ("a.csv", PNG, "text/csv"),
        ("a", PNG, "image/png"),
        ("", b"%PDF-1.4\n", "application/pdf"),
        (None, b"ID3\x04\x00", "audio/mpeg"),
        ("", b"\x00\x00\x00\x20ftypisom", "video/mp4"),
        ("", b"plain words\n", "text/plain"),
        ("", "Grüße".encode(), "text/plain"),
        ("", "ü".encode() * 2000, "text/plain"),
        (None, b"plain words\n", ""),
        ("", b"\x00\x01\x02\x03", ""),
        ("", b"PK\x03\x04" + bytes(40), ""),
        ("", b"\xff\xfe\x41\x00", ""),
    ],
)
@pytest.mark.parametrize("mime_type_", [OCTETS, None])
def test_t08_the_name_shows_the_type_and_then_the_bytes(
    name: str | None, data: bytes, mime_type: str, mime_type_: str | None
) -> None:
    assert of_data(mime_type_, name, b64(data)) == mime_type


def test_a_type_that_is_given_wins() -> None:
    assert of_data("image/webp", "a.pdf", b64(PNG)) == "image/webp"
    assert sniff(b64(PNG)) == "image/png"
