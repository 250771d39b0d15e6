"""Voices: OpenAI's names, Gemini's own, and the ids of its voice library, as Gemini's voiceConfig."""

from collections.abc import Mapping
from typing import Any

from gateway.errors import BadRequest
from gateway.gemini.capabilities import Capabilities

OPENAI = {
    "alloy": "Kore", "ash": "Iapetus", "ballad": "Algieba", "cedar": "Achird", "coral": "Sulafat",
    "echo": "Charon", "fable": "Umbriel", "marin": "Despina", "nova": "Kore", "onyx": "Orus",
    "sage": "Vindemiatrix", "shimmer": "Achernar", "verse": "Puck",
}  # fmt: skip
"""OpenAI's voices to Gemini's."""
GEMINI = {
    "Achernar": "Soft", "Achird": "Friendly", "Algenib": "Gravelly", "Algieba": "Smooth", "Alnilam": "Firm",
    "Aoede": "Breezy", "Autonoe": "Bright", "Callirrhoe": "Easy-going", "Charon": "Informative",
    "Despina": "Smooth", "Enceladus": "Breathy", "Erinome": "Clear", "Fenrir": "Excitable", "Gacrux": "Mature",
    "Iapetus": "Clear", "Kore": "Firm", "Laomedeia": "Upbeat", "Leda": "Youthful", "Orus": "Firm",
    "Puck": "Upbeat", "Pulcherrima": "Forward", "Rasalgethi": "Informative", "Sadachbia": "Lively",
    "Sadaltager": "Knowledgeable", "Schedar": "Even", "Sulafat": "Warm", "Umbriel": "Easy-going",
    "Vindemiatrix": "Gentle", "Zephyr": "Bright", "Zubenelgenubi": "Casual",
}  # fmt: skip
"""Gemini's own voices (https://ai.google.dev/gemini-api/docs/speech-generation#voices), whose case counts."""
_VOICES = {name.lower(): name for name in GEMINI} | OPENAI
_CUSTOM = ("voice_", "voicekey_")
"""Beginnings of the ids of custom voices."""
DEFAULT = "alloy"
_MOST_NAME = 256
"""Characters of a voice's name or id."""
NO_NAMES: Mapping[str, str] = {}


def voice_config(
    voice: object, capabilities: Capabilities, at: str, own: Mapping[str, str] = NO_NAMES
) -> dict[str, Any]:
    """Return the voiceConfig of a voice: a name, `{"id": …}` of a custom voice, or None for the default.

    `own` are the operator's names, in lower case. Ids of the voice library and of custom voices stay as they are.
    Raises BadRequest at `at`.
    """
    name = voice
    if isinstance(name, dict) and isinstance(name.get("id"), str) and name["id"].startswith(_CUSTOM):
        name = name["id"]
    if name is None or name == "":
        name = DEFAULT
    if isinstance(name, str):
        name = own.get(name.lower(), name)
    if not isinstance(name, str) or (name.startswith(_CUSTOM) and not capabilities.voice_library):
        raise BadRequest(
            "Custom voices are not supported here; give the name of a voice"
            + (", or the id of a voice of Gemini's ('voice_…')." if capabilities.voice_library else "."),
            param=at,
        )
    if len(name) > _MOST_NAME:
        raise BadRequest(
            f"Invalid '{at}': string too long. Expected a string with maximum length {_MOST_NAME}, "
            f"but got a string with length {len(name)} instead.",
            param=at,
            code="string_above_max_length",
        )
    known = _VOICES.get(name.lower())
    if known is None and capabilities.voice_library:
        return {"voice": name}
    return {"prebuiltVoiceConfig": {"voiceName": known or name}}


def names(own: Mapping[str, str] = NO_NAMES) -> dict[str, str]:
    """Return the names that clients can choose from, with their labels: OpenAI's, Gemini's, and the operator's."""
    listed = {name: name for name in OPENAI} | {name: f"{name} ({style})" for name, style in GEMINI.items()}
    return listed | {name: name for name in own if name not in listed}


def is_listed(voice: object, own: Mapping[str, str] = NO_NAMES) -> bool:
    """Return whether a voice is the default, or one of `names`: then Google's refusal is not about its name."""
    if voice is None or voice == "":
        return True
    return isinstance(voice, str) and (voice.lower() in _VOICES or voice.lower() in own)


def unknown_voice(at: str, own: Mapping[str, str] = NO_NAMES) -> BadRequest:
    """Return the error for a voice that Google refuses."""
    return BadRequest(
        f"Invalid value for '{at}': Gemini does not know this voice. Known names are: {', '.join(names(own))}.",
        param=at,
        code="invalid_value",
    )
