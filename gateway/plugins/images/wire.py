"""OpenAI's images messages (https://platform.openai.com/docs/api-reference/images)."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

Format = Literal["png", "jpeg", "webp"]
MOST_IMAGES = 10
"""OpenAI's limit of `n`."""


class ImageInput(Struct, gc=False):
    """A picture by its address, or by the id of a file."""

    image_url: str | None = None
    file_id: str | None = None


class ExtraBody(Struct, gc=False):
    google: dict[str, Any] | None = None


class ImageRequest(Struct, gc=False):
    """A request of any of the three endpoints. In a form every value is a string, and pictures are files."""

    prompt: str | None = None
    model: str | None = None
    n: Annotated[int, Meta(ge=1, le=MOST_IMAGES)] | None = None
    size: str | None = None
    quality: str | None = None
    output_format: str | None = None
    output_compression: Annotated[int, Meta(ge=0, le=100)] | None = None
    response_format: str | None = None
    stream: bool | None = None
    partial_images: Annotated[int, Meta(ge=0, le=3)] | None = None
    images: list[ImageInput | str] | None = None
    image: str | list[str] | None = None
    mask: ImageInput | str | None = None
    markup: ImageInput | str | None = None
    google: dict[str, Any] | None = None
    extra_body: ExtraBody | None = None


class Image(Struct, gc=False):
    """One picture, either way."""

    b64_json: str | UnsetType = UNSET
    url: str | UnsetType = UNSET
    revised_prompt: str | UnsetType = UNSET


class InputDetails(Struct, gc=False):
    text_tokens: int
    image_tokens: int


class OutputDetails(Struct, gc=False):
    image_tokens: int
    text_tokens: int


class Usage(Struct, gc=False):
    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int
    output_tokens_details: OutputDetails
    total_tokens: int


class ImageList(Struct, gc=False):
    """The whole answer."""

    created: int
    data: list[Image]
    background: Literal["opaque"]
    output_format: str
    size: str
    quality: str
    usage: Usage


class Completed(Struct, gc=False):
    """The event of one finished picture; openai-python requires every field."""

    type: str
    b64_json: str
    background: Literal["opaque"]
    created_at: int
    output_format: str
    quality: str
    size: str
    usage: Usage


class KeptLine(Struct, omit_defaults=True, gc=False):
    """The form in which the line of a batch wants its picture; kept until Gemini has made it."""

    format: str | None = None
    compression: int | None = None
    url: bool = False


decode_kept = msgspec.json.Decoder(KeptLine).decode
decode_request = msgspec.json.Decoder(ImageRequest).decode
decode_form = msgspec.json.Decoder(ImageRequest, strict=False).decode
encode = msgspec.json.Encoder().encode
