"""The texts of a request, found and replaced in its JSON."""

from collections.abc import Callable, Iterator
from typing import Any

_NO_TEXT = frozenset(
    {"data", "thoughtSignature", "thought_signature", "signature", "encrypted_content", "mimeType", "mime_type",
     "role", "id", "type", "b64_json"}
)  # fmt: skip
"""Keys whose values are no text that a person or a model has written."""
_OF_CALL = ("contents", "systemInstruction", "system_instruction")
"""Fields of a Gemini request that the model reads. Declarations of tools are the application's."""


def texts(value: Any) -> Iterator[str]:
    """Yield the texts in JSON of any shape, in order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            if name not in _NO_TEXT or not isinstance(item, str):
                yield from texts(item)


def replaced(value: Any, replace: Callable[[str], str]) -> Any:
    """Return JSON with each of its texts replaced."""
    if isinstance(value, str):
        return replace(value)
    if isinstance(value, list):
        return [replaced(item, replace) for item in value]
    if isinstance(value, dict):
        return {
            name: item if name in _NO_TEXT and isinstance(item, str) else replaced(item, replace)
            for name, item in value.items()
        }
    return value


def of_call(body: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a Gemini request whose texts the model reads."""
    return {name: body[name] for name in _OF_CALL if name in body}
