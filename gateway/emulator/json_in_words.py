"""JSON that the words of a prompt ask for: its schema, its keys, or an example of it.

Agents ask in words alone where they cannot rely on `response_format`, such as Qwen Code with a base URL of its user's.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

ANSWER = {"type": "object", "properties": {"answer": {"type": "string"}}}
"""Schema of an answer about which the words say no more than that it is JSON."""

_ONLY_JSON = re.compile(r"\b(?:only|exactly one|nothing but)\b[^.\n]{0,30}\bJSON\b|\bJSON response\b", re.I)
_AS_JSON = re.compile(
    r"\b(?:answer|respond|reply|outputs?|return|produce|generate|formatted)\b[^.\n]{0,60}\bJSON\b", re.I
)
"""As frameworks ask: "Output should be in JSON format" (Genkit), "formatted as a JSON instance" (LangChain), "Always
respond with a JSON object" (Pydantic AI), "You MUST answer with a JSON object" (AI SDK)."""
_BY_SCHEMA = re.compile(
    r"\b(?:adheres?|conforms?|according|match(?:es|ing)?|compatible|follow(?:ing)?)\b[^.\n]{0,40}\bschema\b",
    re.I,
)
"""Words before a schema (CrewAI: "strictly adheres to the following OpenAPI schema")."""
_MOST_WORDS = 4000
"""Characters up to which words alone ask for JSON: the long instructions of agents speak of it for other reasons."""

_NAME = r"[A-Za-z_][\w-]*"
_KEYS = re.compile(r"\bJSON\b([^.\n]*\b(?:keys?|fields?|propert(?:y|ies)|attributes?)\b[^.\n]*)", re.I)
"""A sentence that names keys: `one JSON object with keys "decision" and "reason"`, `with a single "title" key`."""
_QUOTED = re.compile(rf"[\"'`]({_NAME})[\"'`]")
_LISTED = re.compile(
    rf"\b(?:keys?|fields?|properties|attributes?):? ({_NAME}(?:, {_NAME})*(?:,? and {_NAME})?)", re.I
)
_OPTIONS = (
    r"(?:must be|is|should be|can be|:|=)\s*(?:either|one of|exactly)?:?\s*"
    r"((?:[\"'`][^\"'`\n]+[\"'`][\s,|/]*(?:or)?\s*){2,})"
)
_BOOLEAN = r"(?:must be|is|should be|:|=)\s*(?:an?\s+)?(?:bool(?:ean)?|true or false|true\s*[|/]\s*false)\b"
_NUMBER = r"(?:must be|is|should be|:|=)\s*(?:an?\s+)?(?:number|integer|score|int)\b"
_EXAMPLE = re.compile(r"\b(?:formats?|shape|structure|form|like|example|following)\b[^{}]{0,60}$", re.I)
_NEAR = 80
"""Characters before an example that may introduce it."""


def schema_in_words(words: str) -> Any:
    """Return the schema of the JSON that the words ask for; None if they ask for free text."""
    if _ONLY_JSON.search(words) or (len(words) <= _MOST_WORDS and _AS_JSON.search(words)):
        return described_schema(words)
    return _quoted_schema(words) if _AS_JSON.search(words) or _BY_SCHEMA.search(words) else None


def described_schema(words: str) -> Any:
    """Return the schema that words quote, of the keys that they name, or of their example; otherwise ANSWER."""
    return _quoted_schema(words) or _keyed_schema(words) or _example(words) or ANSWER


def _quoted_schema(words: str) -> Any:
    """Return the last JSON Schema that is written in the words; those before it are examples."""
    schemas = [
        value for _, value in _objects(words) if value.keys() & {"properties", "$ref", "anyOf", "enum"}
    ]
    return schemas[-1] if schemas else None


def _keyed_schema(words: str) -> Any:
    """Return the schema of an object whose keys a sentence names, with the values that other sentences allow."""
    for sentence in _KEYS.findall(words):
        listed = _LISTED.search(sentence)
        names = _QUOTED.findall(sentence) or (re.split(r",? and |, ", listed[1]) if listed else [])
        if names:
            return {"properties": {name: _values(name, words) for name in names}, "required": names}
    return None


def _values(name: str, words: str) -> dict[str, Any]:
    """Return the schema of one key: `decision must be "accept" or "reject"` allows two values."""
    key = rf"\b{re.escape(name)}[\"'`]?\s*"
    options = re.search(key + _OPTIONS, words, re.I)
    if options:
        return {"enum": re.findall(r"[\"'`]([^\"'`\n]+)[\"'`]", options[1])}
    if re.search(key + _BOOLEAN, words, re.I):
        return {"type": "boolean"}
    return {"type": "integer" if re.search(key + _NUMBER, words, re.I) else "string"}


def _example(words: str) -> Any:
    """Return a schema of the first object that stands after words such as "in one of these formats"."""
    for begin, value in _objects(words):
        if value and _EXAMPLE.search(words[max(0, begin - _NEAR) : begin]):
            return {"const": value}
    return None


def _objects(words: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the JSON objects in the words, each with its place; not those inside another one."""
    end = 0
    for begin in re.finditer(r"\{", words):
        if begin.start() < end:
            continue
        try:
            value, end = json.JSONDecoder().raw_decode(words, begin.start())
        except ValueError:
            continue
        yield begin.start(), value
