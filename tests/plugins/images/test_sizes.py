"""Sizes as shapes and tiers: the table of surfaces, and the models' own limits."""

import pytest

from gateway.config.capabilities import shipped
from gateway.conversation.notes import Notes
from gateway.errors import BadRequest
from gateway.gemini.capabilities import CapabilityTable
from gateway.plugins.images.sizes import image_config, quality_of, wanted

TABLE = CapabilityTable(shipped())
DEFAULT = "gemini-nano-banana-2.1"
SIZES = {
    "1024x1024": ("1:1", "1K"), "1536x1024": ("3:2", "1K"), "1024x1536": ("2:3", "1K"), "1792x1024": ("16:9", "1K"),
    "1024x1792": ("9:16", "1K"), "256x256": ("1:1", "1K"), "1080x1350": ("4:5", "1K"), "1024x1280": ("4:5", "1K"),
    "1280x896": ("3:2", "1K"), "1920x1080": ("16:9", "1K"), "1280x720": ("16:9", "1K"), "2560x1440": ("16:9", "2K"),
    "2048x1152": ("16:9", "2K"), "2048x2048": ("1:1", "2K"), "3840x2160": ("16:9", "2K"), "2160x3840": ("9:16", "2K"),
    "512x2048": ("1:4", "1K"), "3072x1024": ("21:9", "2K"), "4096x4096": ("1:1", "4K"), "16384x16": ("8:1", "1K"),
}  # fmt: skip


def config(
    size: str | None, quality: str | None = None, model: str = DEFAULT
) -> tuple[dict[str, str], list[str]]:
    notes = Notes()
    return image_config(wanted(size, quality), TABLE.of(model), notes), list(notes)


@pytest.mark.parametrize("size", SIZES)
def test_a_size_is_the_nearest_shape_and_tier(size: str) -> None:
    ratio, tier = SIZES[size]

    assert config(size)[0] == {"aspectRatio": ratio, "imageSize": tier}


def test_a_shape_that_is_far_from_the_asked_one_is_noted() -> None:
    assert [size for size in SIZES if config(size)[1]] == ["3072x1024", "16384x16"]


@pytest.mark.parametrize(
    ("model", "expected", "noted"),
    [
        ("gemini-3.1-flash-image", {"aspectRatio": "1:1", "imageSize": "512"}, []),
        ("gemini-3.1-flash-lite-image", {"aspectRatio": "1:1", "imageSize": "1K"}, []),
        ("gemini-2.5-flash-image", {"aspectRatio": "1:1"}, []),
        ("gemini-2.0-flash-preview-image-generation", {}, ["size"]),
    ],
)
def test_a_model_gets_what_it_has(model: str, expected: dict[str, str], noted: list[str]) -> None:
    assert config("512x512", model=model) == (expected, noted)


@pytest.mark.parametrize("size", [None, "", "auto"])
def test_without_a_size_quality_is_the_tier(size: str | None) -> None:
    qualities = {
        "auto": {}, "low": {}, "medium": {}, "standard": {}, "hd": {"imageSize": "2K"}, "high": {"imageSize": "2K"},
        "xhigh": {"imageSize": "4K"}, "max": {"imageSize": "4K"},
    }  # fmt: skip

    assert {name: config(size, name) for name in qualities} == {
        name: (value, []) for name, value in qualities.items()
    }
    assert config(size) == ({}, [])


@pytest.mark.parametrize(
    "size", ["x", "1x", "x1", "1024", "1024×1024", "-1x5", "1.5x2", "1024x1024 ", "99999x1", "9" * 500]
)
def test_what_is_no_size_is_refused(size: str) -> None:
    with pytest.raises(BadRequest) as caught:
        wanted(size, None)

    assert (caught.value.param, len(caught.value.message) < 200) == ("size", True)


@pytest.mark.parametrize(
    ("size", "quality"),
    [((512, 512), "low"), ((1376, 768), "low"), ((2752, 1536), "medium"), ((5504, 3072), "high")],
)
def test_quality_tells_the_tier_of_a_picture(size: tuple[int, int], quality: str) -> None:
    assert quality_of(*size) == quality
