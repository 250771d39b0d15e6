"""Files: those of the prompt, named by kind and size, and those that image and speech models answer with."""

import base64
import re
import struct
import zlib
from typing import Any

from gateway.emulator.contents import blobs, last_turn, prompt

_ABOUT = re.compile(
    r"\b(picture|image|photo|colou?r|audio|sound|recording|document|pdf|file|video)s?\b", re.I
)


def _png() -> bytes:
    """One red pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixel = zlib.compress(b"\0\xff\0\0")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixel) + chunk(b"IEND", b"")


def _inline(mime: str, data: bytes) -> dict[str, Any]:
    return {"inlineData": {"mimeType": mime, "data": base64.b64encode(data).decode()}}


PICTURE = _inline("image/png", _png())
SPEECH = _inline("audio/L16;codec=pcm;rate=24000", bytes(480))
"""Ten milliseconds of silence."""


def asks_about_files(request: dict[str, Any]) -> bool:
    """Files came, with no words or with words about them."""
    asked = prompt(request)
    return any(True for _ in blobs(last_turn(request))) and (not asked.strip() or bool(_ABOUT.search(asked)))


def named(parts: list[dict[str, Any]]) -> str:
    """Each file's kind, type and size, or its address."""
    return "; ".join(_name(blob) for blob in blobs(parts))


def listed(parts: list[dict[str, Any]]) -> str:
    """The files in brackets, to follow the words they came with."""
    return "".join(f" [{_size(blob)}]" for blob in blobs(parts))


def _name(blob: dict[str, Any]) -> str:
    mime = blob.get("mimeType") or ""
    kind, _, form = mime.partition("/")
    word = "PDF" if form == "pdf" else kind.upper() if kind in ("image", "audio", "video") else "FILE"
    return f"{word} {mime} {_content(blob)}"


def _content(blob: dict[str, Any]) -> str:
    if "fileUri" in blob:
        return str(blob["fileUri"])
    data = str(blob.get("data") or "").rstrip("=")
    return f"{len(data) * 3 // 4} bytes"


def _size(blob: dict[str, Any]) -> str:
    """As ever: of inline data the padding counts too."""
    if "fileUri" in blob:
        return f"{blob.get('mimeType') or 'file'}, {blob['fileUri']}"
    return f"{blob.get('mimeType')}, {len(blob.get('data') or '') * 3 // 4} bytes"
