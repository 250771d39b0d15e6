"""Parts of a message: text, images, sound and files, given in the request or by address (translation.md B.3, B.4)."""

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import unquote_to_bytes

import msgspec

from gateway.errors import BadRequest
from gateway.gemini.wire import Blob, FileData, MediaResolution, Part
from gateway.plugins.chat.wire import ChatRequest, ContentPart, FileInput, ImageURL, InputAudio

Media = Mapping[str, Blob]
"""Files that were fetched, by address."""

_DATA_URL = re.compile(r"data:([^,;]*)((?:;[^,;]*)*),", re.I)
_FILES_API = "https://generativelanguage.googleapis.com/v1beta/files/"
_FILE_NAME = re.compile(r"(?:files/|file-)([A-Za-z0-9][A-Za-z0-9_-]*)")
_YOUTUBE = re.compile(
    r"https?://(?:www\.|m\.)?(?:youtube\.com/(?:watch\?|shorts/|embed/|live/)|youtu\.be/)\S+", re.I
)
_WEB = re.compile(r"https?://", re.I)

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

_EXTENSIONS = {
    "pdf": "application/pdf", "txt": "text/plain", "md": "text/plain", "csv": "text/csv", "html": "text/html",
    "json": "application/json", "xml": "text/xml", "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg",
    "webp": "image/webp", "gif": "image/gif", "mp4": "video/mp4", "webm": "video/webm", "mov": "video/quicktime",
    "mp3": "audio/mpeg", "wav": "audio/wav", "flac": "audio/flac", "ogg": "audio/ogg", "py": "text/x-python",
    "js": "text/javascript", "css": "text/css", "rtf": "text/rtf",
}  # fmt: skip

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"%PDF", "application/pdf"),
)
_ALIASES = {
    "image/jpg": "image/jpeg",
    "audio/mp3": "audio/mpeg",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
}
_DETAILS = {
    "low": "MEDIA_RESOLUTION_LOW",
    "medium": "MEDIA_RESOLUTION_MEDIUM",
    "high": "MEDIA_RESOLUTION_HIGH",
    "original": "MEDIA_RESOLUTION_ULTRA_HIGH",
}


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


def user_part(part: ContentPart, at: str, media: Media) -> Part:
    """One part of a user message. Raises BadRequest naming the path of what cannot be."""
    text = text_of(part, at)
    if text is not None:
        return Part(text=text)
    convert = _CONVERTERS.get(part.type)
    if convert is None:
        known = ", ".join(["text", *_CONVERTERS])
        raise BadRequest(f"unknown content part type {part.type[:40]!r}; known: {known}", param=f"{at}.type")
    found = convert(part, at, media)
    if part.video_metadata:
        spelt = {camel(key): value for key, value in part.video_metadata.items()}
        found.video_metadata = msgspec.Raw(msgspec.json.encode(spelt))
    return found


def camel(name: str) -> str:
    """snake_case to camelCase; camelCase stays."""
    head, *rest = name.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest)


def resolution(part: ContentPart) -> str | None:
    """The mediaResolution an image's `detail` asks for."""
    if isinstance(part.image_url, ImageURL) and part.image_url.detail:
        return _DETAILS.get(part.image_url.detail.lower())
    return None


def media_resolution(level: str) -> MediaResolution:
    return MediaResolution(level)


def remote_media(body: ChatRequest) -> dict[str, str]:
    """What must be fetched before the request can be translated: address to the JSON path that names it."""
    found: dict[str, str] = {}
    for i, message in enumerate(body.messages):
        if isinstance(message.content, list):
            for j, part in enumerate(message.content):
                for url, path in _addresses(part, f"messages[{i}].content[{j}]"):
                    found.setdefault(url, path)
    return found


def _addresses(part: ContentPart, at: str) -> Iterator[tuple[str, str]]:
    for field in ("image_url", "video_url"):
        given = getattr(part, field)
        if given is not None and part.type == field:
            url = given.url if isinstance(given, ImageURL) else given
            if _must_be_fetched(url):
                yield url, f"{at}.{field}" + (".url" if isinstance(given, ImageURL) else "")
    if part.file is not None and part.type == "file":
        for field in ("file_data", "file_id"):
            url = getattr(part.file, field) or ""
            if _must_be_fetched(url):
                yield url, f"{at}.file.{field}"


def _must_be_fetched(url: str) -> bool:
    return bool(_WEB.match(url)) and not url.startswith(_FILES_API) and not _YOUTUBE.fullmatch(url)


def _image(part: ContentPart, at: str, media: Media) -> Part:
    return _by_url(part.image_url, f"{at}.image_url", "an image", part, media)


def _video(part: ContentPart, at: str, media: Media) -> Part:
    return _by_url(part.video_url, f"{at}.video_url", "a video", part, media)


def _by_url(given: ImageURL | str | None, where: str, what: str, part: ContentPart, media: Media) -> Part:
    if given is None:
        field = where.rpartition(".")[2]
        raise BadRequest(f"{what} part needs `{field}`", param=where, code="missing_required_parameter")
    if isinstance(given, str):
        return address(given, where, media, part.mime_type)
    return address(given.url, f"{where}.url", media, given.format or part.mime_type)


def address(url: str, where: str, media: Media, mime: str | None = None) -> Part:
    """A data: URL, a file Google knows, a video on YouTube, or what was fetched (translation.md B.4)."""
    if url[:5].lower() == "data:":
        blob = data_url(url, where)
        return Part(inline_data=Blob(mime, blob.data) if mime else blob)
    if _YOUTUBE.fullmatch(url):
        return Part(file_data=FileData(url, mime or "video/mp4"))
    if url.startswith((_FILES_API, "gs://")):
        return Part(file_data=FileData(url, mime))
    fetched = media.get(url)
    if fetched is not None:
        return Part(inline_data=Blob(mime or fetched.mime_type, fetched.data))
    raise BadRequest(
        "not an address that can be read: expected a data: URL or https://",
        param=where,
        code="invalid_image_url",
    )


def _audio(part: ContentPart, at: str, _: Media) -> Part:
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


def _file(part: ContentPart, at: str, media: Media) -> Part:
    """A file in the request, or one that was uploaded before."""
    file = part.file
    if file is None:
        raise BadRequest("a file part needs `file`", param=f"{at}.file", code="missing_required_parameter")
    mime = file.format or file.mime_type
    if file.file_data:
        where = f"{at}.file.file_data"
        if ":" in file.file_data[:8]:
            return address(file.file_data, where, media, mime)
        return Part(inline_data=Blob(mime or _named_type(file), clean_base64(file.file_data, where)))
    if not file.file_id:
        raise BadRequest(
            "a file part needs `file_data` or `file_id`",
            param=f"{at}.file",
            code="missing_required_parameter",
        )
    name = _FILE_NAME.fullmatch(file.file_id)
    if name:
        return Part(file_data=FileData(_FILES_API + name[1], mime))
    return address(file.file_id, f"{at}.file.file_id", media, mime)


def _named_type(file: FileInput) -> str:
    """The MIME type a file's name tells; PDF when it tells none (translation.md B.3)."""
    extension = (file.filename or "").rpartition(".")[2].lower()
    return _EXTENSIONS.get(extension, "application/pdf")


_CONVERTERS: dict[str, Callable[[ContentPart, str, Media], Part]] = {
    "image_url": _image,
    "input_audio": _audio,
    "file": _file,
    "video_url": _video,
}


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
    mime = head[1].strip().lower() or sniff(data)
    if not mime:
        raise BadRequest(
            "the data: URL names no type and its bytes tell none", param=where, code="invalid_image_url"
        )
    return Blob(_ALIASES.get(mime, mime), data)


def clean_base64(data: str, where: str) -> str:
    """Standard-alphabet, padded base64; blanks and the URL-safe alphabet are forgiven (B.4.1)."""
    if not data:
        raise BadRequest("holds no bytes", param=where, code="invalid_base64")
    if _is_base64(data):
        return data
    data = "".join(data.split()).replace("-", "+").replace("_", "/")
    data += "=" * (-len(data) % 4)
    if not data:
        raise BadRequest("holds no bytes", param=where, code="invalid_base64")
    if not _is_base64(data):
        raise BadRequest("not valid base64", param=where, code="invalid_base64")
    return data


_BLOCK = 2**20
"""Characters that are looked at in one go: between two blocks other threads have their turn."""


def _is_base64(data: str) -> bool:
    if "=" in data[:-2]:
        return False
    try:
        for i in range(0, len(data), _BLOCK):
            binascii.a2b_base64(data[i : i + _BLOCK], strict_mode=True)
    except ValueError:
        return False
    return True


def sniff(data: str) -> str:
    """The type that the first bytes of base64 data tell, or ""."""
    head = base64.b64decode(data[:32])
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1"):
        return "image/heic"
    return next((mime for magic, mime in _MAGIC if head.startswith(magic)), "")
