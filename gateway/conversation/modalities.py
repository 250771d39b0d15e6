"""Modalities: images and speech that a client asks for beside text, and the generationConfig for them."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from gateway.conversation.invalid import missing, unsupported_value
from gateway.conversation.voices import voice_config
from gateway.errors import UnsupportedParameter
from gateway.gemini.capabilities import Capabilities

_KNOWN = ("text", "image", "audio")


class ModalityRequest(Struct, frozen=True, gc=False):
    """The modalities that a client asks for."""

    names: Sequence[str] = ()
    """`text`, `image`, `audio`."""
    has_audio: bool = False
    """The client says how speech should sound."""
    voice: object = None
    audio_format: str | None = None
    at: str = "modalities"
    audio_at: str = "audio"


def modality_fields(wanted: ModalityRequest, capabilities: Capabilities) -> dict[str, Any]:
    """Return responseModalities and speechConfig. Raises BadRequest for what the model cannot make."""
    if not wanted.names and "audio" not in capabilities.output:
        return {}
    names = [name.lower() for name in wanted.names]
    unknown = next((name for name in names if name not in _KNOWN), None)
    if unknown is not None:
        raise unsupported_value(unknown, _KNOWN, wanted.at)
    if "audio" in capabilities.output:
        if "audio" in names and not wanted.has_audio:
            raise missing(wanted.audio_at)
        return {
            "response_modalities": ["AUDIO"],
            "speech_config": {
                "voiceConfig": voice_config(wanted.voice, capabilities, f"{wanted.audio_at}.voice")
            },
        }
    if "audio" in names:
        raise UnsupportedParameter(
            "This model does not generate audio; use a model whose name contains 'tts'.",
            param=wanted.at,
            code="unsupported_value",
        )
    if "image" not in names:
        return {}
    with_text = "text" in names or len(names) == 1
    return {"response_modalities": ["TEXT", "IMAGE"] if with_text else ["IMAGE"]}


def audio_format(wanted: ModalityRequest, capabilities: Capabilities) -> str | None:
    """Return the format to answer in: Gemini's samples as they are, or in a WAV file; None for no audio."""
    if "audio" not in capabilities.output:
        return None
    return "pcm16" if wanted.audio_format in ("pcm16", "pcm") else "wav"
