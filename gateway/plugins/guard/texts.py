"""The texts of a request, found and replaced in its JSON.

What a person, a tool or a model has written is a text; texts in neighbouring parts are one text, as the model reads
them. Names, keys, and numbers of tools are labels: they are read, too, and cannot be replaced without breaking the
request. Encoded bytes
and names of options are left out where Gemini's API has them (https://ai.google.dev/api/generate-content), and nowhere
else: the arguments and results of a tool may have any keys.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec import Struct


class _Place(Struct, frozen=True):
    """An object of Gemini's API."""

    skipped: frozenset[str] = frozenset()
    """Fields without texts."""
    labels: frozenset[str] = frozenset()
    """Fields with names, or with a word of a fixed set."""
    fields: Mapping[str, str] = {}
    """Places of the fields that have one."""
    names: str = ""
    """Place of all fields, whose names are the client's."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_CONTENT = {
    "contents": "content",
    "content": "content",
    "systemInstruction": "content",
    "system_instruction": "content",
}
_SCHEMA = dict.fromkeys(_names("items anyOf oneOf allOf prefixItems additionalProperties"), "schema")
_BLOBS = dict.fromkeys(_names("inlineData inline_data fileData file_data"), "blob")
_CALLS = dict.fromkeys(_names("functionCall function_call functionResponse function_response"), "call")
_CODE = dict.fromkeys(
    _names("executableCode executable_code codeExecutionResult code_execution_result"), "code"
)
_OF_FUNCTIONS = _names(
    "parameters response parametersJsonSchema parameters_json_schema responseJsonSchema response_json_schema"
)
_OF_OUTPUT = _names(
    "responseSchema response_schema responseJsonSchema response_json_schema _responseJsonSchema"
)
_PLACES: Mapping[str, _Place] = {
    "body": _Place(
        _names("model cachedContent cached_content safetySettings safety_settings serviceTier service_tier"),
        fields=_CONTENT
        | dict.fromkeys(_names("requests generateContentRequest generate_content_request"), "body")
        | dict.fromkeys(_names("generationConfig generation_config"), "config")
        | dict.fromkeys(_names("toolConfig tool_config"), "options")
        | {"tools": "tool"},
    ),
    "content": _Place(labels=_names("role"), fields={"parts": "part"}),
    "part": _Place(_names("thoughtSignature thought_signature"), fields=_BLOBS | _CALLS | _CODE),
    "blob": _Place(_names("data mimeType mime_type fileUri file_uri")),
    "call": _Place(
        _names("id"), _names("name"), {"parts": "part", "args": "arguments", "response": "arguments"}
    ),
    "arguments": _Place(names="arguments"),
    "code": _Place(_names("id"), _names("language outcome")),
    "tool": _Place(fields=dict.fromkeys(_names("functionDeclarations function_declarations"), "function")),
    "function": _Place(labels=_names("name behavior"), fields=dict.fromkeys(_OF_FUNCTIONS, "schema")),
    "config": _Place(
        labels=_names(
            "responseModalities response_modalities responseMimeType response_mime_type mediaResolution "
            "media_resolution thinkingConfig thinking_config"
        ),
        fields=dict.fromkeys(_OF_OUTPUT, "schema"),
    ),
    "schema": _Place(
        labels=_names("type format required propertyOrdering property_ordering $ref"),
        fields=_SCHEMA | {"properties": "properties", "$defs": "properties", "definitions": "properties"},
    ),
    "properties": _Place(names="schema"),
    "options": _Place(names="options"),
}
_OTHER = _Place()
_TEXT_ONLY = {"text", "thought"}


def read(body: Any, place: str = "body") -> tuple[list[str], list[str]]:
    """Return the texts of a request in order, and its labels. `place` is for JSON that is a part of one, or neither."""
    texts: list[str] = []
    labels: list[str] = []

    def keep(text: str) -> str:
        texts.append(text)
        return text

    _Walk(keep, labels.append).value(body, place)
    return texts, labels


def replaced(body: Any, texts: Iterator[str], place: str = "body") -> Any:
    """Return a request with other texts in place of those that `read` has returned."""
    return _Walk(lambda _: next(texts), lambda _: None).value(body, place)


class _Walk(Struct, frozen=True):
    replace: Callable[[str], str]
    label: Callable[[str], None]

    def value(self, value: Any, place: str) -> Any:
        """Return JSON with its texts replaced."""
        if isinstance(value, str):
            if place == "options":
                self.label(value)
                return value
            return self.replace(value)
        if place == "arguments" and isinstance(value, int | float) and not isinstance(value, bool):
            self.label(str(value))  # a number is no text that could be replaced
            return value
        if isinstance(value, list):
            return self._list(value, place)
        if isinstance(value, dict):
            return self._object(value, place)
        return value

    def _object(self, value: dict[str, Any], place: str) -> dict[str, Any]:
        kind = _PLACES.get(place, _OTHER)
        result = {}
        for name, item in value.items():
            if name in kind.skipped:
                result[name] = item
                continue
            if kind is _OTHER or kind.names:
                self.label(name)
            result[name] = self.value(
                item, "options" if name in kind.labels else kind.fields.get(name, kind.names)
            )
        return result

    def _list(self, value: list[Any], place: str) -> list[Any]:
        """Return a list. Objects with `text` that follow each other have one text, which stands in the first."""
        result: list[Any] = []
        position = 0
        while position < len(value):
            end = position
            while end < len(value) and _text(value[end]) is not None and _alike(value[position], value[end]):
                end += 1
            if end - position < 2:
                result.append(self.value(value[position], place))
                position += 1
                continue
            group = value[position:end]
            before = "".join(item["text"] for item in group)
            after = self.replace(before)
            for number, item in enumerate(group):
                rest = {name: field for name, field in item.items() if name != "text"}
                text = item["text"] if after == before else after if number == 0 else ""
                if text or not item.keys() <= _TEXT_ONLY or after == before:
                    result.append(self._object(rest, place) | {"text": text})
            position = end
        return result


def _text(item: Any) -> str | None:
    text = item.get("text") if isinstance(item, dict) else None
    return text if isinstance(text, str) else None


def _alike(first: dict[str, Any], other: dict[str, Any]) -> bool:
    return bool(first.get("thought")) == bool(other.get("thought"))
