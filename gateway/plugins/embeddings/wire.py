"""OpenAI's embeddings messages (https://platform.openai.com/docs/api-reference/embeddings)."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

TokenIds = list[int]

MOST_TITLE = 2048
"""Characters of `title`, which is sent once for each text."""
TASK_TYPES = (
    "TASK_TYPE_UNSPECIFIED",
    "RETRIEVAL_QUERY",
    "RETRIEVAL_DOCUMENT",
    "SEMANTIC_SIMILARITY",
    "CLASSIFICATION",
    "CLUSTERING",
    "QUESTION_ANSWERING",
    "FACT_VERIFICATION",
    "CODE_RETRIEVAL_QUERY",
)
"""Values of `taskType` (https://ai.google.dev/api/embeddings#v1beta.TaskType)."""


class EmbeddingExtras(Struct, gc=False):
    """Gemini's options, sent at the top level, under `google`, or under `extra_body.google`."""

    task_type: str | None = None
    title: str | None = None


class ExtraBody(Struct, gc=False):
    google: EmbeddingExtras | None = None


class EmbeddingRequest(Struct, gc=False):
    input: str | list[str | int | TokenIds]
    model: str | None = None
    dimensions: Annotated[int, Meta(ge=1, le=65536)] | None = None
    encoding_format: str | None = None
    task_type: str | None = None
    title: str | None = None
    google: EmbeddingExtras | None = None
    extra_body: ExtraBody | None = None


class Embedding(Struct, gc=False):
    index: int
    embedding: list[float] | str
    """Numbers, or base64 of little-endian float32."""
    object: Literal["embedding"] = "embedding"


class EmbeddingUsage(Struct, gc=False):
    prompt_tokens: int
    total_tokens: int


class EmbeddingList(Struct, gc=False):
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage
    object: Literal["list"] = "list"


class KeptLine(Struct, gc=False):
    """The part of a batch's line that reads its answer."""

    model: str
    encoding: str | None
    tokens: int
    """Of the texts, roughly: some models count none."""


decode_request = msgspec.json.Decoder(EmbeddingRequest).decode
encode = msgspec.json.Encoder().encode
decode_kept = msgspec.json.Decoder(KeptLine).decode
