"""Rewrites of a request that say the same to Gemini in another way. Each returns new values and changes none."""

from collections.abc import Sequence

import msgspec
from msgspec import structs

from gateway.gemini.wire import Content, GenerationConfig, Part


def without_json_mode(config: GenerationConfig) -> GenerationConfig:
    """Return the config without JSON mode and its schema."""
    return structs.replace(config, response_mime_type=None, response_json_schema=None, response_schema=None)


def json_instruction(config: GenerationConfig, *, beside_tools: bool) -> Part:
    """Return an instruction that asks for the JSON that the config's JSON mode asks for."""
    schema = config.response_json_schema or config.response_schema
    when = "When you answer without calling a tool, answer" if beside_tools else "Answer"
    matching = f" matching this JSON Schema: {msgspec.json.encode(schema).decode()}" if schema else ""
    return Part(text=f"{when} only with a JSON value{matching}, without code fences or other text.")


def maps_json_format(config: GenerationConfig) -> GenerationConfig:
    """Return the config with JSON mode as `responseFormat`, the only way beside the Google Maps tool."""
    wanted = {"mimeType": "APPLICATION_JSON", "schema": config.response_json_schema or config.response_schema}
    text = {key: value for key, value in wanted.items() if value is not None}
    return structs.replace(without_json_mode(config), response_format={"text": text})


def instructed(contents: Sequence[Content], system: Sequence[Part]) -> list[Content]:
    """Return the turns with the system instruction as the first thing the user says, before a blank line.

    Gemma and image models refuse `systemInstruction` ("Developer instruction is not enabled for this model").
    """
    first, *rest = contents
    words = [*system, Part(text="\n\n")]
    if first.role == "user" and not any(part.function_response for part in first.parts or ()):
        return [Content([*words, *(first.parts or ())], "user"), *rest]
    return [Content(words, "user"), *contents]
