"""Files in every vendor's shape."""

from typing import Any

import pytest

from gateway.conversation.foreign import media
from gateway.conversation.foreign.turns import bracketed
from gateway.conversation.parts import Attachment
from gateway.errors import BadRequest
from gateway.gemini.wire import FileData, Part

PNG = "iVBORw0KGgo="
URL = f"data:image/png;base64,{PNG}"


def _part(block: dict[str, Any]) -> Part | Attachment | None:
    return media.part(block, str(block.get("type", next(iter(block)))), "at", bracketed)


@pytest.mark.row("G12")
@pytest.mark.parametrize(
    "block",
    [
        {"type": "input_image", "image_url": URL},
        {"type": "image_url", "image_url": {"url": URL}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        {"type": "image", "image": URL},
        {"type": "image", "image": PNG, "mediaType": "image/png"},
        {"type": "image", "mimeType": "image/png", "data": PNG},
        {"type": "image", "source_type": "base64", "mime_type": "image/png", "base64": PNG},
        {"type": "file", "mediaType": "image/png", "data": URL},
        {"type": "media", "mime_type": "image/png", "data": PNG},
        {"inlineData": {"mimeType": "image/png", "data": PNG}},
        {"inline_data": {"mime_type": "image/png", "data": PNG}},
        {"image": {"format": "png", "source": {"bytes": PNG}}},
    ],
)
def test_g12_a_picture_of_every_vendor(block: dict[str, Any]) -> None:
    part = _part(block)

    assert isinstance(part, Part)
    assert part.inline_data is not None
    assert (part.inline_data.mime_type, part.inline_data.data) == ("image/png", PNG)


@pytest.mark.row("G12")
@pytest.mark.parametrize(
    ("block", "mime_type"),
    [
        ({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}}, "audio/mpeg"),
        ({"type": "audio", "source": {"type": "base64", "media_type": "audio/wav", "data": "AAAA"}}, "audio/wav"),
        ({"type": "input_file", "filename": "a.csv", "file_data": "AAAA"}, "text/csv"),
        ({"type": "file", "file": {"file_data": "AAAA"}}, "application/pdf"),
        ({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}}, "application/pdf"),
        ({"document": {"format": "csv", "name": "d", "source": {"bytes": "AAAA"}}}, "text/csv"),
    ],
)  # fmt: skip
def test_g12_a_file_of_every_vendor(block: dict[str, Any], mime_type: str) -> None:
    part = _part(block)

    assert isinstance(part, Part)
    assert part.inline_data is not None
    assert part.inline_data.mime_type == mime_type


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image", "source": {"type": "url", "url": "https://a.example/x.png"}},
        {"type": "input_file", "file_url": "https://a.example/x.pdf"},
        {"type": "image_url", "image_url": {"url": "https://a.example/x.png", "detail": "low"}},
    ],
)
def test_an_address_is_fetched(block: dict[str, Any]) -> None:
    part = _part(block)

    assert isinstance(part, Attachment)
    assert part.url.startswith("https://a.example/x")


def test_a_file_of_googles_is_named() -> None:
    expected = FileData("https://generativelanguage.googleapis.com/v1beta/files/abc", None)

    assert _part({"type": "input_file", "file_id": "files/abc"}) == Part(file_data=expected)


@pytest.mark.row("G5")
def test_g05_a_file_of_another_vendor_is_told() -> None:
    part = _part({"type": "image", "source": {"type": "file", "file_id": "file_011CNha8"}})

    assert part == Part(text="[image] file_id: file_011CNha8")


@pytest.mark.parametrize(
    "block", [{"type": "image"}, {"type": "image", "source": {}}, {"type": "x", "source": 5}]
)
def test_a_block_without_a_file_has_none(block: dict[str, Any]) -> None:
    assert _part(block) is None


@pytest.mark.parametrize(
    ("block", "param"),
    [
        ({"type": "image", "source": {"data": "@@@"}}, "at.source.data"),
        ({"type": "input_image", "image_url": "nowhere"}, "at.image_url"),
    ],
)
def test_a_broken_file_names_its_field(block: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        _part(block)

    assert caught.value.param == param
