"""Gemini's own options inside another dialect's body: `extra_body.google`, `google`, or vendors' top-level keys.

The literal `extra_body` wins over the flattened `google`, that over top-level keys, and all of them over the
dialect's own fields. Keys may be snake_case or camelCase
(https://ai.google.dev/gemini-api/docs/openai#extra-body).
"""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, structs

from gateway.conversation.invalid import place_of, undecodable, unsupported_value
from gateway.conversation.notes import printable
from gateway.conversation.parts import camel
from gateway.errors import BadRequest
from gateway.gemini import wire

T = TypeVar("T")

_UPPER = re.compile(r"(?<=[a-z0-9])([A-Z])")
_CACHED = re.compile(r"(?:cachedContents/)?([A-Za-z0-9_-]{1,128})")
_LONGEST_NAME = 64
_RESOLUTIONS = ("LOW", "MEDIUM", "HIGH", "ULTRA_HIGH")


class Options(Struct, frozen=True):
    """The options that the channel may hold, in snake_case."""

    thinking_config: dict[str, Any] | None = None
    cached_content: str | None = None
    safety_settings: list[wire.SafetySetting] | None = None
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


class GoogleOptions(Struct, frozen=True):
    """A request's options, and where the client gave each."""

    options: Options = Options()
    paths: Mapping[str, str] = {}
    """Option name to the client's path."""
    unknown: tuple[str, ...] = ()
    """Paths of options that this gateway does not know."""

    def at(self, name: str) -> str:
        """Return the client's path of an option."""
        return self.paths.get(name, f"google.{name}")

    def thinking(self) -> wire.ThinkingConfig | None:
        """Return thinkingConfig, which replaces any effort. Raises BadRequest for budget and level together."""
        value = self.options.thinking_config
        if value is None:
            return None
        at = self.at("thinking_config")
        config = message(value, wire.ThinkingConfig, at)
        if config.thinking_level is None:
            return config
        if config.thinking_budget is not None:
            raise BadRequest(f"Invalid '{at}': set thinking_budget or thinking_level, not both.", param=at)
        return structs.replace(config, thinking_level=config.thinking_level.upper())

    def cached_content(self) -> str | None:
        """Return the full name of cached content, from a full or a bare one. None without one.

        Raises BadRequest for any other form.
        """
        value = self.options.cached_content
        if value is None:
            return None
        name = _CACHED.fullmatch(value)
        if name is None:
            at = self.at("cached_content")
            raise BadRequest(f"Invalid '{at}': expected 'cachedContents/<id>'.", param=at)
        return f"cachedContents/{name[1]}"

    def generation_fields(self) -> dict[str, Any]:
        """Return the fields of generationConfig that have an option of their own."""
        options = self.options
        fields: dict[str, Any] = {}
        if options.media_resolution is not None:
            fields["media_resolution"] = self._media_resolution(options.media_resolution)
        if image := self._image_config():
            fields["image_config"] = image
        if options.speech_config is not None:
            fields["speech_config"] = camel_keys(options.speech_config)
        if options.response_modalities:
            fields["response_modalities"] = [name.upper() for name in options.response_modalities]
        return fields

    def native_generation_fields(self) -> dict[str, Any]:
        """Return the fields of the client's native generationConfig, which win over all others."""
        value = self.options.generation_config
        if not value:
            return {}
        config = message(value, wire.GenerationConfig, self.at("generation_config"))
        return {name: value for name, value in structs.asdict(config).items() if value is not None}

    def tools(self) -> list[wire.Tool]:
        """Return the client's native tools."""
        at = self.at("tools")
        return [message(tool, wire.Tool, f"{at}[{i}]") for i, tool in enumerate(self.options.tools or ())]

    def tool_config(self) -> dict[str, Any]:
        """Return the fields of the client's native toolConfig."""
        if self.options.tool_config is None:
            return {}
        config = message(self.options.tool_config, wire.ToolConfig, self.at("tool_config"))
        return {name: value for name, value in structs.asdict(config).items() if value is not None}

    def _media_resolution(self, value: str) -> str:
        level = value.upper().removeprefix("MEDIA_RESOLUTION_")
        if level not in _RESOLUTIONS:
            raise unsupported_value(value, map(str.lower, _RESOLUTIONS), self.at("media_resolution"))
        return f"MEDIA_RESOLUTION_{level}"

    def _image_config(self) -> dict[str, Any]:
        """Return imageConfig; its two commonest keys may also stand beside it."""
        config = camel_keys(self.options.image_config or {})
        if self.options.aspect_ratio is not None:
            config["aspectRatio"] = self.options.aspect_ratio
        if self.options.image_size is not None:
            config["imageSize"] = self.options.image_size
        return config


NOTHING = GoogleOptions()


def google_options(
    google: Mapping[str, Any] | None,
    extra_body: Mapping[str, Any] | None = None,
    **top_level: object,
) -> GoogleOptions:
    """Return everything in the channel; `extra_body` is the content of `extra_body.google`.

    `top_level` are vendors' own fields of the body, by the option's name. Raises BadRequest with the path of a value
    of the wrong type.
    """
    if google is None and extra_body is None and all(value is None for value in top_level.values()):
        return NOTHING
    values: dict[str, Any] = {name: value for name, value in top_level.items() if value is not None}
    paths = {name: name for name in values}
    for prefix, source in (("google", google), ("extra_body.google", extra_body)):
        for key, value in (source or {}).items():
            name = snake(key) if len(key) <= _LONGEST_NAME else key
            values[name] = value
            paths[name] = f"{prefix}.{printable(key)}"
    known = {name: value for name, value in values.items() if name in Options.__struct_fields__}
    unknown = tuple(paths[name] for name in values if name not in known)
    return GoogleOptions(_converted(known, paths), {name: paths[name] for name in known}, unknown)


def _converted(values: Mapping[str, Any], paths: Mapping[str, str]) -> Options:
    try:
        return msgspec.convert(values, Options)
    except msgspec.ValidationError as error:
        text, place = place_of(error)
        name, dot, rest = place.partition(".")
        name, bracket, index = name.partition("[")
        raise undecodable(text, paths[name] + bracket + index + dot + rest) from None


def snake(name: str) -> str:
    """Return a camelCase name in snake_case; snake_case stays."""
    return _UPPER.sub(lambda match: f"_{match[1].lower()}", name)


def camel_keys(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message with its own keys in camelCase; deeper ones stay as they are."""
    return {camel(key): value for key, value in message.items()}


def message(content: Mapping[str, Any], kind: type[T], at: str) -> T:
    """Return one of Gemini's messages from its JSON. Raises BadRequest for an unknown field or a wrong type."""
    fields: tuple[str, ...] = kind.__struct_encode_fields__  # type: ignore[attr-defined]
    for key in content:
        if camel(key) not in fields:
            known = ", ".join(sorted(fields))
            raise BadRequest(
                f"Unknown parameter: '{at}.{key[:40]}'. Known: {known}.",
                param=f"{at}.{key[:40]}",
                code="unknown_parameter",
            )
    try:
        return msgspec.convert(camel_keys(content), kind)
    except msgspec.ValidationError as error:
        text, place = place_of(error)
        for key in content:  # named as the client wrote it
            name = camel(key)
            if place == name or place.startswith((f"{name}.", f"{name}[")):
                place = key + place[len(name) :]
                break
        raise undecodable(text, f"{at}.{place}" if place else at) from None
