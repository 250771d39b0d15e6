"""Responses, the content of items: parts of messages and of outputs."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import structs

from gateway.conversation import parts
from gateway.conversation.foreign.turns import Dialect
from gateway.conversation.invalid import UnknownShape, mismatch, missing, unsupported_value
from gateway.conversation.parts import AnyPart
from gateway.errors import BadRequest
from gateway.gemini.wire import Part
from gateway.plugins.responses.wire import Item, ItemPart

HISTORY = "previous_response_id"
_TEXTS = ("input_text", "output_text", "text", "summary_text")
_TEXT_TYPES = (*_TEXTS, "refusal")
_PART_TYPES = (*_TEXT_TYPES, "input_image", "input_file", "input_audio")
_OPAQUE = re.compile(r"gAAAA[\w-]{60,}={0,2}", re.ASCII)
"""Content that OpenAI has encrypted, as a Fernet token (https://github.com/fernet/spec/blob/master/Spec.md)."""


_OF_PICTURES = ("invalid_base64", "invalid_image_url")
_NO_PICTURE = "The image data you provided does not represent a valid image."
"""OpenAI's words."""


def of_picture(error: BadRequest) -> BadRequest:
    """Return the error of a picture as OpenAI's API has it, and any other as it is.

    Codex takes a picture out of its history when `code` is `invalid_value` and `param` ends in `.image_url`
    (https://github.com/openai/codex/issues/5346; codex-rs `codex-api/src/api_bridge.rs`).
    """
    param = (error.param or "").removesuffix(".url")
    if error.code not in _OF_PICTURES or not param.endswith(".image_url"):
        return error
    return BadRequest(f"{_NO_PICTURE} {error.message}", param=param, code="invalid_value")


def below(at: str, step: str) -> str:
    """Return a path below another. Stored items are not in the client's body: only the field that names them is."""
    return at if at == HISTORY else at + step


def output_parts(value: str | Sequence[ItemPart] | Mapping[str, Any] | None, at: str) -> str | list[AnyPart]:
    """Return a function's output: a text, parts, or an object as its JSON text."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, Mapping):
        return msgspec.json.encode(value).decode()
    return parts_of(value, at)


def parts_of(content: Sequence[ItemPart], at: str) -> list[AnyPart]:
    """Return the parts of a user's message or of an output. Raises BadRequest."""
    return [_part(part, below(at, f"[{i}]")) for i, part in enumerate(content)]


def _part(part: ItemPart, at: str) -> AnyPart:
    """Return one part of a user's message or of an output."""
    text = _text(part, at)
    if text is not None:
        return Part(text=text)
    match part.type:
        case "input_image":
            return parts.with_hints(_image(part, at), part)
        case "input_file":
            return parts.with_hints(_file(part, at), part)
        case _:
            audio = part.input_audio
            if audio is None:
                raise missing(below(at, ".input_audio"))
            inside = below(at, ".input_audio")
            return parts.audio(audio.data, audio.format, below(inside, ".data"), below(inside, ".format"))


def _text(part: ItemPart, at: str) -> str | None:
    """Return the text of a textual part, or None for another kind. Raises BadRequest for an unknown one."""
    if (
        part.type == "encrypted_content"
        and part.encrypted_content
        and not _OPAQUE.fullmatch(part.encrypted_content)
    ):
        return (
            part.encrypted_content
        )  # Codex takes the task that the model writes for another agent for encrypted
    if part.type not in _PART_TYPES:
        raise unsupported_value(part.type, _PART_TYPES, below(at, ".type"))
    if part.type in _TEXTS and part.text is None:
        raise missing(below(at, ".text"))
    return part.text if part.type in _TEXTS else part.refusal or "" if part.type == "refusal" else None


def _image(part: ItemPart, at: str) -> AnyPart:
    if part.image_url is not None:
        return parts.at_url(part.image_url, below(at, ".image_url"))
    if not part.file_id:
        raise _none_of(at, "image_url", "file_id")
    return parts.file_id(part.file_id, below(at, ".file_id"), None)


def _file(part: ItemPart, at: str) -> AnyPart:
    if part.file_data:
        return parts.file_data(part.file_data, below(at, ".file_data"), None, part.filename)
    if part.file_url:
        return parts.at_url(part.file_url, below(at, ".file_url"), name=part.filename)
    if not part.file_id:
        raise _none_of(at, "file_data", "file_url", "file_id")
    return parts.file_id(part.file_id, below(at, ".file_id"), None)


def _none_of(at: str, *fields: str) -> BadRequest:
    names = " or ".join(f"'{below(at, f'.{field}')}'" for field in fields)
    return UnknownShape(f"Missing required parameter: {names}.", param=at, code="missing_required_parameter")


def texts(item: Item, at: str) -> list[Part]:
    """Return the texts of a message that may hold nothing else. Raises BadRequest for another part."""
    if not isinstance(item.content, list):
        return [Part(text=item.content or "")]
    kept = []
    for i, part in enumerate(item.content):
        inside = below(at, f"[{i}]")
        text = _text(part, inside)
        if text is None:
            raise unsupported_value(part.type, _TEXT_TYPES, below(inside, ".type"))
        kept.append(Part(text=text))
    return kept


def _native_part(value: Mapping[str, Any], at: str) -> list[AnyPart]:
    """Return a part of Responses' own inside a foreign item. Raises UnknownShape."""
    try:
        return [_part(msgspec.convert(value, ItemPart), at)]
    except msgspec.ValidationError as error:
        raise mismatch(error, at) from None


DIALECT = Dialect(Item, _native_part, _PART_TYPES)
"""Responses' own shapes, as the readers of other dialects need them."""
STORED = structs.replace(DIALECT, step=lambda at, _: at)
"""The same for stored items, which are not in the client's body."""
