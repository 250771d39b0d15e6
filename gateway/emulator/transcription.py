"""Transcription by an interaction: words with their times, as many as the audio is long.

Shapes and modes are those of google-genai 3.6 (TranscriptionConfig); the words of refusals are the emulator's.
"""

import base64
import binascii
from typing import Any

from gateway.emulator.errors import Refusal

MODEL = "transcribe"
"""Part of the names of transcription models."""
_KINDS = frozenset({
    f"audio/{kind}" for kind in ("wav", "mp3", "aiff", "aac", "ogg", "flac", "mpeg", "m4a", "l16", "opus", "alaw",
                                 "mulaw", "webm")
})  # fmt: skip
_CONFIG = frozenset({
    "language_codes", "custom_vocabulary", "mode", "adaptation_phrases", "diarization_mode", "language_hints",
    "timestamp_granularities",
})  # fmt: skip
_MODES = {
    "verbatim": {"type", "timestamp_granularities", "diarization_mode"},
    "smart": {"type", "source_text"},
}
_WORDS = (
    "Good", "morning.", "The", "train", "to", "Oslo", "leaves", "at", "noon.", "Is", "that", "so?", "Yes,", "from",
    "platform", "nine.",
)  # fmt: skip
_WORD = 0.4
"""Seconds of a word."""
_PAUSE = 0.1
"""Seconds between two words."""
_BYTES_PER_SECOND = 16_000
_TOKENS_PER_SECOND = 25
_MOST = 65 * 60
"""Seconds of audio that the model's 98,304 tokens hold."""


def refusal(body: dict[str, Any]) -> Refusal | None:
    """Return the refusal of an interaction with a transcription model."""
    for name in ("system_instruction", "tools", "response_format", "previous_interaction_id"):
        if body.get(name):
            return _invalid(f"{name} is not supported for {body['model']}.")
    if body.get("stream"):
        return _invalid(f"stream is not supported for {body['model']}.")
    audio = _audio(body)
    if audio is None:
        return _invalid("* input: exactly one audio content is needed.")
    if audio.get("mime_type") not in _KINDS:
        return _invalid(f"Unsupported MIME type: {audio.get('mime_type')}")
    if "uri" not in audio:
        try:
            data = base64.b64decode(audio.get("data") or "", validate=True)
        except (binascii.Error, TypeError, ValueError):
            return _invalid("* input.data: Invalid value, Base64 decoding failed.")
        if not data:
            return _invalid("* input.data: must not be empty.")
        if _seconds(data) > _MOST:
            return _invalid("The input token count exceeds the maximum number of tokens allowed (98304).")
    return _of_config(body)


def interaction(body: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the contents of the answer, and its usage."""
    audio = _audio(body) or {}
    seconds = _seconds(base64.b64decode(audio["data"])) if "data" in audio else 10.0
    config = (body.get("generation_config") or {}).get("transcription_config") or {}
    asked = config.get("mode")
    mode: dict[str, Any] = asked if isinstance(asked, dict) else {}
    names = list(config.get("custom_vocabulary") or ())
    spoken = [*names, *_WORDS]
    count = max(1, int(seconds / (_WORD + _PAUSE)))
    words = [spoken[i % len(spoken)] for i in range(count)]
    content: dict[str, Any] = {"type": "text", "text": " ".join(words)}
    if "word" in (mode.get("timestamp_granularities") or ()):
        content["annotations"] = _annotations(words, diarized=mode.get("diarization_mode") == "speaker")
    heard = int(seconds * _TOKENS_PER_SECOND) + 1
    return [content], {
        "total_tokens": heard + count, "total_input_tokens": heard, "total_cached_tokens": 0,
        "total_output_tokens": count, "total_thought_tokens": 0, "total_tool_use_tokens": 0,
        "input_tokens_by_modality": [{"modality": "audio", "tokens": heard}],
    }  # fmt: skip


def _annotations(words: list[str], *, diarized: bool) -> list[dict[str, Any]]:
    """Return the times of words. Another speaker begins each sentence."""
    result, speaker = [], 0
    for i, word in enumerate(words):
        start = i * (_WORD + _PAUSE)
        note = {
            "type": "word_info",
            "text": word,
            "start_offset": f"{start:.1f}s",
            "end_offset": f"{start + _WORD:.1f}s",
        }
        if diarized:
            note["speaker"] = f"spk_{7 - speaker % 2 * 5}"
        result.append(note)
        speaker += word.endswith((".", "?"))
    return result


def _of_config(body: dict[str, Any]) -> Refusal | None:
    generation = body.get("generation_config") or {}
    if others := sorted(generation.keys() - {"transcription_config"}):
        return _invalid(f"generation_config.{others[0]} is not supported for {body['model']}.")
    config = generation.get("transcription_config") or {}
    if unknown := sorted(config.keys() - _CONFIG):
        return _invalid(f'Invalid JSON payload received. Unknown name "{unknown[0]}": Cannot find field.')
    mode = config.get("mode")
    if mode is None or isinstance(mode, str):
        return None
    known = _MODES.get(str(mode.get("type")))
    if known is None or mode.keys() - known:
        return _invalid(
            "transcription_config.mode: timestamps and diarization are incompatible with mode smart."
        )
    return None


def _audio(body: dict[str, Any]) -> dict[str, Any] | None:
    content = body.get("input")
    items = content if isinstance(content, list) else [content]
    if len(items) != 1 or not isinstance(items[0], dict) or items[0].get("type") != "audio":
        return None
    return items[0]


def _seconds(data: bytes) -> float:
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE" and len(data) > 44:
        rate = int.from_bytes(data[28:32], "little")  # bytes a second
        return (len(data) - 44) / rate if rate else 0.0
    return len(data) / _BYTES_PER_SECOND


def _invalid(message: str) -> Refusal:
    return Refusal(400, "INVALID_ARGUMENT", message)
