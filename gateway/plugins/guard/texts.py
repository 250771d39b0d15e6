"""The texts of a request, found and replaced in its JSON."""

from collections.abc import Callable, Iterator
from typing import Any

_NO_TEXT = frozenset(
    {"data", "thoughtSignature", "thought_signature", "signature", "encrypted_content", "mimeType", "mime_type",
     "role", "id", "type", "b64_json", "name", "model", "fileUri", "file_uri", "cachedContent"}
)  # fmt: skip
"""Keys whose strings are no text that a person or a model has written."""
_SETTINGS = frozenset(
    {"safetySettings", "safety_settings", "toolConfig", "tool_config", "responseModalities", "response_modalities",
     "responseMimeType", "response_mime_type", "mediaResolution", "thinkingConfig", "serviceTier", "required"}
)  # fmt: skip
"""Keys with nothing but names of options below them."""


def texts(value: Any) -> Iterator[str]:
    """Yield the texts in JSON of any shape, in order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            if not _is_skipped(name, item):
                yield from texts(item)


def replaced(value: Any, replace: Callable[[str], str]) -> Any:
    """Return JSON with each of its texts replaced."""
    if isinstance(value, str):
        return replace(value)
    if isinstance(value, list):
        return [replaced(item, replace) for item in value]
    if isinstance(value, dict):
        return {
            name: item if _is_skipped(name, item) else replaced(item, replace) for name, item in value.items()
        }
    return value


def _is_skipped(name: str, item: Any) -> bool:
    return name in _SETTINGS or (name in _NO_TEXT and isinstance(item, str))
