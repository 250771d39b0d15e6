"""Model records as OpenAI lists them, and as Anthropic does (translation.md F.1)."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from msgspec import UNSET

from gateway.gemini.resources import ModelRecord
from gateway.plugins.embeddings.wire import AnthropicModel, AnthropicModelList, Model, ModelList

_UNDATED = 1733961600
"""Google dates no model; OpenAI's field must be a number. The day Gemini 2 came."""


def model(record: ModelRecord) -> Model:
    """One of Google's models, without the prefix of its name."""
    return Model(
        record.name.removeprefix("models/"),
        _UNDATED,
        display_name=record.display_name or UNSET,
        context_window=record.input_token_limit or UNSET,
        max_output_tokens=record.output_token_limit or UNSET,
        supported_generation_methods=record.supported_generation_methods or UNSET,
        thinking=record.thinking if record.thinking is not None else UNSET,
    )


def with_aliases(models: Iterable[Model], aliases: Mapping[str, str]) -> list[Model]:
    """Google's models, and after them the operator's other names for them."""
    found = list(models)
    known = {one.id for one in found}
    return found + [Model(name, _UNDATED, owned_by="gateway") for name in aliases if name not in known]


def model_list(models: list[Model]) -> ModelList:
    return ModelList(models)


def anthropic_model(one: Model) -> AnthropicModel:
    created = datetime.fromtimestamp(one.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return AnthropicModel(one.id, one.display_name or one.id, created)


def anthropic_list(models: list[Model]) -> AnthropicModelList:
    """In one page: clients are content with it."""
    data = [anthropic_model(one) for one in models]
    return AnthropicModelList(data, data[0].id if data else None, data[-1].id if data else None)
