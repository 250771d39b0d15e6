"""Requests as turns: pictures by address, marks, Gemini's own options, and what a picture costs at most."""

from typing import Any

import msgspec
import pytest

from gateway.config.capabilities import shipped
from gateway.errors import BadRequest, UnsupportedParameter
from gateway.gemini.capabilities import CapabilityTable
from gateway.gemini.wire import Part
from gateway.plugins.images.request import (
    addressed,
    ask_for_picture,
    check,
    check_marks,
    conversation,
    output_format,
    picture_tokens,
)
from gateway.plugins.images.wire import ImageRequest

TABLE = CapabilityTable(shipped())
DATA = "data:image/png;base64,AAAA"


def request(**fields: Any) -> ImageRequest:
    return msgspec.convert({"prompt": "x", **fields}, ImageRequest)


def test_pictures_by_address_and_by_id() -> None:
    pictures, mask = addressed(
        request(images=[{"image_url": DATA}, {"file_id": "files/abc"}, DATA], mask={"image_url": DATA})
    )

    assert [part.inline_data.mime_type if isinstance(part, Part) and part.inline_data else "file" for part in pictures] == [
        "image/png", "file", "image/png",
    ]  # fmt: skip
    assert isinstance(mask, Part)
    assert addressed(request(image=DATA))[0] == addressed(request(image=[DATA]))[0]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "images"),
        ({"images": []}, "images"),
        ({"images": [DATA] * 17}, "images"),
        ({"images": [{}]}, "images[0].image_url"),
        ({"images": [{"image_url": "ftp://x/y"}]}, "images[0].image_url"),
        ({"images": [DATA], "mask": "nothing"}, "mask"),
    ],
)
def test_a_wrong_picture_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        addressed(request(**fields))

    assert caught.value.param == param


def test_marks() -> None:
    with pytest.raises(BadRequest, match="not both"):
        check_marks(mask=True, markup=True)
    with pytest.raises(UnsupportedParameter, match="no masks"):
        conversation(request(), [], strict=True, mark="mask")
    turn = conversation(request(), [], strict=True, mark="markup").items[0]
    assert turn.parts[-1].text.endswith("The last image marks in colour where to change.")  # type: ignore[union-attr]


def test_geminis_own_options_win_and_paths_are_the_clients() -> None:
    body = request(
        size="1024x1024",
        google={"image_config": {"aspect_ratio": "8:1"}, "response_modalities": ["TEXT", "IMAGE"]},
    )
    recorded = conversation(body, [], strict=False)
    ask_for_picture(recorded, body, check(body, {}), TABLE.of("gemini-nano-banana-2.1"))
    assert recorded.google.generation_fields() == {
        "image_config": {"aspectRatio": "8:1"}, "response_modalities": ["TEXT", "IMAGE"],
    }  # fmt: skip
    assert recorded.google.at("image_config") == "google.image_config"

    body = request(size="1024x1024")
    recorded = conversation(body, [], strict=False)
    ask_for_picture(recorded, body, check(body, {}), TABLE.of("gemini-nano-banana-2.1"))
    assert dict(recorded.google.paths) == {"image_config": "size"}


@pytest.mark.parametrize(
    ("model", "size", "tokens"),
    [
        ("gemini-nano-banana-2.1", None, 1120), ("gemini-nano-banana-2.1", "1K", 1120),
        ("gemini-nano-banana-2.1", "2K", 1680), ("gemini-3-pro-image", "4K", 2520),
        ("gemini-3.1-flash-image", "512", 747), ("gemini-2.5-flash-image", None, 1290),
        ("gemini-nano-banana-2.1", "8K", 1120),
    ],
)  # fmt: skip
def test_the_tokens_of_a_picture(model: str, size: str | None, tokens: int) -> None:
    assert picture_tokens({"imageSize": size} if size else None, TABLE.of(model)) == tokens


@pytest.mark.parametrize(("form", "expected"), [(None, None), ("", None), ("jpg", "jpeg"), ("webp", "webp")])
def test_output_format(form: str | None, expected: str | None) -> None:
    body = request(output_format=form)
    check(body, {"svg": msgspec.Raw(b"null"), "frame_count": msgspec.Raw(b'""')})

    assert output_format(body) == expected
