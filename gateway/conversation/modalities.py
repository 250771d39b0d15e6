"""What a model answers in besides text: images and speech (translation.md A.7, C.8, H.4)."""

from gateway.errors import BadRequest, UnsupportedParameter
from gateway.gemini.capabilities import Capabilities
from gateway.gemini.wire import GenerationConfig
from gateway.plugins.chat.wire import ChatRequest

VOICES = {
    "alloy": "Kore", "ash": "Iapetus", "ballad": "Algieba", "cedar": "Achird", "coral": "Sulafat",
    "echo": "Charon", "fable": "Umbriel", "marin": "Despina", "nova": "Kore", "onyx": "Orus",
    "sage": "Vindemiatrix", "shimmer": "Achernar", "verse": "Puck",
}  # fmt: skip
"""OpenAI's voices to Gemini's; any other name is taken for one of Gemini's own."""
_KNOWN = ("text", "image", "audio")


def ask(body: ChatRequest, abilities: Capabilities, config: GenerationConfig) -> None:
    """responseModalities and speechConfig. Raises BadRequest for what the model cannot make."""
    if not body.modalities and abilities.output == ("text",):
        return
    wanted = [name.lower() for name in body.modalities or ()]
    strange = next((name for name in wanted if name not in _KNOWN), None)
    if strange is not None:
        raise BadRequest(f"unknown modality {strange[:40]!r}; known: {', '.join(_KNOWN)}", param="modalities")
    if "audio" in abilities.output:
        config.response_modalities = ["AUDIO"]
        config.speech_config = {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": _voice(body)}}}
    elif "audio" in wanted:
        raise UnsupportedParameter(
            "this model does not speak; ask one whose name has `tts`",
            param="modalities",
            code="unsupported_value",
        )
    elif "image" in wanted:
        config.response_modalities = ["TEXT", "IMAGE"] if "text" in wanted or len(wanted) == 1 else ["IMAGE"]


def _voice(body: ChatRequest) -> str:
    if body.modalities and "audio" in body.modalities and body.audio is None:
        raise BadRequest("`audio` is required when `modalities` has audio", param="audio")
    voice = body.audio.voice if body.audio is not None else None
    if voice is None:
        return VOICES["alloy"]
    if not isinstance(voice, str):
        raise BadRequest("custom voices are not known here; give a name", param="audio.voice")
    return VOICES.get(voice.lower(), voice[:1].upper() + voice[1:].lower())


def wanted_format(body: ChatRequest, abilities: Capabilities) -> str | None:
    """The audio format to answer in: Gemini's samples as they are, or in a WAV file."""
    if "audio" not in abilities.output:
        return None
    return "pcm16" if body.audio is not None and body.audio.format in ("pcm16", "pcm") else "wav"
