"""Model lists as OpenAI and as Anthropic define them.

OpenAI: https://platform.openai.com/docs/api-reference/models/list
Anthropic: https://docs.anthropic.com/en/api/models-list
"""

from typing import Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType


class Model(Struct, gc=False):
    """One model in OpenAI's shape. The fields after `object` are not OpenAI's; its SDKs keep them as extras."""

    id: str
    created: int
    owned_by: str = "google"
    object: Literal["model"] = "model"
    display_name: str | UnsetType = UNSET
    context_window: int | UnsetType = UNSET
    """Tokens of input."""
    max_output_tokens: int | UnsetType = UNSET
    supported_generation_methods: list[str] | UnsetType = UNSET
    thinking: bool | UnsetType = UNSET


class ModelList(Struct, gc=False):
    """OpenAI's list of models, which has no pages."""

    data: list[Model]
    object: Literal["list"] = "list"


class AnthropicModel(Struct, gc=False):
    """One model in Anthropic's shape, for clients that send `anthropic-version`."""

    id: str
    display_name: str
    created_at: str
    """RFC 3339."""
    type: Literal["model"] = "model"


class AnthropicModelList(Struct, gc=False):
    """Anthropic's list of models, always as one page."""

    data: list[AnthropicModel]
    first_id: str | None
    last_id: str | None
    has_more: bool = False


encode = msgspec.json.Encoder().encode
