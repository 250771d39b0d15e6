"""Media in any vendor's shape: where the bytes, the address or the uploaded file of a block are."""

import contextlib
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from gateway.conversation import media_types, parts
from gateway.conversation.parts import AnyPart, MediaHints
from gateway.gemini.wire import Part

KEYS = ("image_url", "input_image", "audio_url", "video_url", "file_url", "input_audio", "inlineData", "inline_data",
        "fileData", "file_data", "image", "audio", "video", "document", "file", "source", "image_file", "input_file",
        "media")  # fmt: skip
"""Fields that hold a file, or an object that does."""
_ADDRESSES = ("url", "uri", "fileUri", "file_uri")
_BYTES = ("data", "base64", "bytes")
_IDS = ("file_id", "fileId")
_TYPES = ("mime_type", "mimeType", "media_type", "mediaType", "format")
_FILES = ("file", "document", "input_file", "file_data", "media")
"""Kinds of which a nameless file is a PDF."""
_ID = re.compile(r"[A-Za-z][\w.-]{3,199}", re.ASCII)
"""The id of a file that another vendor keeps."""
_HINTS = frozenset(field.encode_name for field in msgspec.structs.fields(MediaHints))
_MOST_STEPS = 4
"""Objects inside each other that are searched for a file."""


def part(
    value: Mapping[str, Any], kind: str, at: str, step: Callable[[str, str | int], str]
) -> AnyPart | None:
    """Return the part for a block's file, or None without one that is known. Raises BadRequest for a broken one."""
    finder = _Finder(kind, step)
    result = finder.find(value, at, _MOST_STEPS)
    return parts.with_hints(result, *reversed(finder.hints)) if result is not None else None


class _Finder:
    """Searches a block for its file; what is found further out describes what is inside."""

    def __init__(self, kind: str, step: Callable[[str, str | int], str]) -> None:
        self._kind = kind
        self._step = step
        self._type = ""
        self._name: str | None = None
        self.hints: list[MediaHints] = []
        """Of the objects around the file, the outermost first."""

    def find(self, value: Mapping[str, Any], at: str, steps: int) -> AnyPart | None:
        self._describe(value)
        for key in (*KEYS, *_ADDRESSES, *_BYTES, *_IDS):
            inner, inside = value.get(key), self._step(at, key)
            if isinstance(inner, str) and inner:
                result = self._read(inner, key, inside)
            elif isinstance(inner, Mapping) and steps:
                result = self.find(inner, inside, steps - 1)
            else:
                continue
            if result is not None:
                return result
        return None

    def _describe(self, value: Mapping[str, Any]) -> None:
        kind = next((value[key] for key in _TYPES if isinstance(value.get(key), str)), "")
        self._type = kind or self._type
        name = value.get("filename") or value.get("name") or value.get("title")
        self._name = name if isinstance(name, str) else self._name
        if value.keys() & _HINTS:
            with contextlib.suppress(msgspec.ValidationError):  # of another shape
                self.hints.append(msgspec.convert(value, MediaHints))

    def _read(self, text: str, key: str, at: str) -> AnyPart | None:
        """Return the part for a text under a key. The id of a file that is not Google's is told as text."""
        mime_type = self._type if "/" in self._type else ""
        if text[:5].lower() == "data:" or "://" in text[:12]:
            return parts.at_url(text, at, mime_type or None, name=self._name)
        if key in _IDS:
            words = Part(text=f"[{self._kind}] {key}: {text}") if _ID.fullmatch(text) else None
            return parts.kept(text, at) or parts.uploaded(text, mime_type or None) or words
        if key in _ADDRESSES or key.endswith("_url"):
            return parts.at_url(text, at, mime_type or None, name=self._name)  # which refuses it
        if mime_type == "text/plain" and key == "data":
            return Part(text=text)
        if "audio" in self._kind and not mime_type:
            return parts.audio(text, self._type or None, at, at)
        if self._kind in _FILES:
            return parts.file_data(
                text, at, mime_type or media_types.named(f"x.{self._type}") or None, self._name
            )
        return parts.base64_file(text, mime_type or media_types.named(f"x.{self._type}"), at, self._name)
