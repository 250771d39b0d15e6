"""Parts of a turn: text, images, sound, video and files, inline or by address.

A surface makes parts while it walks its own request, and names the path of each value that may be wrong. A remote
file becomes an `Attachment`: it is fetched before the conversation is translated for a model.
"""

import base64
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec
from msgspec import Struct, field, structs

from gateway.conversation import media_types
from gateway.conversation.invalid import UnknownShape
from gateway.errors import BadRequest
from gateway.gemini.wire import Blob, FileData, MediaResolution, Part

Media = Mapping[str, Blob | FileData]
"""Fetched files by address, and files that the gateway keeps."""

KEPT = "gateway://file-"
"""Beginning of the address of a file that the gateway keeps. Clients cannot write it: they give an id."""

_DATA_URL = re.compile(r"data:([^,;]*)((?:;[^,;]*)*)", re.I)
_LONGEST_URL = 8192
"""Characters of an address. Servers commonly take no longer one (RFC 9110, section 4.1, asks for 8,000)."""
_LONGEST_HEAD = 512
"""Characters of a data: URL before its data: a MIME type with its parameters."""
_LONGEST_ESCAPED = 2**20
"""Characters of percent-encoded data, each of which is a step in Python."""
_FILES_API = "https://generativelanguage.googleapis.com/v1beta/files/"
_FILE_NAME = re.compile(r"(?:files/|file-)([A-Za-z0-9][A-Za-z0-9_-]*)")
_KEPT_ID = re.compile(r"file[-_]([0-9a-f]{24})")
"""A file that the gateway keeps; Anthropic's clients know it as `file_…`. Google's own names are shorter."""
_YOUTUBE = re.compile(
    r"https?://(?:www\.|m\.)?(?:youtube\.com/(?:watch\?|shorts/|embed/|live/)|youtu\.be/)\S+", re.I
)
_WEB = re.compile(r"https?://", re.I)
_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
_AUDIO_FORMAT = re.compile(r"[a-z0-9.+-]{1,32}")

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
"""Audio format to MIME type; any other format becomes audio/<format>."""

_DETAILS = {
    "low": "MEDIA_RESOLUTION_LOW",
    "medium": "MEDIA_RESOLUTION_MEDIUM",
    "high": "MEDIA_RESOLUTION_HIGH",
    "ultra_high": "MEDIA_RESOLUTION_ULTRA_HIGH",
    "original": "MEDIA_RESOLUTION_ULTRA_HIGH",
}
"""Words for a resolution: OpenAI's, and the ends of Gemini's own."""
_LEVEL = "media_resolution_"


class Attachment(Struct, frozen=True, gc=False):
    """A part that is complete only when its file is fetched, a model is known, or the store has been asked."""

    part: Part
    url: str = ""
    """The address to fetch; the part has no data until then."""
    at: str = ""
    """The path of the address in the client's request."""
    mime_type: str = ""
    """The MIME type that the client gives; it wins over the server's."""
    resolution: str | None = None
    """The mediaResolution that the client asked for."""
    lookup: str = ""
    """Base64 of an image of an earlier answer: its thought signature may be in the store."""
    kept: tuple[str, int] | None = None
    """Id and number of a part that one of Google's own tools made: the store may have it as it came."""

    def resolved(self, media: Media) -> Part:
        """Return the part with its fetched file, or the part as it is when there is nothing to fetch."""
        if not self.url:
            return self.part
        blob = media[self.url]
        if isinstance(blob, FileData):
            return structs.replace(self.part, file_data=blob)
        return structs.replace(self.part, inline_data=Blob(self.mime_type or blob.mime_type, blob.data))


AnyPart = Part | Attachment


def text(value: str) -> Part:
    """Return a text part."""
    return Part(text=value)


def at_url(
    url: str, at: str, mime_type: str | None = None, detail: str | None = None, name: str | None = None
) -> AnyPart:
    """Return the part for an address: a data: URL, a file Google keeps, a YouTube video, or a page to fetch.

    `detail` is OpenAI's word for an image's resolution, `name` the file's. Raises BadRequest naming `at` for any other
    address.
    """
    mime_type = media_types.specified(mime_type)
    part, remote = _at_url(url, at, mime_type, name)
    resolution = level_of(detail)
    if remote or resolution:
        return Attachment(part, url if remote else "", at, (mime_type or "") if remote else "", resolution)
    return part


def level_of(detail: str | None) -> str | None:
    """Return the mediaResolution that a word for a resolution means, or None."""
    return _DETAILS.get(detail.lower().removeprefix(_LEVEL)) if detail else None


def _at_url(url: str, at: str, mime_type: str | None, name: str | None) -> tuple[Part, bool]:
    """Return the part and False, or an empty part and True for a web address, whose file must be fetched.

    Raises BadRequest for any other URL.
    """
    if url[:5].lower() == "data:":
        return Part(inline_data=data_url(url, at, mime_type, name)), False
    if len(url) > _LONGEST_URL:
        raise BadRequest(
            f"Invalid URL: more than {_LONGEST_URL} characters.", param=at, code="invalid_image_url"
        )
    if _YOUTUBE.fullmatch(url):
        return Part(file_data=FileData(url, mime_type or "video/mp4")), False
    if url.startswith((_FILES_API, "gs://")):
        return Part(file_data=FileData(url, mime_type or media_types.named(name) or None)), False
    if _WEB.match(url):
        return Part(), True
    raise BadRequest(
        "Invalid URL: expected a data: URL, an http:// or https:// address, or a file that Google keeps.",
        param=at,
        code="invalid_image_url",
    )


def audio(data: str, audio_format: str | None, at: str, format_at: str) -> Part:
    """Return the part for base64 audio, or for a data: URL that holds it."""
    if data[:5].lower() == "data:":
        kind = audio_format if audio_format and _AUDIO_FORMAT.fullmatch(audio_format.lower()) else None
        return Part(inline_data=data_url(data, at, name=f"x.{kind}" if kind else None))
    kind = (audio_format or "wav").lower()
    if _AUDIO_FORMAT.fullmatch(kind) is None:
        raise BadRequest("Invalid audio format: expected a name such as 'wav' or 'mp3'.", param=format_at)
    return Part(inline_data=Blob(_AUDIO_TYPES.get(kind, f"audio/{kind}"), clean_base64(data, at)))


def file_data(data: str, at: str, mime_type: str | None, filename: str | None) -> AnyPart:
    """Return the part for a file in the request: base64, a data: URL, or an address."""
    if ":" in data[:8]:
        return at_url(data, at, mime_type, name=filename or "")
    data = clean_base64(data, at)
    return Part(
        inline_data=Blob(media_types.of_data(mime_type, filename or "", data) or media_types.PDF, data)
    )


def base64_file(
    data: str, mime_type: str | None, at: str, name: str | None = None, default: str | None = None
) -> Part:
    """Return the part for base64 bytes; without a type, their name or first bytes must show it. Raises BadRequest."""
    data = clean_base64(data, at)
    mime_type = media_types.of_data(mime_type, name, data) or default
    if not mime_type:
        raise BadRequest(
            "The file names no media type, and its bytes show none. Give its MIME type.", param=at
        )
    return Part(inline_data=Blob(mime_type, data))


def file_id(identifier: str, at: str, mime_type: str | None) -> AnyPart:
    """Return the part for an uploaded file: `files/abc`, `file-abc`, or an address."""
    if own := kept(identifier, at):
        return own
    part = uploaded(identifier, mime_type)
    if part is None and ":" not in identifier[:8]:
        raise UnknownShape(
            f"Invalid file: expected the name of a file that Google keeps, such as 'files/abc-123', at '{at}'.",
            param=at,
        )
    return part or at_url(identifier, at, mime_type)


def kept(identifier: str, at: str) -> Attachment | None:
    """Return the part for a file that the gateway keeps; None for another id."""
    match = _KEPT_ID.fullmatch(identifier)
    return Attachment(Part(), KEPT + match[1], at) if match else None


def uploaded(identifier: str, mime_type: str | None) -> Part | None:
    """Return the part for a file that Google may keep, `files/abc` or `file-abc`; None for another vendor's id."""
    name = _FILE_NAME.fullmatch(identifier)
    mime_type = media_types.specified(mime_type)
    return Part(file_data=FileData(_FILES_API + name[1], mime_type)) if name else None


class MediaHints(Struct, frozen=True, gc=False):
    """The resolution of a file and the frames of a video, as clients give them beside the file or inside its object.

    OpenAI's `detail`, LiteLLM's `detail` and `video_metadata` of a file, Qwen's `fps`, and Gemini's own fields.
    """

    detail: str | None = None
    media_resolution: str | dict[str, Any] | None = None
    media_resolution_camel: str | dict[str, Any] | None = field(default=None, name="mediaResolution")
    video_metadata: dict[str, Any] | None = None
    video_metadata_camel: dict[str, Any] | None = field(default=None, name="videoMetadata")
    fps: float | None = None


def with_hints(part: AnyPart, *hints: object) -> AnyPart:
    """Return a file's part with the first resolution, and all video metadata, that any of the hints give."""
    known = [hint for hint in hints if isinstance(hint, MediaHints)]
    metadata: dict[str, object] = {}
    level: str | None = None
    for hint in reversed(known):
        metadata |= {"fps": hint.fps} if hint.fps is not None else {}
        metadata |= hint.video_metadata or hint.video_metadata_camel or {}
        own = hint.media_resolution or hint.media_resolution_camel or hint.detail
        if isinstance(own, dict):
            own = own.get("level")
        level = level_of(own if isinstance(own, str) else None) or level
    if metadata:
        part = with_video_metadata(part, metadata)
    if level is None:
        return part
    if isinstance(part, Attachment):
        return structs.replace(part, resolution=level)
    return Attachment(part, resolution=level)


def with_video_metadata(part: AnyPart, metadata: Mapping[str, object]) -> AnyPart:
    """Return the part with Gemini's videoMetadata (start, end, frame rate), keys in either spelling."""
    fields = {camel(key): value for key, value in metadata.items()}
    for name in ("startOffset", "endOffset"):
        if name in fields:
            fields[name] = _duration(fields[name])
    encoded = msgspec.Raw(msgspec.json.encode(fields))
    if isinstance(part, Attachment):
        return structs.replace(part, part=structs.replace(part.part, video_metadata=encoded))
    return structs.replace(part, video_metadata=encoded)


def _duration(value: object) -> object:
    """Return seconds as Gemini writes a duration (https://protobuf.dev/programming-guides/json/): `1.5s`."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value}s"
    return f"{value}s" if isinstance(value, str) and _SECONDS.fullmatch(value) else value


def earlier_image(url: str, at: str) -> Attachment | None:
    """Return the part for an image of an earlier answer, or None for one that is not inline."""
    if url[:5].lower() != "data:":
        return None
    return Attachment(Part(inline_data=data_url(url, at)), at=at, lookup=url.rpartition(",")[2])


def server_part(part: Part, call_id: str, number: int, at: str) -> Attachment:
    """Return a part that one of Google's own tools made, as the client tells it: 0 is the call, 1 its first result.

    `at` is noted where the part is told as text, or left out.
    """
    return Attachment(part, at=at, kept=(call_id, number))


def with_resolution(part: Part, level: str) -> Part:
    """Return the part with a mediaResolution of its own."""
    return structs.replace(part, media_resolution=MediaResolution(level))


def camel(name: str) -> str:
    """Return a snake_case name in camelCase; camelCase stays."""
    head, *rest = name.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest)


def data_url(url: str, at: str, mime_type: str | None = None, name: str | None = None) -> Blob:
    """Return the bytes of a data: URL, base64 or percent-encoded (RFC 2397), with their MIME type.

    `mime_type` wins over the URL's own. Where neither says anything, the name or the bytes do.
    """
    comma = url.find(",", 0, _LONGEST_HEAD)
    head = _DATA_URL.fullmatch(url, 0, comma) if comma >= 0 else None
    if head is None:
        raise BadRequest(
            "Invalid data: URL: expected data:<type>;base64,<data>.", param=at, code="invalid_image_url"
        )
    if ";base64" in head[2].lower():
        data = clean_base64(url[comma + 1 :], at)
    elif len(url) > _LONGEST_ESCAPED:
        raise BadRequest(
            f"Invalid data: URL: more than {_LONGEST_ESCAPED} characters that are not base64.",
            param=at,
            code="invalid_image_url",
        )
    else:
        data = base64.b64encode(unquote_to_bytes(url[comma + 1 :])).decode()
    own = media_types.specified(mime_type) or head[1].lower()
    mime_type = media_types.of_data(own, name, data)
    if not mime_type:
        raise BadRequest(
            "Invalid data: URL: it names no media type, and its bytes show none.",
            param=at,
            code="invalid_image_url",
        )
    return Blob(mime_type, data)


_STANDARD = bytes.maketrans(b"-_", b"+/")
"""The URL-safe alphabet to the standard one (RFC 4648, section 5)."""
_BLANKS = b" \t\n\r\v\f"


def clean_base64(data: str, at: str) -> str:
    """Return standard-alphabet, padded base64. Blanks, wrong padding and the URL-safe alphabet are accepted."""
    if data and _is_base64(data):
        return data
    data = data.encode("ascii", "replace").translate(_STANDARD, _BLANKS).decode()
    if len(data) % 4 == 1 and data.endswith("="):
        data = data[:-1]
    data += "=" * (-len(data) % 4)
    if not data:
        raise BadRequest("Invalid base64: there is no data.", param=at, code="invalid_base64")
    if not _is_base64(data):
        raise BadRequest("Invalid base64.", param=at, code="invalid_base64")
    return data


_BLOCK = 2**20
"""Characters that are checked at once; other threads run between two blocks."""
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_PADDING = ("", "=", "==")


def _is_base64(data: str) -> bool:
    """Return whether data is what `clean_base64` returns. Deleting the alphabet is faster than any decoder."""
    if len(data) % 4 or not data.isascii():
        return False
    rest = ""
    for i in range(0, len(data), _BLOCK):
        rest += data[i : i + _BLOCK].encode().translate(None, _ALPHABET).decode()
        if len(rest) > 2:
            return False
    return rest in _PADDING and data.endswith(rest)
