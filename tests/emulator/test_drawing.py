"""Pictures of the emulator, as Pillow reads them."""

import base64
import io
from typing import Any

import pytest
from PIL import Image

from gateway.emulator.drawing import drawing, jpeg, picture_tokens, png
from tests.support.emulator import answer, chunks, config

COLOURS = [
    (255, 0, 0),
    (0, 128, 0),
    (0, 0, 255),
    (255, 255, 0),
    (0, 0, 0),
    (255, 255, 255),
    (128, 128, 128),
    (128, 0, 128),
]


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (37, 5), (1376, 768)])
@pytest.mark.parametrize("colour", COLOURS)
def test_files_are_whole_and_of_one_colour(size: tuple[int, int], colour: tuple[int, int, int]) -> None:
    for make, near in ((png, 0), (jpeg, 2)):
        image = Image.open(io.BytesIO(make(*size, colour)))
        image.load()
        rgb = image.convert("RGB")

        assert image.size == size
        for at in ((0, 0), (size[0] - 1, size[1] - 1), (size[0] // 2, size[1] // 2)):
            levels: Any = rgb.getpixel(at)
            assert all(abs(level - wish) <= near for level, wish in zip(levels, colour, strict=True))


def asking(prompt: str, **image_config: str) -> dict[str, Any]:
    fields = {"imageConfig": image_config} if image_config else {}
    return {"contents": [{"parts": [{"text": prompt}]}], "generationConfig": fields}


@pytest.mark.parametrize(
    ("request_", "form", "size", "tokens"),
    [
        (asking("x"), "JPEG", (1024, 1024), 1120),
        (asking("x", aspectRatio="16:9"), "JPEG", (1376, 768), 1120),
        (asking("x", aspectRatio="9:16", imageSize="2K"), "JPEG", (1536, 2752), 1680),
        (asking("x", aspectRatio="8:1", imageSize="512"), "JPEG", (1536, 192), 747),
    ],
)
def test_the_size_is_the_one_that_was_asked_for(
    request_: dict[str, Any], form: str, size: tuple[int, int], tokens: int
) -> None:
    part = drawing("gemini-nano-banana-2.1", request_)
    image = Image.open(io.BytesIO(base64.b64decode(part["inlineData"]["data"])))

    assert (image.format, image.size, picture_tokens(request_)) == (form, size, tokens)


def test_the_last_colour_of_the_prompt_counts() -> None:
    part = drawing("gemini-3-pro-image", asking("make the red square Blue"))
    image = Image.open(io.BytesIO(base64.b64decode(part["inlineData"]["data"])))

    assert (image.format, image.convert("RGB").getpixel((5, 5))) == ("PNG", (0, 0, 255))


def test_pictures_are_counted() -> None:
    usage = chunks("gemini-3-pro-image", "x", **config(responseModalities=["IMAGE"]))[-1]["usageMetadata"]

    assert answer("gemini-3-pro-image", "x")["content"]["parts"][0] == {"text": "Here it is."}
    assert usage["candidatesTokensDetails"] == [{"modality": "IMAGE", "tokenCount": 1120}]
    assert usage["totalTokenCount"] == usage["promptTokenCount"] + 1120
