"""Google's own channel inside OpenAI's body: `extra_body.google`, `google`, or vendors' top-level keys.

Precedence: the literal `extra_body` wins over the flattened `google`, that over top-level keys, and all of them
over OpenAI's own fields; keys may be snake_case or camelCase (translation.md A.10).
"""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from gateway.conversation.parts import camel
from gateway.errors import BadRequest
from gateway.gemini import wire as gemini
from gateway.plugins.chat.wire import ChatRequest

T = TypeVar("T")

_UPPER = re.compile(r"(?<=[a-z0-9])([A-Z])")
_CACHED = re.compile(r"(?:cachedContents/)?([A-Za-z0-9_-]{1,128})")
_RESOLUTIONS = ("LOW", "MEDIUM", "HIGH", "ULTRA_HIGH")


class GoogleOptions(Struct):
    """What the channel may hold, in snake_case."""

    thinking_config: dict[str, Any] | None = None
    cached_content: str | None = None
    safety_settings: list[gemini.SafetySetting] | None = None
    top_k: int | None = None
    media_resolution: str | None = None
    image_config: dict[str, Any] | None = None
    aspect_ratio: str | None = None
    image_size: str | None = None
    response_modalities: list[str] | None = None
    speech_config: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_config: dict[str, Any] | None = None
    labels: dict[str, str] | None = None
    store: bool | None = None
    service_tier: str | None = None
    generation_config: dict[str, Any] | None = None


NOTHING = GoogleOptions()


class Channel(Struct, frozen=True):
    """The options, the path they came by, and names nobody knows."""

    options: GoogleOptions
    at: str = "google"
    unknown: tuple[str, ...] = ()


def channel(body: ChatRequest) -> Channel:
    """Everything said in the channel. Raises BadRequest with the path of a value of the wrong type."""
    literal = body.extra_body.google if body.extra_body is not None else None
    if (
        body.google is None
        and literal is None
        and body.cached_content is None
        and body.thinking_config is None
    ):
        return Channel(NOTHING)
    at = "extra_body.google" if literal is not None else "google"
    given: dict[str, Any] = {"cached_content": body.cached_content, "thinking_config": body.thinking_config}
    for source in (body.google, literal):
        given.update((snake(key), value) for key, value in (source or {}).items())
    unknown = tuple(f"{at}.{name}" for name in given if name not in GoogleOptions.__struct_fields__)
    return Channel(_convert(given, GoogleOptions, at), at, unknown)


def snake(name: str) -> str:
    """camelCase to snake_case; snake_case stays."""
    return _UPPER.sub(lambda found: f"_{found[1].lower()}", name)


def spelt(given: Mapping[str, Any]) -> dict[str, Any]:
    """A message's keys in camelCase; what lies deeper is the client's business."""
    return {camel(key): value for key, value in given.items()}


def message(given: Mapping[str, Any], kind: type[T], at: str) -> T:
    """One of Gemini's messages from its JSON, known fields only. Raises BadRequest otherwise."""
    fields: tuple[str, ...] = kind.__struct_encode_fields__  # type: ignore[attr-defined]
    keys = spelt(given)
    strange = next((name for name in keys if name not in fields), None)
    if strange is not None:
        known = ", ".join(sorted(fields))
        raise BadRequest(f"unknown field {strange[:40]!r}; known: {known}", param=f"{at}.{strange[:40]}")
    return _convert(keys, kind, at)


def thinking(options: GoogleOptions, at: str) -> gemini.ThinkingConfig | None:
    """The channel's thinkingConfig, which replaces any effort. Raises BadRequest for budget and level together."""
    if options.thinking_config is None:
        return None
    config = message(options.thinking_config, gemini.ThinkingConfig, f"{at}.thinking_config")
    if config.thinking_level is not None:
        config.thinking_level = config.thinking_level.upper()
        if config.thinking_budget is not None:
            raise BadRequest(
                "give a thinking_budget or a thinking_level, not both", param=f"{at}.thinking_config"
            )
    return config


def cached_content(options: GoogleOptions, at: str) -> str | None:
    """The full name of cached content, from a full or a bare one."""
    if options.cached_content is None:
        return None
    name = _CACHED.fullmatch(options.cached_content)
    if name is None:
        raise BadRequest("expected cachedContents/<id>", param=f"{at}.cached_content")
    return f"cachedContents/{name[1]}"


def media_resolution(options: GoogleOptions, at: str) -> str | None:
    """The enum's name, from a short or a full one."""
    if options.media_resolution is None:
        return None
    level = options.media_resolution.upper().removeprefix("MEDIA_RESOLUTION_")
    if level not in _RESOLUTIONS:
        raise BadRequest(f"expected one of {', '.join(_RESOLUTIONS).lower()}", param=f"{at}.media_resolution")
    return f"MEDIA_RESOLUTION_{level}"


def image_config(options: GoogleOptions) -> dict[str, Any] | None:
    """imageConfig, with its two commonest keys also taken from beside it."""
    found = spelt(options.image_config or {})
    if options.aspect_ratio is not None:
        found["aspectRatio"] = options.aspect_ratio
    if options.image_size is not None:
        found["imageSize"] = options.image_size
    return found or None


def _convert(given: Mapping[str, Any], kind: type[T], at: str) -> T:
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        told, _, path = str(error).partition(" - at `$")
        raise BadRequest(told, param=at + path.rstrip("`"), code="invalid_type") from None
