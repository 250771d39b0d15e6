"""Parts of a message: text, images and sound given in the request itself (translation.md B.3, B.4)."""

import base64
import binascii
import re
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from gateway.errors import BadRequest, UnsupportedParameter
from gateway.wire.gemini import Blob, Part
from gateway.wire.openai_chat import ContentPart, ImageURL, InputAudio

_DATA_URL = re.compile(r"data:([^,;]*)((?:;[^,;]*)*),", re.I)
_SPACE = re.compile(r"\s+")

_AUDIO_TYPES = {
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "m4a": "audio/mp4",
    "aiff": "audio/aiff",
    "pcm16": "audio/L16;rate=24000",
}
"""`input_audio.format` to MIME type; others become audio/<format>, as the ancestor did."""

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"%PDF", "application/pdf"),
)
_ALIASES = {"image/jpg": "image/jpeg"}


def text_of(part: ContentPart, at: str) -> str | None:
    """The text of a textual part, or None for another kind. `at` is the part's JSON path."""
    if part.type in ("text", "input_text", "output_text"):
        if part.text is None:
            raise BadRequest(
                "a text part needs `text`", param=f"{at}.text", code="missing_required_parameter"
            )
        return part.text
    if part.type == "refusal":
        return part.refusal or ""
    return None


def user_part(part: ContentPart, at: str) -> Part:
    """One part of a user message. Raises BadRequest naming the path of what cannot be."""
    text = text_of(part, at)
    if text is not None:
        return Part(text=text)
    convert = _CONVERTERS.get(part.type)
    if convert is None:
        known = ", ".join(["text", *_CONVERTERS])
        raise BadRequest(f"unknown content part type {part.type[:40]!r}; known: {known}", param=f"{at}.type")
    return convert(part, at)


def _image(part: ContentPart, at: str) -> Part:
    if part.image_url is None:
        raise BadRequest(
            "an image part needs `image_url`", param=f"{at}.image_url", code="missing_required_parameter"
        )
    where = f"{at}.image_url.url"
    url = part.image_url.url if isinstance(part.image_url, ImageURL) else part.image_url
    if not url[:5].lower() == "data:":
        raise UnsupportedParameter(
            "only data: URLs are understood here: send the image itself, base64-encoded", param=where
        )
    return Part(inline_data=data_url(url, where))


def _audio(part: ContentPart, at: str) -> Part:
    audio: InputAudio | None = part.input_audio
    if audio is None:
        raise BadRequest(
            "an audio part needs `input_audio`", param=f"{at}.input_audio", code="missing_required_parameter"
        )
    where = f"{at}.input_audio.data"
    if audio.data[:5].lower() == "data:":
        return Part(inline_data=data_url(audio.data, where))
    kind = (audio.format or "wav").lower()
    if re.fullmatch(r"[a-z0-9.+-]{1,32}", kind) is None:
        raise BadRequest("not the name of an audio format", param=f"{at}.input_audio.format")
    return Part(inline_data=Blob(_AUDIO_TYPES.get(kind, f"audio/{kind}"), clean_base64(audio.data, where)))


_CONVERTERS: dict[str, Callable[[ContentPart, str], Part]] = {"image_url": _image, "input_audio": _audio}


def data_url(url: str, where: str) -> Blob:
    """The bytes of a data: URL, base64 or percent-encoded (RFC 2397), with their MIME type."""
    head = _DATA_URL.match(url)
    if head is None:
        raise BadRequest(
            "not a data: URL: expected data:<type>;base64,<data>", param=where, code="invalid_image_url"
        )
    if ";base64" in head[2].lower():
        data = clean_base64(url[head.end() :], where)
    else:
        data = base64.b64encode(unquote_to_bytes(url[head.end() :])).decode()
    mime = head[1].strip().lower() or _sniff(data)
    if not mime:
        raise BadRequest(
            "the data: URL names no type and its bytes tell none", param=where, code="invalid_image_url"
        )
    return Blob(_ALIASES.get(mime, mime), data)


def clean_base64(data: str, where: str) -> str:
    """Standard-alphabet, padded base64; blanks and the URL-safe alphabet are forgiven (B.4.1)."""
    if "-" in data or "_" in data:
        data = data.replace("-", "+").replace("_", "/")
    if _SPACE.search(data):
        data = _SPACE.sub("", data)
    data += "=" * (-len(data) % 4)
    try:
        decoded = binascii.a2b_base64(data, strict_mode=True)
    except (binascii.Error, ValueError):
        raise BadRequest("not valid base64", param=where, code="invalid_base64") from None
    if not decoded:
        raise BadRequest("holds no bytes", param=where, code="invalid_base64")
    return data


def _sniff(data: str) -> str:
    """The type that the first bytes of base64 data tell, or ""."""
    head = base64.b64decode(data[:32])
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1"):
        return "image/heic"
    return next((mime for magic, mime in _MAGIC if head.startswith(magic)), "")
