"""The most that a native call costs, read from its decoded body.

Names may be in camelCase or snake_case, and a number may be a string
(https://protobuf.dev/programming-guides/json/). A limit that is not understood counts as none.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.exchange.calls.cost import (
    MOST_INPUT,
    MOST_SEARCHES,
    PICTURE_INPUT,
    SEARCHES,
    UNKNOWN_COST,
    CostEstimate,
    ModelOutput,
    attachment,
    feature_name,
    price_factor,
    tier,
    tool_input,
)
from gateway.policy.models.pricing import Tier

_MOST_CANDIDATES = 8
"""Gemini's limit for `candidateCount`."""
_PICTURE_TOKENS = 1_290
"""Tokens that a picture of Imagen counts as: those of gemini-2.5-flash-image (https://ai.google.dev/gemini-api/docs/pricing)."""
_DEFAULT_PICTURES = 4
"""Imagen's pictures of a prompt without `sampleCount` (https://ai.google.dev/gemini-api/docs/imagen)."""
_MOST_PICTURES = 1_000
_COUNT = re.compile(r"\d{1,9}(?:\.0+)?")
_SNAKE = re.compile(r"_([a-z])")


def call_cost(method: str, body: Any, size: int, model: ModelOutput) -> CostEstimate:
    """Return the most that a method costs. `size` is the body's in bytes; counting tokens is free."""
    if method == "countTokens":
        return UNKNOWN_COST
    if method == "predict":
        return CostEstimate(size, _pictures(body) * _PICTURE_TOKENS)
    encoded, pictures, heard = _attachments(body)
    inputs, searches = size - encoded + pictures + heard, 0
    for name in _tools(body):
        inputs += tool_input(name)
        searches = MOST_SEARCHES if name in SEARCHES else searches
    output = _output(body, model) if method in ("generateContent", "streamGenerateContent") else 0
    return CostEstimate(size - encoded, output, inputs, heard, searches)


def tools(body: Any) -> set[str]:
    """Return the names of the tools in camelCase, also those of a request whose tokens are counted."""
    inner = values(body, "generateContentRequest")
    return {name for message in (body, *inner) for name in _tools(message)}


def factor(body: Any) -> int:
    """Return how many times the standard price the service tier of a request costs."""
    return max(map(price_factor, values(body, "serviceTier")), default=1)


def service_tier(body: Any) -> Tier | None:
    """Return the tier of service that a request asks for; None where it is not understood, or given twice."""
    tiers = list(values(body, "serviceTier"))
    return tier(tiers[0]) if len(tiers) == 1 else None


def feature(method: str, body: Any) -> str:
    """Return the name of what a call uses that has a quota of its own, "" for nothing."""
    if method not in ("generateContent", "streamGenerateContent"):
        return method
    listed = [v for config in _configs(body) for v in values(config, "responseModalities")]
    modalities = [str(item).upper() for v in listed for item in (v if isinstance(v, list) else [v])]
    return feature_name(_tools(body), modalities)


def candidates(body: Any) -> int:
    """Return the number of candidates that a request asks for."""
    counts = [n for config in _configs(body) for n in numbers(config, "candidateCount", _MOST_CANDIDATES)]
    return max(1, *counts, 1)


def _output(body: Any, model: ModelOutput) -> int:
    """Return the most tokens of all candidates."""
    configs = list(_configs(body)) or [{}]
    limits = [
        n or model.tokens for config in configs for n in numbers(config, "maxOutputTokens", model.tokens)
    ]
    limit = max(limits, default=model.tokens)
    # of two spellings of a field, either may count
    limit = max(model.most(limit, asked) for config in configs for asked in _modalities(config))
    for config in configs:
        for thinking in values(config, "thinkingConfig"):
            limit += max(numbers(thinking, "thinkingBudget", 0), default=0)
    return limit * candidates(body)


def _modalities(config: Any) -> list[list[Any]]:
    """Return the values of `responseModalities`; an empty one where there is none."""
    listed = [[] if value is None else value for value in values(config, "responseModalities")]
    return [value if isinstance(value, list) else [value] for value in listed] or [[]]


def _pictures(body: Any) -> int:
    prompts = max((len(value) for value in values(body, "instances") if isinstance(value, list)), default=1)
    samples = [
        count
        for parameters in values(body, "parameters")
        for name in ("sampleCount", "numberOfImages")
        for count in numbers(parameters, name, _MOST_PICTURES)
    ]
    return max(1, prompts) * max(samples, default=_DEFAULT_PICTURES)


def _attachments(body: Any) -> tuple[int, int, int]:
    """Return the bytes of base64 that are not text, the most tokens of pictures, and those of all other attachments."""
    encoded = pictures = others = 0
    waiting = [body]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += [item for item in value if isinstance(item, dict | list)]
        elif isinstance(value, dict):
            for name, inner in value.items():
                if name in ("inlineData", "inline_data") and isinstance(inner, dict):
                    kinds = [str(kind) for kind in values(inner, "mimeType")] or [""]
                    tokens = max(map(attachment, kinds))
                    pictures += tokens if tokens == PICTURE_INPUT else 0
                    others += tokens if tokens != PICTURE_INPUT else 0
                    encoded += len(str(inner.get("data", ""))) if tokens else 0
                elif name in ("fileData", "file_data", "cachedContent", "cached_content"):
                    others += MOST_INPUT
                elif isinstance(inner, dict | list):
                    waiting.append(inner)
    return encoded, pictures, others


def _configs(body: Any) -> Iterator[Any]:
    yield from values(body, "generationConfig")


def _tools(body: Any) -> Iterator[str]:
    """Yield the names of the tools in camelCase."""
    for tools in values(body, "tools"):
        for tool in tools if isinstance(tools, list) else [tools]:
            if isinstance(tool, dict):
                yield from (camel(name) for name in tool)


def values(message: Any, name: str) -> Iterator[Any]:
    """Yield the values of a field in either spelling. `name` is in camelCase."""
    if isinstance(message, Mapping):
        yield from (value for field, value in message.items() if camel(field) == name)


def numbers(message: Any, name: str, unknown: int) -> Iterator[int]:
    """Yield the counts in a field; `unknown` for one that is not a count, nothing for null."""
    for value in values(message, name):
        if value is not None:
            text = str(value)
            is_count = not isinstance(value, bool) and _COUNT.fullmatch(text)
            yield int(float(text)) if is_count else unknown


def camel(name: str) -> str:
    return _SNAKE.sub(lambda match: match[1].upper(), name) if "_" in name else name
