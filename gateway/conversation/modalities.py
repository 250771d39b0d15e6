"""Modalities: images and speech that a client asks for beside text, and the generationConfig for them."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from gateway.conversation.invalid import missing, unsupported_value
from gateway.errors import BadRequest, UnsupportedParameter
from gateway.gemini.capabilities import Capabilities

VOICES = {
    "alloy": "Kore", "ash": "Iapetus", "ballad": "Algieba", "cedar": "Achird", "coral": "Sulafat",
    "echo": "Charon", "fable": "Umbriel", "marin": "Despina", "nova": "Kore", "onyx": "Orus",
    "sage": "Vindemiatrix", "shimmer": "Achernar", "verse": "Puck",
}  # fmt: skip
"""OpenAI's voices to Gemini's."""
_NAMES = (
    "Achernar", "Achird", "Algenib", "Algieba", "Alnilam", "Aoede", "Autonoe", "Callirrhoe", "Charon", "Despina",
    "Enceladus", "Erinome", "Fenrir", "Gacrux", "Iapetus", "Kore", "Laomedeia", "Leda", "Orus", "Puck", "Pulcherrima",
    "Rasalgethi", "Sadachbia", "Sadaltager", "Schedar", "Sulafat", "Umbriel", "Vindemiatrix", "Zephyr", "Zubenelgenubi",
)  # fmt: skip
"""Gemini's own voices (https://ai.google.dev/gemini-api/docs/speech-generation#voices), whose case counts."""
_VOICES = {name.lower(): name for name in _NAMES} | VOICES
_CUSTOM = ("voice_", "voicekey_")
"""Beginnings of the ids of custom voices."""
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
            "speech_config": {"voiceConfig": _voice(wanted, capabilities)},
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


def _voice(wanted: ModalityRequest, capabilities: Capabilities) -> dict[str, Any]:
    """Return the voiceConfig. Ids of the voice library and of custom voices stay as they are."""
    name = wanted.voice
    if isinstance(name, dict) and isinstance(name.get("id"), str) and name["id"].startswith(_CUSTOM):
        name = name["id"]
    if name is None or name == "":
        name = "alloy"
    if not isinstance(name, str) or (name.startswith(_CUSTOM) and not capabilities.voice_library):
        raise BadRequest(
            "Custom voices are not supported here; give the name of a voice"
            + (", or the id of a voice of Gemini's ('voice_…')." if capabilities.voice_library else "."),
            param=f"{wanted.audio_at}.voice",
        )
    known = _VOICES.get(name.lower())
    if known is None and capabilities.voice_library:
        return {"voice": name}
    return {"prebuiltVoiceConfig": {"voiceName": known or name}}
