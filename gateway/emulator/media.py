"""Files: descriptions of those in the prompt, and the values that a sound gives to an answer by a schema."""

import re
from typing import Any

from gateway.emulator.request import blobs, last_turn, prompt

_ABOUT = re.compile(
    r"\b(picture|image|photo|colou?r|audio|sound|recording|document|pdf|file|video)s?\b", re.I
)

SPOKEN = {
    "start": "00:00.0",
    "end": "00:02.0",
    "speaker": "A",
    "text": "Good morning.",
    "language": "English",
}
"""Values of properties by name in an answer about a sound: a segment of a transcript."""


def asks_about_files(request: dict[str, Any]) -> bool:
    """Return whether the last turn has files, and no words but those about files."""
    words = prompt(request)
    return any(True for _ in blobs(last_turn(request))) and (not words.strip() or bool(_ABOUT.search(words)))


def descriptions(parts: list[dict[str, Any]]) -> str:
    """Return each file's kind, MIME type and size or URI."""
    return "; ".join(_description(blob) for blob in blobs(parts))


def bracketed(parts: list[dict[str, Any]]) -> str:
    """Return the files in brackets, to be written after the words of the prompt."""
    return "".join(f" [{_type_and_size(blob)}]" for blob in blobs(parts))


def has_sound(parts: list[dict[str, Any]]) -> bool:
    """Return whether a part is audio."""
    return any(str(blob.get("mimeType")).startswith("audio/") for blob in blobs(parts))


def _description(blob: dict[str, Any]) -> str:
    mime = blob.get("mimeType") or ""
    kind, _, form = mime.partition("/")
    word = "PDF" if form == "pdf" else kind.upper() if kind in ("image", "audio", "video") else "FILE"
    return f"{word} {mime} {_content(blob)}"


def _content(blob: dict[str, Any]) -> str:
    if "fileUri" in blob:
        return str(blob["fileUri"])
    data = str(blob.get("data") or "").rstrip("=")
    return f"{len(data) * 3 // 4} bytes"


def _type_and_size(blob: dict[str, Any]) -> str:
    """Return MIME type and size; the size of inline data includes the base64 padding."""
    if "fileUri" in blob:
        return f"{blob.get('mimeType') or 'file'}, {blob['fileUri']}"
    return f"{blob.get('mimeType')}, {len(blob.get('data') or '') * 3 // 4} bytes"
