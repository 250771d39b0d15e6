"""OpenAI's images requests as conversations of one turn."""

from collections.abc import Mapping, Sequence

from msgspec import Raw, structs

from gateway.conversation import parts
from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.google_options import GoogleOptions, google_options
from gateway.conversation.invalid import empty_array, missing, too_long
from gateway.conversation.parts import AnyPart
from gateway.errors import BadRequest
from gateway.gemini.capabilities import Capabilities, ImageSize
from gateway.gemini.wire import Part
from gateway.plugins.images.fields import REFUSED
from gateway.plugins.images.sizes import Wanted, image_config, wanted
from gateway.plugins.images.wire import ImageInput, ImageRequest

MOST_INPUTS = 16
"""OpenAI's limit of pictures to edit."""
VARIATION = "Make another version of this picture: the same subject and style, another composition."
_MASK = "The last image is a mask: change only what is white."
_MARKUP = "The last image marks in colour where to change."
_FORMATS = {"png": "png", "jpeg": "jpeg", "jpg": "jpeg", "webp": "webp"}
_TOKENS: dict[ImageSize, int] = {"512": 747, "1K": 1_120, "2K": 1_680, "4K": 2_520}
"""Tokens of a picture by tier (https://ai.google.dev/gemini-api/docs/pricing)."""
_ONE_SIZE = 1_290
"""The same for models with one size."""


def check(body: ImageRequest, fields: Mapping[str, Raw]) -> Wanted:
    """Return the size and quality of a request. Raises BadRequest for a format that Gemini cannot make."""
    for name in REFUSED:
        if name in fields and bytes(fields[name]) not in (b"null", b'""'):
            raise _unsupported(name, "Gemini makes no vector graphics and no animations.")
    form = body.output_format
    if form and form not in _FORMATS:
        raise _unsupported("output_format", f"'{form[:40]}' is none of 'png', 'jpeg' and 'webp'.")
    if body.response_format not in (None, "", "b64_json", "url"):
        raise _unsupported("response_format", "Expected 'b64_json' or 'url'.")
    return wanted(body.size, body.quality)


def output_format(body: ImageRequest) -> str | None:
    """Return the format that is asked for, or None for any."""
    return _FORMATS[body.output_format] if body.output_format else None


def _unsupported(param: str, why: str) -> BadRequest:
    return BadRequest(f"Unsupported value: '{param}'. {why}", param=param, code="unsupported_value")


def addressed(body: ImageRequest) -> tuple[list[AnyPart], AnyPart | None]:
    """Return the pictures of a JSON body, and its mask or markup. Raises BadRequest with the path of a wrong one."""
    single = [body.image] if isinstance(body.image, str) else body.image or []
    listed: Sequence[ImageInput | str] = body.images if body.images is not None else single
    at = "images" if body.images is not None or not single else "image"
    check_count(len(listed), at)
    pictures = [_at(value, f"{at}[{i}]") for i, value in enumerate(listed)]
    if body.mask is not None:
        return pictures, _at(body.mask, "mask")
    return pictures, _at(body.markup, "markup") if body.markup is not None else None


def check_count(count: int, param: str) -> None:
    """Raise BadRequest for no picture, or too many."""
    if not count:
        raise missing(param) if param == "image" else empty_array(param)
    if count > MOST_INPUTS:
        raise too_long(param, MOST_INPUTS, count)


def check_marks(*, mask: bool, markup: bool) -> None:
    """Raise BadRequest for a mask beside a markup."""
    if mask and markup:
        raise BadRequest("Send a 'mask' or a 'markup', not both.", param="markup", code="invalid_value")


def _at(value: ImageInput | str, at: str) -> AnyPart:
    if isinstance(value, str):
        return parts.at_url(value, at)
    if value.image_url:
        return parts.at_url(value.image_url, f"{at}.image_url")
    if value.file_id:
        return parts.file_id(value.file_id, f"{at}.file_id", None)
    raise missing(f"{at}.image_url")


def conversation(
    body: ImageRequest, pictures: Sequence[AnyPart], *, strict: bool, mark: str = ""
) -> ConversationBuilder:
    """Return the turn of a request: its pictures, the last of which may be a `mask` or a `markup`, and its prompt.

    Raises BadRequest for an empty prompt, and in strict mode for a mask.
    """
    if not body.prompt:
        raise missing("prompt")
    builder = ConversationBuilder("prompt", strict=strict)
    prompt = body.prompt
    if mark == "mask":
        builder.notes.drop("mask", "Gemini has no masks: the prompt asks for the change in words.")
        prompt = f"{prompt}\n\n{_MASK}"
    elif mark == "markup":
        prompt = f"{prompt}\n\n{_MARKUP}"
    if body.partial_images:
        builder.notes.add("partial_images")
    builder.turn("user", [*pictures, Part(text=prompt)], "prompt")
    return builder


def ask_for_picture(
    builder: ConversationBuilder, body: ImageRequest, wish: Wanted, model: Capabilities
) -> None:
    """Record in a conversation that a picture is asked for, and its shape. Raises BadRequest."""
    config = image_config(wish, model, builder.notes)
    extra = body.extra_body.google if body.extra_body is not None else None
    options = google_options(body.google, extra, image_config=config or None, response_modalities=["IMAGE"])
    builder.options(_at_client(options, "size" if wish.size is not None else "quality"))


def _at_client(options: GoogleOptions, shape_at: str) -> GoogleOptions:
    """Return the options with the client's own fields as paths of those that the gateway has set."""
    names = {"image_config": shape_at, "response_modalities": ""}
    paths = {name: names[name] if path == name in names else path for name, path in options.paths.items()}
    return structs.replace(options, paths={name: path for name, path in paths.items() if path})


def picture_tokens(config: Mapping[str, object] | None, model: Capabilities) -> int:
    """Return the tokens of a picture that a call with an imageConfig makes."""
    if not model.image_sizes:
        return _ONE_SIZE
    tier = (config or {}).get("imageSize")
    return next((tokens for name, tokens in _TOKENS.items() if name == tier), _TOKENS["1K"])
