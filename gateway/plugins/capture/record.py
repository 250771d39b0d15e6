"""One captured request: what the client sent, what Gemini was asked, what the client got. Without secrets."""

import re
from typing import Any

from msgspec import Struct

from gateway.errors import scrub

_BINARY = frozenset(
    {"data", "b64_json", "encrypted_content", "thoughtSignature", "thought_signature", "signature"}
)
"""Keys whose long texts are encoded bytes, in which a secret's form would be an accident."""
_ENCODED = re.compile(r"[A-Za-z0-9+/_-]{256,}={0,2}")
"""Text that is longer than any secret."""


class Captured(Struct, omit_defaults=True):
    """A captured request. Its JSON is the content of a file."""

    id: str
    at: float
    """Unix seconds of its end."""
    method: str
    path: str
    surface: str
    client: str
    """Name of the issued key, or fingerprint of the client's own."""
    model: str = ""
    status: int = 0
    error: str | None = None
    seconds: float = 0.0
    dollars: float = 0.0
    usage: dict[str, int] = {}
    request: Any = None
    """The client's body."""
    calls: list[Any] = []
    """Gemini's requests: `model` and `body`."""
    answer: list[Any] = []
    """The choices of the answer as the client got them."""
    left_out: list[str] = []
    """Fields that were too large."""


def without_secrets(value: Any) -> Any:
    """Return JSON without what looks like a key, a token or a password."""
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, list):
        return [without_secrets(item) for item in value]
    if isinstance(value, dict):
        return {
            scrub(name): item if name in _BINARY and _is_encoded(item) else without_secrets(item)
            for name, item in value.items()
        }
    return value


def _is_encoded(item: Any) -> bool:
    return isinstance(item, str) and _ENCODED.fullmatch(item) is not None


def fitted(record: Captured, sizes: dict[str, int], most: int) -> Captured:
    """Leave out the largest of request, calls and answer until the rest has at most `most` bytes."""
    kept = dict(sizes)
    while sum(kept.values()) > most:
        name = max(kept, key=lambda field: kept[field])
        del kept[name]
        record.left_out = [*record.left_out, name]
        setattr(record, name, None if name == "request" else [])
    return record
