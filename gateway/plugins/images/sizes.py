"""Sizes of pictures: OpenAI's width and height as Gemini's shape and tier (`imageConfig`).

Gemini makes pictures of a few shapes in a few tiers (https://ai.google.dev/gemini-api/docs/image-generation#aspect_ratios).
"""

import math
import re

from msgspec import Struct

from gateway.conversation.notes import Notes
from gateway.errors import BadRequest
from gateway.gemini.capabilities import Capabilities, ImageSize

MOST_SIDE = 16_384
"""Pixels of a side."""
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")
_TIERS: tuple[ImageSize, ...] = ("512", "1K", "2K", "4K")
_BOUNDS = (768, 1536, 3072)
"""Square roots of areas, in pixels, from which on the next tier is nearer."""
_ALIKE = 0.1
"""Difference of two shapes, as that of the logarithms of their ratios, that needs no note."""
_QUALITIES: dict[str, ImageSize | None] = {
    "auto": None, "low": None, "medium": None, "standard": None,
    "high": "2K", "hd": "2K", "xhigh": "4K", "max": "4K",
}  # fmt: skip
QUALITIES = tuple(_QUALITIES)


class Wanted(Struct, frozen=True):
    """The size and quality of a request."""

    size: tuple[int, int] | None = None
    """Width and height in pixels; None for any."""
    quality: str = "auto"


def wanted(size: str | None, quality: str | None) -> Wanted:
    """Return the size and quality of a request. Raises BadRequest naming `size` or `quality`."""
    if quality is not None and quality not in _QUALITIES:
        known = ", ".join(f"'{name}'" for name in QUALITIES)
        raise BadRequest(
            f"Invalid value: '{quality[:40]}'. Supported values are: {known}.",
            param="quality",
            code="unsupported_value",
        )
    return Wanted(_pixels(size), quality or "auto")


def _pixels(size: str | None) -> tuple[int, int] | None:
    if size in (None, "", "auto"):
        return None
    match = _SIZE.fullmatch(size or "")
    sides = (int(match[1]), int(match[2])) if match else (0, 0)
    if not all(0 < side <= MOST_SIDE for side in sides):
        raise BadRequest(
            f"Invalid size: '{(size or '')[:40]}'. Expected 'auto', or width and height in pixels such as "
            f"'1024x1024', at most {MOST_SIDE} each.",
            param="size",
            code="invalid_value",
        )
    return sides


def image_config(wish: Wanted, model: Capabilities, notes: Notes) -> dict[str, str]:
    """Return Gemini's imageConfig: empty where the model decides.

    A size becomes the shape that is nearest and the tier that is nearest, the smaller one of two. Quality is the tier
    where no size is given; beside a size it is noted, as is a shape that the model does not have.
    """
    config: dict[str, str] = {}
    if wish.size is None:
        if tier := _of_quality(wish.quality, model):
            config["imageSize"] = tier
        return config
    if wish.quality != "auto":
        notes.add("quality")
    if ratio := _nearest_ratio(wish.size, model, notes):
        config["aspectRatio"] = ratio
    if tier := _nearest_tier(wish.size, model):
        config["imageSize"] = tier
    return config


def _of_quality(quality: str, model: Capabilities) -> ImageSize | None:
    """Return the tier of a quality, at most the largest that the model has."""
    wish = _QUALITIES[quality]
    if wish is None:
        return None
    fitting = [
        tier for tier in model.image_sizes if _TIERS.index("1K") < _TIERS.index(tier) <= _TIERS.index(wish)
    ]
    return fitting[-1] if fitting else None


def _nearest_ratio(size: tuple[int, int], model: Capabilities, notes: Notes) -> str | None:
    shape = math.log(size[0] / size[1])
    distances = [(abs(shape - math.log(_value(ratio))), ratio) for ratio in model.ratios]
    if not distances:
        notes.add("size")
        return None
    distance, ratio = min(distances, key=lambda pair: pair[0])
    if distance > _ALIKE:
        notes.add("size")
    return ratio


def _value(ratio: str) -> float:
    width, _, height = ratio.partition(":")
    return float(width) / float(height)


def _nearest_tier(size: tuple[int, int], model: Capabilities) -> ImageSize | None:
    if not model.image_sizes:
        return None
    side = math.sqrt(size[0] * size[1])
    place = sum(side >= bound for bound in _BOUNDS)
    return min(model.image_sizes, key=lambda tier: (abs(_TIERS.index(tier) - place), _TIERS.index(tier)))


def quality_of(width: int, height: int) -> str:
    """Return OpenAI's word for the tier of a picture, by its pixels."""
    side = math.sqrt(width * height)
    return "low" if side < _BOUNDS[1] else "medium" if side < _BOUNDS[2] else "high"
