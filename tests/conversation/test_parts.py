"""Parts: what each kind of address, base64 text and file name becomes."""

import base64
import json
import re
import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.conversation import parts
from gateway.conversation.media_types import sniff
from gateway.conversation.parts import AnyPart, Attachment, at_url, clean_base64, data_url
from gateway.errors import BadRequest
from gateway.gemini.wire import Blob, FileData, MediaResolution, Part, encode_json

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
_STANDARD = re.compile("(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
FILES = "https://generativelanguage.googleapis.com/v1beta/files/"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def inline(part: AnyPart) -> tuple[str, bytes]:
    """Return the MIME type and the bytes of a part that holds its file."""
    assert isinstance(part, Part)
    assert part.inline_data is not None
    return part.inline_data.mime_type, base64.b64decode(part.inline_data.data)


@pytest.mark.parametrize(
    "url",
    [
        "https://www.youtube.com/watch?v=X",
        "http://youtube.com/watch?v=X",
        "https://youtu.be/X",
        "https://m.youtube.com/shorts/X",
        "https://youtube.com/embed/X",
        "https://www.youtube.com/live/X",
    ],
)
def test_a_youtube_video_is_a_file_that_google_fetches(url: str) -> None:
    assert parts.at_url(url, "at") == Part(file_data=FileData(url, "video/mp4"))
    assert parts.at_url(url, "at", "video/webm") == Part(file_data=FileData(url, "video/webm"))


@pytest.mark.parametrize(
    "url",
    [
        "https://youtube.com.evil.example/watch?v=X",
        "https://evil.example/?https://youtu.be/X",
        "https://www.youtube.com/about",
        "https://youtu.be/",
    ],
)
def test_an_address_that_only_resembles_youtube_is_fetched(url: str) -> None:
    assert parts.at_url(url, "at") == Attachment(Part(), url, "at")


@pytest.mark.parametrize("url", [FILES + "abc", "gs://bucket/a.png"])
def test_a_file_that_google_keeps_is_not_fetched(url: str) -> None:
    assert parts.at_url(url, "at") == Part(file_data=FileData(url))
    assert parts.at_url(url, "at", "image/png") == Part(file_data=FileData(url, "image/png"))


def test_a_web_page_is_fetched_and_the_clients_type_wins_over_the_servers() -> None:
    url, blob = "HTTPS://x.example/a", Blob("image/gif", "AA==")
    plain, typed = parts.at_url(url, "at"), parts.at_url(url, "at", "image/png")

    assert isinstance(plain, Attachment)
    assert isinstance(typed, Attachment)
    assert plain.resolved({url: blob}) == Part(inline_data=blob)
    assert typed.resolved({url: blob}) == Part(inline_data=Blob("image/png", "AA=="))


def test_a_part_that_waits_for_a_model_only_needs_no_file() -> None:
    assert Attachment(Part(text="x"), resolution="MEDIA_RESOLUTION_LOW").resolved({}) == Part(text="x")


@pytest.mark.parametrize("url", ["ftp://x.example/a", "file:///etc/passwd", "/a.png", "", "javascript:1", "xhttps://x"])  # fmt: skip
def test_any_other_address_is_refused_at_its_place(url: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parts.at_url(url, "messages[0].url")

    assert (caught.value.param, caught.value.code) == ("messages[0].url", "invalid_image_url")


@pytest.mark.parametrize(
    ("detail", "level"),
    [
        ("low", "MEDIA_RESOLUTION_LOW"),
        ("Medium", "MEDIA_RESOLUTION_MEDIUM"),
        ("HIGH", "MEDIA_RESOLUTION_HIGH"),
        ("original", "MEDIA_RESOLUTION_ULTRA_HIGH"),
    ],
)
def test_the_detail_of_an_image_is_its_resolution(detail: str, level: str) -> None:
    url = f"data:image/png;base64,{b64(PNG)}"

    assert parts.at_url(url, "at", detail=detail) == Attachment(
        Part(inline_data=Blob("image/png", b64(PNG))), at="at", resolution=level
    )


@pytest.mark.parametrize("detail", ["auto", "odd", "", None])
def test_other_details_leave_the_resolution_to_gemini(detail: str | None) -> None:
    url = f"data:image/png;base64,{b64(PNG)}"

    assert parts.at_url(url, "at", detail=detail) == Part(inline_data=Blob("image/png", b64(PNG)))


def test_a_resolution_is_written_on_the_part() -> None:
    part = parts.with_resolution(Part(text="x"), "MEDIA_RESOLUTION_LOW")

    assert part == Part(text="x", media_resolution=MediaResolution("MEDIA_RESOLUTION_LOW"))


@pytest.mark.parametrize(
    ("url", "mime_type", "data"),
    [
        (f"data:image/png;base64,{b64(PNG)}", "image/png", PNG),
        (f"DATA:Image/JPG;name=a;BASE64,{b64(PNG)}", "image/jpeg", PNG),
        (f"data:;base64,{b64(PNG)}", "image/png", PNG),
        ("data:text/plain,a%20b%2C", "text/plain", b"a b,"),
        ("data:text/plain;charset=utf-8,%C3%A9", "text/plain", "é".encode()),
        ("data:," + quote(b"%PDF-1.7"), "application/pdf", b"%PDF-1.7"),
    ],
)
def test_a_data_url_is_decoded(url: str, mime_type: str, data: bytes) -> None:
    blob = data_url(url, "at")

    assert (blob.mime_type, base64.b64decode(blob.data)) == (mime_type, data)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("data:image/png;base64", "expected data:<type>;base64,<data>"),
        (f"data:;base64,{b64(b'odd bytes')}", "names no media type, and its bytes show none"),
    ],
)
def test_a_data_url_without_data_or_type_is_refused(url: str, reason: str) -> None:
    with pytest.raises(BadRequest, match=reason) as caught:
        data_url(url, "here")

    assert (caught.value.param, caught.value.code) == ("here", "invalid_image_url")


def test_the_clients_type_wins_over_that_of_a_data_url() -> None:
    assert inline(parts.at_url(f"data:image/png;base64,{b64(PNG)}", "at", "image/webp"))[0] == "image/webp"


@pytest.mark.parametrize(
    ("data", "mime_type"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"BM1234", "image/bmp"),
        (b"%PDF-1.7", "application/pdf"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "audio/wav"),
        (b"RIFX\x00\x00\x00\x00WEBPVP8 ", ""),
        (b"\x00\x00\x00\x18ftypheic", "image/heic"),
        (b"\x00\x00\x00\x18ftypmif1", "image/heic"),
        (b"\x00\x00\x00\x18ftypisom", "video/mp4"),
        (b"\x00\x00\x00\x18ftypqt  ", "video/quicktime"),
        (b"ID3\x04", "audio/mpeg"),
        (b"OggS\x00", "audio/ogg"),
        (b"fLaC", "audio/flac"),
        (b"\x1aE\xdf\xa3", "video/webm"),
        (b"FORM\x00\x00\x00\x00AIFF", "audio/aiff"),
        (b"PK\x03\x04", ""),
        (b"hello", ""),
    ],
)
def test_the_first_bytes_show_the_type(data: bytes, mime_type: str) -> None:
    assert sniff(b64(data + bytes(40))) == mime_type


@pytest.mark.parametrize(
    ("mime_type", "expected"),
    [("image/png", "image/png"), (" Image/JPG ", "image/jpeg"), ("audio/x-wav", "audio/wav"), ("audio/mp3", "audio/mpeg"),
     ("model/odd", "model/odd"), ("", "image/png")],
)  # fmt: skip
def test_base64_has_the_type_it_names_or_shows(mime_type: str, expected: str) -> None:
    assert inline(parts.base64_file(b64(PNG), mime_type, "at")) == (expected, PNG)


def test_base64_of_no_type_is_refused() -> None:
    with pytest.raises(BadRequest, match="no media type, and its bytes show none") as caught:
        parts.base64_file(b64(b"odd \0 bytes"), " ", "source.data")

    assert caught.value.param == "source.data"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("+/+/", "+/+/"),
        ("-_-_", "+/+/"),
        ("QUI", "QUI="),
        ("QQ", "QQ=="),
        (" QU\nI=\t", "QUI="),
        ("QUJD=", "QUJD"),
    ],
)
def test_base64_of_every_spelling_becomes_the_standard_one(data: str, expected: str) -> None:
    assert clean_base64(data, "at") == expected


@pytest.mark.parametrize("data", ["", " \n", "Q", "QQ=Q", "é", "Q*==", "QQ==QQ=="])
def test_broken_base64_is_refused_at_its_place(data: str) -> None:
    with pytest.raises(BadRequest) as caught:
        clean_base64(data, "here")

    assert (caught.value.param, caught.value.code) == ("here", "invalid_base64")


@given(st.text("AQz09+/=", max_size=12) | st.text("AQ=-é\x00\ud800", max_size=6))
def test_only_standard_base64_stays_as_it_is(data: str) -> None:
    try:
        stays = clean_base64(data, "at") == data
    except BadRequest:
        stays = False

    assert stays is (data != "" and _STANDARD.fullmatch(data) is not None)


@pytest.mark.parametrize("block", [2**20, 2**21])
def test_padding_stands_only_at_the_end(block: int) -> None:
    with pytest.raises(BadRequest):
        clean_base64("A" * (block - 2) + "==" + "AAAA", "at")


@pytest.mark.parametrize("place", [5, 2**20 + 1, 2**21 + 5])
def test_every_block_of_long_base64_is_checked(place: int) -> None:
    data = "A" * (2**21 + 8)
    assert clean_base64(data, "at") is data

    with pytest.raises(BadRequest):
        clean_base64(data[:place] + "*" + data[place + 1 :], "at")


@pytest.mark.parametrize(
    ("audio_format", "mime_type"),
    [
        ("wav", "audio/wav"),
        ("MP3", "audio/mpeg"),
        ("pcm16", "audio/L16;rate=24000"),
        ("amr", "audio/amr"),
        (None, "audio/wav"),
    ],
)
def test_the_format_of_audio_is_its_type(audio_format: str | None, mime_type: str) -> None:
    assert inline(parts.audio("AAAA", audio_format, "data", "format")) == (mime_type, bytes(3))


def test_audio_in_a_data_url_has_the_type_of_the_url() -> None:
    assert inline(parts.audio("data:audio/ogg;base64,AAAA", "wav", "data", "format")) == (
        "audio/ogg",
        bytes(3),
    )


@pytest.mark.parametrize("audio_format", ["a/b", "x" * 33, "wav\r\n"])
def test_a_format_that_is_no_name_is_refused(audio_format: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parts.audio("AAAA", audio_format, "data", "format")

    assert caught.value.param == "format"


@pytest.mark.parametrize(
    ("mime_type", "filename", "expected"),
    [
        (None, "a.CSV", "text/csv"),
        (None, "archive.tar.md", "text/plain"),
        (None, "a.odd", "application/pdf"),
        (None, None, "application/pdf"),
        ("text/css", "a.csv", "text/css"),
    ],
)
def test_a_file_has_the_type_of_its_name(mime_type: str | None, filename: str | None, expected: str) -> None:
    assert inline(parts.file_data("AAAA", "at", mime_type, filename))[0] == expected


def test_the_data_of_a_file_may_be_an_address() -> None:
    assert parts.file_data("https://x.example/a.pdf", "at", None, "a.csv") == Attachment(
        Part(), "https://x.example/a.pdf", "at"
    )
    assert inline(parts.file_data("data:text/csv,a", "at", None, "a.pdf")) == ("text/csv", b"a")


@pytest.mark.parametrize("identifier", ["files/abc-1", "file-abc-1"])
def test_an_uploaded_file_is_named_by_its_id(identifier: str) -> None:
    assert parts.file_id(identifier, "at", "text/csv") == Part(
        file_data=FileData(FILES + "abc-1", "text/csv")
    )


@pytest.mark.parametrize("identifier", ["files/../models", "files/-x", "abc"])
def test_an_id_of_another_shape_is_refused(identifier: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parts.file_id(identifier, "file_id", None)

    assert caught.value.param == "file_id"


def test_video_metadata_is_written_in_camel_case_on_any_part() -> None:
    metadata = {"start_offset": "1s", "fps": 2}
    whole = parts.with_video_metadata(Part(text="x"), metadata)
    remote = parts.with_video_metadata(Attachment(Part(), "https://x.example/v"), metadata)

    assert isinstance(remote, Attachment)
    assert remote.url == "https://x.example/v"
    for part in (whole, remote.part):
        assert json.loads(encode_json(part))["videoMetadata"] == {"startOffset": "1s", "fps": 2}


def test_an_image_of_an_earlier_answer_is_looked_up_by_its_base64() -> None:
    url = "data:image/png;base64," + b64(PNG).rstrip("=")

    assert parts.earlier_image(url, "at") == Attachment(
        Part(inline_data=Blob("image/png", b64(PNG))), at="at", lookup=url.rpartition(",")[2]
    )
    assert parts.earlier_image("https://x.example/a.png", "at") is None


@pytest.mark.parametrize(
    ("name", "expected"), [("google_search", "googleSearch"), ("googleSearch", "googleSearch"), ("a", "a")]
)
def test_camel_case(name: str, expected: str) -> None:
    assert parts.camel(name) == expected


@pytest.mark.row("A4", "C28")
@pytest.mark.parametrize(
    "url",
    [
        "data:" + ";a" * 1_000_000,
        "data:" + ";a" * 1_000_000 + ",AAAA",
        "data:image/png," + "%41" * 1_000_000,
        "https://youtu.be/" + "a" * 1_000_000,
        "http://" + "a" * 1_000_000,
        "data:image/png;base64," + "A" * 1_000_001 + "=A",
        "data:image/png;base64,",
        "data:image/png;base64,\u00e9",
        "data:image/png;base64,A===",
        "data:,",
        "data:",
    ],
)
def test_c28_a_broken_url_is_refused_at_once(url: str) -> None:
    began = time.thread_time()
    with pytest.raises(BadRequest) as caught:
        at_url(url, "messages[0].content[0].image_url")

    assert caught.value.param == "messages[0].content[0].image_url"
    assert len(caught.value.message) < 200
    assert time.thread_time() - began < 1


@pytest.mark.row("C28")
@pytest.mark.parametrize(
    ("url", "mime_type"),
    [
        ("data:image/svg+xml,%3Csvg/%3E", "image/svg+xml"),
        ("data:text/html;base64,iVBORw0KGgo=", "text/html"),
        ("data:;base64,iVBORw0KGgo=", "image/png"),
        ("data:image/png;base64,iVBO Rw0K\nGgo=", "image/png"),
        ("data:image/png;charset=x;base64,iVBORw0KGgo", "image/png"),
        ("DATA:IMAGE/PNG;BASE64,iVBO-_0KGgo=", "image/png"),
    ],
)
def test_c28_an_odd_url_is_read(url: str, mime_type: str) -> None:
    part = at_url(url, "f")

    assert isinstance(part, Part)
    assert part.inline_data is not None
    assert part.inline_data.mime_type == mime_type
    assert base64.b64decode(part.inline_data.data, validate=True)
