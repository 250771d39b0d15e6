"""Embeddings: vectors made from a hash of the text, and Google's refusals (https://ai.google.dev/api/embeddings)."""

import hashlib
import math
from typing import Any

from gateway.emulator.errors import RefusedError
from gateway.emulator.messages import decode
from gateway.emulator.request import text_of

_FULL = 3072
_MOST_REQUESTS = 100


def batch_embedded(model: str, body: Any) -> dict[str, Any]:
    """Return the answer of batchEmbedContents. Raises RefusedError."""
    requests = decode(body, "BatchEmbedContentsRequest").get("requests") or []
    if not requests:
        raise RefusedError("* BatchEmbedContentsRequest.requests: requests must not be empty")
    if len(requests) > _MOST_REQUESTS:
        raise RefusedError(
            f"* BatchEmbedContentsRequest.requests: at most {_MOST_REQUESTS} requests can be in one batch"
        )
    for i, request in enumerate(requests):
        if request.get("model") != f"models/{model}":
            raise RefusedError(f"* BatchEmbedContentsRequest.requests[{i}].model: must be models/{model}")
    return {"embeddings": [_embedding(model, request) for request in requests], **_usage(model, requests)}


def embedded(model: str, body: Any) -> dict[str, Any]:
    """Return the answer of embedContent. Raises RefusedError."""
    request = decode(body, "EmbedContentRequest")
    return {"embedding": _embedding(model, request), **_usage(model, [request])}


def vector(text: str, size: int, *, cut: bool) -> list[float]:
    """Return a unit vector for a text; with `cut`, the beginning of the full one, whose length is below 1."""
    raw = hashlib.shake_256(text.encode("utf-8", "replace")).digest(2 * _FULL)
    values = [int.from_bytes(raw[i : i + 2], "big") / 32768 - 1 for i in range(0, 2 * _FULL, 2)]
    length = math.hypot(*(values if cut else values[:size]))
    return [value / length for value in values[:size]]


def _embedding(model: str, request: dict[str, Any]) -> dict[str, Any]:
    least = 128 if model.endswith("-001") else 1
    size = request.get("outputDimensionality", _FULL)
    if not least <= size <= _FULL:
        raise RefusedError(
            f"* EmbedContentRequest.output_dimensionality: must be in the range [{least}, {_FULL}]"
        )
    text = text_of((request.get("content") or {}).get("parts") or [])
    if not text:
        raise RefusedError("* EmbedContentRequest.content: content is empty")
    return {"values": vector(text, size, cut=model.endswith("-001"))}


def _usage(model: str, requests: list[dict[str, Any]]) -> dict[str, Any]:
    """Return usageMetadata; gemini-embedding-001 sends none (recorded traffic)."""
    if model.endswith("-001"):
        return {}
    size = sum(len(text_of(request["content"]["parts"]).encode()) for request in requests)
    return {"usageMetadata": {"promptTokenCount": -(-size // 4)}}
