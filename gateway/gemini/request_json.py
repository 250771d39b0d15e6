"""Gemini's request as plain JSON, in which plugins read and change it."""

from collections.abc import Iterator
from typing import Any

import msgspec

from gateway.gemini.wire import GenerateContentRequest, GenerationConfig, encode_json

JsonObject = dict[str, Any]
_SPELLINGS = {
    name: encoded
    for struct in (GenerateContentRequest, GenerationConfig)
    for name, encoded in zip(struct.__struct_fields__, struct.__struct_encode_fields__, strict=True)
}
"""Names in snake_case, which Google accepts too (https://protobuf.dev/programming-guides/json/), and in camelCase."""
_decode = msgspec.json.Decoder(GenerateContentRequest).decode


def read_request(body: JsonObject) -> GenerateContentRequest:
    """Return a request as typed messages. Raises ValueError for fields that are not known, or of wrong types."""
    try:
        request = _decode(encode_json(body))
    except msgspec.DecodeError as error:
        raise ValueError(f"not a Gemini request: {error}") from None
    if unknown := list(_lost(body, msgspec.json.decode(encode_json(request)), "")):
        raise ValueError(f"unknown fields of a Gemini request: {', '.join(unknown)}")
    return request


def _lost(before: Any, after: Any, at: str) -> Iterator[str]:
    """Yield the paths of what typed messages do not keep. They leave out empty texts and nulls."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name, value in before.items():
            if name in after:
                yield from _lost(value, after[name], f"{at}{name}.")
            elif value not in (None, ""):
                yield f"{at}{name}"
    elif isinstance(before, list) and isinstance(after, list):
        for i, (value, kept) in enumerate(zip(before, after, strict=False)):
            yield from _lost(value, kept, f"{at}{i}.")


def canonical(body: JsonObject) -> JsonObject:
    """Return a client's own Gemini request in one spelling: names in camelCase, turns and parts as lists.

    Google also takes names in snake_case and a single object in place of a list. Nested objects beside turns and parts
    stay as they are. Where a field comes in both spellings, both are left for Google to refuse.
    """
    result = _renamed(body)
    if isinstance(contents := result.get("contents"), dict):
        result["contents"] = [contents]
    if isinstance(contents := result.get("contents"), list):
        result["contents"] = [_content(item) for item in contents]
    if "systemInstruction" in result:
        result["systemInstruction"] = _content(result["systemInstruction"])
    if isinstance(options := result.get("generationConfig"), dict):
        result["generationConfig"] = _renamed(options)
    return result


def _renamed(value: JsonObject) -> JsonObject:
    names = {name: _SPELLINGS.get(name, name) for name in value}
    return {name if other in value else other: value[name] for name, other in names.items()}


def _content(value: Any) -> Any:
    if isinstance(value, dict) and isinstance(value.get("parts"), dict):
        return value | {"parts": [value["parts"]]}
    return value
