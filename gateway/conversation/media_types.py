"""Media types of files whose sender gives none, by their name or their first bytes.

Gemini refuses `Unsupported MIME type: application/octet-stream`
(https://github.com/waooAI/waoowaoo/issues/89), which many clients send for every file whose type they do not know.
"""

import base64
import binascii

PDF = "application/pdf"
_UNSPECIFIED = frozenset(
    ("", "application/octet-stream", "binary/octet-stream", "application/x-octet-stream", "application/binary",
     "application/unknown", "application/x-unknown", "unknown/unknown", "application/force-download",
     "application/x-download", "*/*", "unknown", "null", "undefined")
)  # fmt: skip
"""Types that say nothing."""
_ALIASES = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "audio/mp3": "audio/mpeg",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "application/x-pdf": PDF,
}
_EXTENSIONS = {
    "pdf": PDF, "csv": "text/csv", "html": "text/html", "htm": "text/html", "json": "application/json",
    "xml": "text/xml", "css": "text/css", "rtf": "text/rtf", "py": "text/x-python", "js": "text/javascript",
    "mjs": "text/javascript", "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp",
    "gif": "image/gif", "bmp": "image/bmp", "heic": "image/heic", "heif": "image/heif", "mp4": "video/mp4",
    "m4v": "video/mp4", "webm": "video/webm", "mov": "video/quicktime", "mpeg": "video/mpeg", "mpg": "video/mpg",
    "avi": "video/avi", "flv": "video/x-flv", "wmv": "video/wmv", "3gp": "video/3gpp", "3gpp": "video/3gpp",
    "mkv": "video/x-matroska", "mp3": "audio/mpeg", "wav": "audio/wav", "flac": "audio/flac", "ogg": "audio/ogg",
    "oga": "audio/ogg", "opus": "audio/ogg", "aac": "audio/aac", "m4a": "audio/mp4", "aiff": "audio/aiff",
    "aif": "audio/aiff", "weba": "audio/webm",
    **dict.fromkeys(
        ("txt", "md", "markdown", "mdx", "rst", "log", "text", "yaml", "yml", "toml", "ini", "cfg", "conf", "env",
         "jsonl", "ndjson", "tsv", "sql", "sh", "bash", "zsh", "ps1", "bat", "ts", "tsx", "jsx", "vue", "svelte", "go",
         "rs", "rb", "php", "java", "kt", "kts", "scala", "swift", "c", "h", "cc", "cpp", "hpp", "cs", "fs", "r", "lua",
         "pl", "pm", "hs", "ex", "exs", "erl", "clj", "dart", "m", "mm", "proto", "graphql", "gradle", "dockerfile",
         "makefile", "gitignore", "diff", "patch", "tex", "srt", "vtt", "ics", "eml", "lock", "scss", "sass", "less",
         "ipynb", "tf", "zig", "nim", "jl", "groovy", "properties", "csproj", "sln", "svg"),
        "text/plain",
    ),
}  # fmt: skip
"""Extensions of file names. A source text of any language is plain text."""
_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF8", "image/gif"),
    (0, b"%PDF", PDF),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (8, b"AVI ", "video/avi"),
    (8, b"AIFF", "audio/aiff"),
    (8, b"AIFC", "audio/aiff"),
    (4, b"ftypheic", "image/heic"),
    (4, b"ftypheix", "image/heic"),
    (4, b"ftypmif1", "image/heic"),
    (4, b"ftypM4A", "audio/mp4"),
    (4, b"ftypM4B", "audio/mp4"),
    (4, b"ftypqt", "video/quicktime"),
    (4, b"ftyp3g", "video/3gpp"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (0, b"FLV\x01", "video/x-flv"),
    (0, b"\x00\x00\x01\xba", "video/mpeg"),
    (0, b"\x00\x00\x01\xb3", "video/mpeg"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"\xff\xf3", "audio/mpeg"),
    (0, b"\xff\xf2", "audio/mpeg"),
    (0, b"\xff\xf1", "audio/aac"),
    (0, b"\xff\xf9", "audio/aac"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"),
    (0, b"{\\rtf", "text/rtf"),
    (0, b"BM", "image/bmp"),
)
"""Offset, bytes and type (https://mimesniff.spec.whatwg.org, https://www.iana.org/assignments/media-types)."""
_CONTAINERS = {"image/webp": b"RIFF", "audio/wav": b"RIFF", "video/avi": b"RIFF", "audio/aiff": b"FORM"}
"""Beginnings of files whose kind is named at byte 8."""
_TEXT_SAMPLE = 1024
"""Characters of base64 that show whether a file is text."""
_BINARY = bytes(set(range(32)) - set(b"\t\n\r\f\x1b")) + b"\x7f"


def is_unspecified(mime_type: str | None) -> bool:
    """Return whether a type says nothing."""
    return mime_type is None or mime_type.partition(";")[0].strip().lower() in _UNSPECIFIED


def specified(mime_type: str | None) -> str | None:
    """Return a type as Gemini spells it, or None for one that says nothing."""
    if mime_type is None or is_unspecified(mime_type):
        return None
    kind, semicolon, parameters = mime_type.strip().partition(";")
    return _ALIASES.get(kind.strip().lower(), kind.strip().lower()) + semicolon + parameters


def named(name: str | None) -> str:
    """Return the type of a file name's extension, or ""."""
    return _EXTENSIONS.get((name or "").rpartition("/")[2].rpartition(".")[2].lower(), "")


def of_data(mime_type: str | None, name: str | None, data: str) -> str:
    """Return the type of base64 data: the one that is given, by the name's extension, by the first bytes, or "".

    Only a file, which has a name though it may be empty, can be text.
    """
    return specified(mime_type) or named(name) or sniff(data) or (_of_text(data) if name is not None else "")


def sniff(data: str) -> str:
    """Return the type that the first bytes of base64 data show, or "". Text shows none."""
    return sniff_bytes(base64.b64decode(data[:32]))


def of_file(declared: str | None, name: str, head: bytes) -> str:
    """Return the type of an uploaded file: the declared one, or by its first bytes, its name's extension, or "".

    A declared application/octet-stream says nothing: clients send it for every type that they do not know.
    """
    return (
        specified(declared)
        or sniff_bytes(head)
        or named(name)
        or _plain(head, whole=len(head) < _TEXT_SAMPLE)
    )


def sniff_bytes(head: bytes) -> str:
    """Return the type that the first 24 bytes of a file show, or "". Text shows none."""
    for offset, magic, mime_type in _MAGIC:
        if head.startswith(magic, offset) and head.startswith(_CONTAINERS.get(mime_type, b"")):
            return mime_type
    return ""


def _of_text(data: str) -> str:
    """Return the type of plain text for data that begins with UTF-8 without control characters, or ""."""
    try:
        head = base64.b64decode(data[:_TEXT_SAMPLE])
    except binascii.Error:
        return ""
    return _plain(head, whole=len(data) <= _TEXT_SAMPLE)


def _plain(head: bytes, *, whole: bool) -> str:
    text = head.decode("utf-8", "replace")
    if "\ufffd" in (text if whole else text[:-3]):  # the sample may end within a character
        return ""
    return "text/plain" if head and head.translate(None, _BINARY) == head else ""
