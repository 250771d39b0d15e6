"""Google's model records in OpenAI's and Anthropic's shapes."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from msgspec import UNSET

from gateway.gemini.resources import ModelRecord
from gateway.plugins.models.wire import AnthropicModel, AnthropicModelList, Model, ModelList

_CREATED = 1733961600
"""The release day of Gemini 2.0. OpenAI's `created` must be a number, and Google's records have no date."""


def model(record: ModelRecord) -> Model:
    """Return Google's record in OpenAI's shape, its id without the `models/` prefix."""
    return Model(
        record.name.removeprefix("models/"),
        _CREATED,
        display_name=record.display_name or UNSET,
        context_window=record.input_token_limit or UNSET,
        max_output_tokens=record.output_token_limit or UNSET,
        supported_generation_methods=record.supported_generation_methods or UNSET,
        thinking=record.thinking if record.thinking is not None else UNSET,
    )


def with_aliases(models: Iterable[Model], aliases: Mapping[str, str]) -> list[Model]:
    """Return the models, followed by one entry for each alias that is not the id of a model."""
    listed = list(models)
    ids = {entry.id for entry in listed}
    return listed + [Model(name, _CREATED, owned_by="gateway") for name in aliases if name not in ids]


def anthropic_model(entry: Model) -> AnthropicModel:
    """Return a model in Anthropic's shape; the id stands in for a missing display name."""
    created = datetime.fromtimestamp(entry.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return AnthropicModel(entry.id, entry.display_name or entry.id, created)


def model_list(models: list[Model], *, anthropic: bool) -> ModelList | AnthropicModelList:
    """Return the list that the client's SDK expects."""
    if not anthropic:
        return ModelList(models)
    data = [anthropic_model(entry) for entry in models]
    return AnthropicModelList(data, data[0].id if data else None, data[-1].id if data else None)
