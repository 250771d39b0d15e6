"""Models of other kinds than chat: the default of a kind, and the refusal of a model of another kind."""

from collections.abc import Callable
from typing import Literal

from msgspec import structs

from gateway.errors import BadRequest, scrub
from gateway.gemini.capabilities import Capabilities
from gateway.policy.models.catalog import ModelRoute, ModelsConfig

MediaKind = Literal["image", "speech", "transcription", "live", "video"]
"""Kinds of models with endpoints and a default of their own; `models` has a setting of each name."""

PURPOSES: dict[MediaKind, str] = {
    "image": "generate images",
    "speech": "generate speech",
    "transcription": "transcribe audio",
    "live": "hold live sessions",
    "video": "generate videos",
}
"""The work of each kind, as it follows "does not" in an error."""


def default_model(models: ModelsConfig, kind: MediaKind) -> str:
    """Return the default model of a kind."""
    return models.defaults[kind]


def of_kind(
    route: ModelRoute, kind: MediaKind, models: ModelsConfig, capabilities: Callable[[str], Capabilities]
) -> ModelRoute:
    """Return the route of a model of a kind: the default of the kind in place of a model that Google has shut down.

    Raises BadRequest for a model of another kind: Google would bill a chat model that cannot draw.
    """
    known, default = capabilities(route.model), default_model(models, kind)
    if known.kind != kind:
        raise BadRequest(
            f"The model `{scrub(route.model)[:80]}` does not {PURPOSES[kind]}. Use a model that does, such as "
            f"`{default}`.",
            param="model",
            code="model_not_supported",
        )
    if known.retired and route.model != default:
        return structs.replace(route, model=default, substituted=True)
    return route
