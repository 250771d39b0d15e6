"""Kinds of models: the default of each, names of other vendors, and the refusal of a model of another kind."""

import pytest

from gateway.config.capabilities import shipped
from gateway.errors import BadRequest
from gateway.gemini.capabilities import CapabilityTable
from gateway.policy.models.catalog import Catalog, ModelRoute, ModelsConfig
from gateway.policy.models.model_kinds import MediaKind, default_model, of_kind

TABLE = CapabilityTable(shipped())
MODELS = ModelsConfig(aliases={"draw": "gemini-3-pro-image", "chat": "gemini-2.5-pro"})


def route(name: str | None, kind: MediaKind) -> ModelRoute:
    default = default_model(MODELS, kind)
    return of_kind(Catalog(MODELS).resolve(name, default), kind, MODELS, TABLE.of)


@pytest.mark.parametrize(
    ("kind", "names", "model"),
    [
        (
            "image",
            "dall-e-3 gpt-image-1.5 chatgpt-image-latest imagen-4.0-generate-001",
            "gemini-nano-banana-2.1",
        ),
        ("speech", "tts-1 tts-1-hd gpt-4o-mini-tts", "gemini-3.8-flash-lite-tts"),
        ("transcription", "whisper-1 gpt-transcribe gpt-4o-transcribe-diarize", "gemini-3.5-transcribe"),
        ("live", "gpt-realtime gpt-realtime-mini", "gemini-3.8-live"),
        ("video", "sora-2 sora-2-pro veo-3.1-generate-preview", "gemini-omni-1.2-flash"),
    ],
)
def test_names_of_other_vendors_and_of_retired_models_become_the_default(
    kind: MediaKind, names: str, model: str
) -> None:
    assert {name: route(name, kind) for name in names.split()} == dict.fromkeys(
        names.split(), ModelRoute(model, substituted=True)
    )
    assert route(None, kind) == ModelRoute(model)


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("image", "gemini-2.5-flash-image gemini-3.1-flash-lite-image nano-banana-pro-preview draw"),
        ("speech", "gemini-3.8-flash-tts gemini-2.5-pro-preview-tts"),
        ("transcription", "gemini-3.5-transcribe"),
        (
            "live",
            "gemini-3.8-live-extended-thinking gemini-live-2.5-flash-preview gemini-3.5-transcribe-live",
        ),
        ("video", "gemini-omni-1.1-flash"),
    ],
)
def test_a_model_of_the_kind_stays(kind: MediaKind, names: str) -> None:
    for name in names.split():
        assert route(name, kind) == ModelRoute(MODELS.aliases.get(name, name))


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("image", "gemini-3.8-flash"),
        ("image", "gemini-3.8-flash-tts"),
        ("image", "chat"),
        ("image", "gemini-embedding-2"),
        ("image", "tunedModels/mine"),
        ("speech", "gemini-3-pro-image"),
        ("speech", "gemini-2.5-flash-native-audio-latest"),
        ("transcription", "gemini-3.5-transcribe-live"),
        ("transcription", "lyria-3.5"),
        ("live", "gemini-3.5-transcribe"),
        ("video", "gemini-nano-banana-2.1"),
        ("video", "deep-research-pro-04-2026"),
    ],
)
def test_a_model_of_another_kind_is_refused_with_one_that_fits(kind: MediaKind, name: str) -> None:
    with pytest.raises(BadRequest) as caught:
        route(name, kind)

    error = caught.value
    assert (error.status, error.param, error.code) == (400, "model", "model_not_supported")
    assert f"`{MODELS.aliases.get(name, name)}`" in error.message
    assert f"such as `{default_model(MODELS, kind)}`" in error.message


def test_the_default_of_each_kind_is_of_that_kind() -> None:
    defaults = ModelsConfig().defaults
    kinds = {"default": "chat", "embeddings": "embedding"}

    assert {name: TABLE.of(model).kind for name, model in defaults.items()} == {
        name: kinds.get(name, name) for name in defaults
    }
