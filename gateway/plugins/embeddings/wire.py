"""OpenAI's embeddings and model lists."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

TokenIds = list[int]


class EmbeddingExtras(Struct, gc=False):
    """Gemini's own options, at the top or under `extra_body.google`."""

    task_type: str | None = None
    title: str | None = None


class ExtraBody(Struct, gc=False):
    google: EmbeddingExtras | None = None


class EmbeddingRequest(Struct, gc=False):
    input: str | list[str | int | TokenIds]
    model: str | None = None
    dimensions: Annotated[int, Meta(ge=1, le=65536)] | None = None
    encoding_format: Literal["float", "base64"] | None = None
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


class Model(Struct, gc=False):
    """A model; the fields after `owned_by` are ours, and harmless."""

    id: str
    created: int
    owned_by: str = "google"
    object: Literal["model"] = "model"
    display_name: str | UnsetType = UNSET
    context_window: int | UnsetType = UNSET
    max_output_tokens: int | UnsetType = UNSET
    supported_generation_methods: list[str] | UnsetType = UNSET
    thinking: bool | UnsetType = UNSET


class ModelList(Struct, gc=False):
    data: list[Model]
    object: Literal["list"] = "list"


class AnthropicModel(Struct, gc=False):
    """The same in Anthropic's shape, for clients that say `anthropic-version`."""

    id: str
    display_name: str
    created_at: str
    type: Literal["model"] = "model"


class AnthropicModelList(Struct, gc=False):
    data: list[AnthropicModel]
    first_id: str | None
    last_id: str | None
    has_more: bool = False


decode_embedding_request = msgspec.json.Decoder(EmbeddingRequest).decode
encode = msgspec.json.Encoder().encode
