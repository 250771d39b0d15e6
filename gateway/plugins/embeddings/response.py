"""Gemini's vectors as OpenAI's list of embeddings."""

import base64
import math
import struct
from collections.abc import Iterable, Sequence

from gateway.gemini.resources import BatchEmbedContentsResponse, ContentEmbedding, EmbedContentResponse
from gateway.gemini.usage import token_counts
from gateway.plugins.embeddings.wire import Embedding, EmbeddingList, EmbeddingUsage, KeptLine

_TOLERANCE = 1e-3
"""Deviation from length 1 up to which a vector is left unchanged."""
_BYTES_PER_TOKEN = 4


def embedding_list(
    answers: Iterable[BatchEmbedContentsResponse],
    inputs: Sequence[str],
    model: str,
    encoding: str | None,
    *,
    unit_length: bool = True,
) -> EmbeddingList:
    """Return all vectors, numbered across batches, as numbers or as base64.

    `unit_length` scales them to length 1, as OpenAI's are; otherwise they are as Google sent them.
    """
    responses = list(answers)
    embeddings = [embedding for response in responses for embedding in response.embeddings]
    vectors = [unit(embedding) if unit_length else embedding.values for embedding in embeddings]
    base64_wanted = encoding == "base64"
    data = [Embedding(i, packed(v) if base64_wanted else v) for i, v in enumerate(vectors)]
    tokens = _tokens(responses, inputs)
    return EmbeddingList(data, model, EmbeddingUsage(tokens, tokens))


def batch_list(
    kept: KeptLine, answers: Sequence[EmbedContentResponse], *, unit_length: bool
) -> EmbeddingList:
    """Return the vectors of a line of a batch, one answer each."""
    responses = [BatchEmbedContentsResponse([answer.embedding], answer.usage_metadata) for answer in answers]
    result = embedding_list(responses, (), kept.model, kept.encoding, unit_length=unit_length)
    if any(answer.usage_metadata is None for answer in answers):
        result.usage = EmbeddingUsage(kept.tokens, kept.tokens)
    return result


def unit(embedding: ContentEmbedding) -> list[float]:
    """Return the vector scaled to length 1; a zero vector is returned unchanged.

    gemini-embedding-001 normalizes only its full 3,072 dimensions
    (https://ai.google.dev/gemini-api/docs/embeddings#quality-for-smaller-dimensions).
    """
    values = embedding.values
    length = math.sqrt(math.fsum(value * value for value in values))
    if length == 0 or abs(length - 1) <= _TOLERANCE:
        return values
    return [value / length for value in values]


def packed(values: Sequence[float]) -> str:
    """Return base64 of little-endian float32."""
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()


def _tokens(answers: Iterable[BatchEmbedContentsResponse], inputs: Sequence[str]) -> int:
    """Return Gemini's count of input tokens, or an estimate for models whose answer has no count."""
    counted = [answer.usage_metadata for answer in answers]
    if counted and all(usage is not None and usage.prompt_token_count is not None for usage in counted):
        return sum(token_counts(usage).input for usage in counted if usage is not None)
    return estimated(inputs)


def estimated(inputs: Iterable[str]) -> int:
    """Return the tokens of texts, roughly."""
    return sum(-(-len(text.encode()) // _BYTES_PER_TOKEN) for text in inputs)
