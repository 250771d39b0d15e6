"""Embeddings: texts to Gemini's batches, its vectors to OpenAI's list (translation.md F.3)."""

import base64
import math
import struct
from collections.abc import Callable, Iterable, Sequence

from gateway.conversation.field_policy import Policy
from gateway.errors import BadRequest
from gateway.gemini.resources import (
    BatchEmbedContentsRequest,
    BatchEmbedContentsResponse,
    ContentEmbedding,
    EmbedContentRequest,
)
from gateway.gemini.usage import token_counts
from gateway.gemini.wire import Content, Part
from gateway.plugins.embeddings.wire import (
    Embedding,
    EmbeddingExtras,
    EmbeddingList,
    EmbeddingRequest,
    EmbeddingUsage,
)

BATCH = 100
"""Texts that Gemini takes at once (translation.md J.39)."""
MOST_INPUTS = 2048
"""As OpenAI has it."""
_UNIT = 1e-3
"""How far from 1 a vector's length may be before it is brought there."""

EMBEDDINGS: dict[str, Policy] = {
    "input": Policy(
        "mapped",
        "a text, or a list of texts, 100 a call; token ids as text where the operator allows it, else a 400",
    ),
    "model": Policy("mapped", "URL path; other vendors' names become `models.embeddings`"),
    "dimensions": Policy(
        "mapped", "`outputDimensionality`; vectors are brought to unit length (`unit_length`)"
    ),
    "encoding_format": Policy("emulated", "base64 of little-endian float32, the SDK's own default"),
    "task_type": Policy("mapped", "`taskType` (not OpenAI's)"),
    "title": Policy("mapped", "`title` (not OpenAI's)"),
    "google": Policy("mapped", "`task_type` and `title`"),
    "extra_body": Policy("mapped", "the literal key some SDKs send; `extra_body.google` is `google`"),
    "user": Policy("ignored", "Gemini has no end-user id"),
}
"""`POST /v1/embeddings`."""


Tokens = Callable[[list[int]], str]
"""Turns token ids of another vendor back into text. Raises ValueError for one that is no token."""


def texts(body: EmbeddingRequest, tokens: Tokens | None = None) -> list[str]:
    """The inputs. Raises BadRequest for none, for empty ones, and for token ids that cannot be read."""
    given: Sequence[str | int | list[int]] = [body.input] if isinstance(body.input, str) else body.input
    ids = [one for one in given if isinstance(one, int)]
    if ids and len(ids) == len(given):
        given = [ids]
    if not given:
        raise BadRequest("at least one text is needed", param="input")
    if len(given) > MOST_INPUTS:
        raise BadRequest(f"at most {MOST_INPUTS} texts, got {len(given)}", param="input")
    found: list[str] = []
    for i, one in enumerate(given):
        param = "input" if len(given) == 1 else f"input[{i}]"
        text = one if isinstance(one, str) else _untokenized(one, tokens, param)
        if not text:
            raise BadRequest("an empty text has no embedding", param=param)
        found.append(text)
    return found


def _untokenized(ids: int | list[int], tokens: Tokens | None, param: str) -> str:
    if tokens is None or isinstance(ids, int):
        raise BadRequest(
            "token arrays are not supported, because Gemini has other tokens: send texts "
            "(LangChain: OpenAIEmbeddings(check_embedding_ctx_length=False))",
            param="input",
            code="invalid_type",
        )
    try:
        return tokens(ids)
    except ValueError as error:
        raise BadRequest(str(error), param=param) from None


def to_gemini(body: EmbeddingRequest, inputs: Sequence[str], model: str) -> list[BatchEmbedContentsRequest]:
    """Batches in the order of the texts."""
    nested = body.extra_body.google if body.extra_body is not None else None
    extras = nested or body.google or EmbeddingExtras()
    requests = [
        EmbedContentRequest(
            f"models/{model}",
            Content([Part(text=text)]),
            body.dimensions,
            extras.task_type or body.task_type,
            extras.title or body.title,
        )
        for text in inputs
    ]
    return [BatchEmbedContentsRequest(requests[i : i + BATCH]) for i in range(0, len(requests), BATCH)]


def embedding_list(
    answers: Iterable[BatchEmbedContentsResponse],
    inputs: Sequence[str],
    model: str,
    encoding: str | None,
    *,
    unit_length: bool = True,
) -> EmbeddingList:
    """All vectors, numbered through, of unit length as OpenAI's are, or as Google sent them."""
    found = list(answers)
    given = [embedding for answer in found for embedding in answer.embeddings]
    vectors = [unit(embedding) if unit_length else embedding.values for embedding in given]
    base64_wanted = encoding == "base64"
    data = [Embedding(i, packed(v) if base64_wanted else v) for i, v in enumerate(vectors)]
    tokens = _tokens(found, inputs)
    return EmbeddingList(data, model, EmbeddingUsage(tokens, tokens))


def unit(embedding: ContentEmbedding) -> list[float]:
    """A vector of length 1; gemini-embedding-001 leaves shortened ones at 0.57 (translation.md F.3)."""
    values = embedding.values
    length = math.sqrt(math.fsum(value * value for value in values))
    if length == 0 or abs(length - 1) <= _UNIT:
        return values
    return [value / length for value in values]


def packed(values: Sequence[float]) -> str:
    """Base64 of little-endian float32."""
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()


def _tokens(answers: Iterable[BatchEmbedContentsResponse], inputs: Sequence[str]) -> int:
    """What Gemini counted; older models count nothing, so about four bytes make a token."""
    counted = [answer.usage_metadata for answer in answers]
    if counted and all(usage is not None and usage.prompt_token_count is not None for usage in counted):
        return sum(token_counts(usage).input for usage in counted if usage is not None)
    return sum(-(-len(text.encode()) // 4) for text in inputs)
