"""Telling: a block of an unknown kind as a bounded text, so that a model knows at least what was there."""

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.gemini.wire import Part

_LONGEST_KIND = 64
_LONGEST_TEXT = 4000
"""Characters of one text inside a block that are told."""
MOST_TOLD = 16_000
"""Characters of a block that are told."""
_MOST_VALUES = 400
"""Values of a block that are told."""
_HIDDEN = frozenset(
    ("id", "tool_use_id", "call_id", "cache_control", "prompt_cache_breakpoint", "signature", "fingerprint",
     "encrypted_content",     "encrypted_index", "encrypted_stdout", "thought_signature", "status")
)  # fmt: skip
"""Fields without a meaning for another model."""


def tell(value: Mapping[str, Any], kind: str) -> Part:
    """Return the text `[type] {fields}` for a block. Long texts in it are cut, and opaque fields left out."""
    fields = _Telling().of({name: inner for name, inner in value.items() if name != "type"})
    words = msgspec.json.encode(fields).decode()[:MOST_TOLD] if fields else ""
    return Part(text=f"[{kind[:_LONGEST_KIND]}] {words}".rstrip())


class _Telling:
    """Copies the beginning of a value, within bounds."""

    def __init__(self) -> None:
        self._values = _MOST_VALUES
        self._characters = MOST_TOLD

    def of(self, value: object) -> Any:
        """Return a value without what is opaque, empty or beyond the bounds."""
        self._values -= 1
        if isinstance(value, str):
            text = value[: min(_LONGEST_TEXT, self._characters)]
            self._characters -= len(text)
            return text if len(text) == len(value) else f"{text}…"
        if isinstance(value, Mapping):
            fields = {}
            for key, inner in value.items():
                if self._values <= 0 or self._characters <= 0:
                    break
                if key not in _HIDDEN and inner not in (None, "", [], {}):
                    self._characters -= len(key)
                    fields[key[:_LONGEST_KIND]] = self.of(inner)
            return fields
        if isinstance(value, list):
            elements = []
            for inner in value:
                if self._values <= 0 or self._characters <= 0:
                    break
                elements.append(self.of(inner))
            return elements
        return value
