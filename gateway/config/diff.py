"""Differences between two configurations, without secrets."""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct, structs

from gateway.config.secret import Secret

_MAX_VALUE = 60
"""Characters of a value that are shown."""


def changes(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """Yield a line such as `models.default: 'a' -> 'b'` for each setting that differs."""
    if isinstance(old, Struct) and type(old) is type(new):
        for field in structs.fields(old):
            below = f"{path}.{field.name}" if path else field.name
            yield from changes(getattr(old, field.name), getattr(new, field.name), below)
    elif isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}, key=str):
            yield from changes(old.get(key), new.get(key), f"{path}.{key}")
    elif old != new:
        yield f"{path}: {_shown(old)} -> {_shown(new)}"


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    text = "****" if isinstance(value, Secret) else str(_plain(value)) if _is_nested(value) else repr(value)
    return text if len(text) <= _MAX_VALUE else f"{text[: _MAX_VALUE - 1]}…"


def _is_nested(value: Any) -> bool:
    return isinstance(value, Struct | list | tuple | dict)


def _plain(value: Any) -> Any:
    """Return a value as the YAML has it: without what is a default, and without secrets."""
    if isinstance(value, Secret):
        return "****"
    if isinstance(value, Struct):
        fields = {field.name: (field, getattr(value, field.name)) for field in structs.fields(value)}
        return {name: _plain(own) for name, (field, own) in fields.items() if own != field.default}
    if isinstance(value, dict):
        return {key: _plain(own) for key, own in value.items()}
    return [_plain(own) for own in value] if isinstance(value, list | tuple) else value
