"""OpenAI's transcription request as an interaction of the transcription model, or as a prompt for a chat model."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from gateway.conversation.invalid import unsupported_value
from gateway.conversation.notes import Notes
from gateway.errors import BadRequest
from gateway.gemini.capabilities import Capabilities
from gateway.gemini.wire import (
    Content,
    GenerateContentRequest,
    GenerationConfig,
    Part,
    SafetySetting,
    ThinkingConfig,
)
from gateway.plugins.transcription.wire import TranscriptionRequest

FORMATS = ("json", "text", "srt", "vtt", "verbose_json", "diarized_json")
_TIMED = ("srt", "vtt", "verbose_json", "diarized_json")
_STREAMED = ("json", "text", "diarized_json")
_GRANULARITIES = ("word", "segment")
_MOST_WORDS = 5
"""Words of an item of a list of names."""
_TAKES_TEMPERATURE = re.compile(r"gemini-([12]\.|3-|3\.[0-5]-)")
"""Models before gemini-3.6, which deprecates it (https://ai.google.dev/gemini-api/docs/changelog)."""
_TRANSCRIBE = (
    "Transcribe the speech word for word, in the language spoken. Output only the transcript, "
    "and nothing if nothing is said."
)
_TRANSLATE = "Translate the speech into English. Output only the translation, and nothing if nothing is said."


class Wish(Struct, frozen=True):
    """The answer that a client asks for."""

    form: str
    translate: bool
    words: bool
    """The times of words are asked for."""
    stream: bool
    languages: tuple[str, ...]
    vocabulary: tuple[str, ...]
    hint: str
    """A prompt that is no list of names."""
    temperature: float | None

    @property
    def timed(self) -> bool:
        """Whether segments with times are needed."""
        return self.form in _TIMED

    @property
    def diarized(self) -> bool:
        return self.form == "diarized_json"


def wish(body: TranscriptionRequest, notes: Notes, *, translate: bool, by_chat: bool) -> Wish:
    """Return the options of a request. Raises BadRequest for an unknown format or granularity.

    `by_chat` tells that a chat model answers, which has no times of words.
    """
    form = body.response_format or "json"
    formats = [name for name in FORMATS if not (translate and name == "diarized_json")]
    if form not in formats:
        raise unsupported_value(form, formats, "response_format")
    for name in body.timestamp_granularities:
        if name not in _GRANULARITIES:
            raise unsupported_value(name, _GRANULARITIES, "timestamp_granularities")
    words = "word" in body.timestamp_granularities
    if words and by_chat:
        raise BadRequest(
            "A chat model knows no times of words: ask gemini-3.5-transcribe.",
            param="timestamp_granularities",
            code="unsupported_value",
        )
    if by_chat and form in _TIMED:
        notes.add("timestamp_granularities")
    stream = bool(body.stream)
    if stream and (body.model == "whisper-1" or form not in _STREAMED):
        notes.add("stream")
        stream = False
    listed = vocabulary(body.prompt or "")
    hint = "" if listed or not body.prompt else body.prompt
    if hint and not by_chat:
        notes.drop("prompt", "Gemini's transcription takes a list of names, not a text.")
    if body.temperature and not by_chat:
        notes.add("temperature")
    languages = tuple(dict.fromkeys(code for code in (body.language, *body.languages) if code))
    names = tuple(dict.fromkeys((*body.keywords, *listed)))
    return Wish(form, translate, words, stream, languages, names, hint if by_chat else "", body.temperature)


def vocabulary(prompt: str) -> list[str]:
    """Return the items of a prompt that is a list of names; nothing for a sentence."""
    items = [item.strip(" .;") for item in re.split(r"[,\n]", prompt)]
    items = [item for item in items if item]
    is_list = len(items) > 1 or (len(items) == 1 and len(items[0].split()) == 1)
    return items if is_list and all(len(item.split()) <= _MOST_WORDS for item in items) else []


def interaction(model: str, wanted: Wish, audio: Mapping[str, str]) -> dict[str, Any]:
    """Return the interaction of the transcription model. Interactions are stored unless `store` is false.

    `audio` has the `mime_type`, and `data` in base64 or the `uri` of a file of Google's.
    """
    config: dict[str, Any] = {}
    if wanted.languages:
        config["language_codes"] = list(wanted.languages)
    if wanted.vocabulary:
        config["custom_vocabulary"] = list(wanted.vocabulary)
    if wanted.timed or wanted.words or wanted.stream:
        config["mode"] = {"type": "verbatim", "timestamp_granularities": ["word"]}
        if wanted.diarized:
            config["mode"]["diarization_mode"] = "speaker"
    body: dict[str, Any] = {
        "model": model,
        "input": [{"type": "audio", **audio}],
        "store": False,
    }
    if config:
        body["generation_config"] = {"transcription_config": config}
    return body


def prompt(
    model: str,
    wanted: Wish,
    sound: Part,
    capabilities: Capabilities,
    safety: Sequence[SafetySetting],
    notes: Notes,
) -> GenerateContentRequest:
    """Return the call of a chat model."""
    temperature = wanted.temperature
    if temperature is not None and not _TAKES_TEMPERATURE.match(model):
        if temperature:
            notes.add("temperature")
        temperature = None
    schema = _schema(wanted) if wanted.timed else None
    config = GenerationConfig(
        temperature=temperature,
        response_mime_type="application/json" if schema else None,
        response_json_schema=schema,
        thinking_config=_least_thinking(capabilities),
    )
    parts = [sound, Part(text=_instruction(wanted))]
    return GenerateContentRequest(
        [Content(parts, "user")], safety_settings=list(safety) or None, generation_config=config
    )


def _instruction(wanted: Wish) -> str:
    lines = [_TRANSLATE if wanted.translate else _TRANSCRIBE]
    if wanted.timed:
        lines.append("Divide it into segments of a sentence each, with their times as MM:SS.s.")
        if wanted.diarized:
            lines.append("Name the speakers A, B, C in the order in which they begin.")
    if wanted.languages and not wanted.translate:
        lines.append(f"The language is: {', '.join(wanted.languages)}.")
    names = ", ".join(wanted.vocabulary) or wanted.hint
    if names:
        lines.append(f"Names and spellings: {names}")
    return "\n".join(lines)


def _schema(wanted: Wish) -> dict[str, Any]:
    text = {"type": "string"}
    segment = {"start": text, "end": text, **({"speaker": text} if wanted.diarized else {}), "text": text}
    return {
        "type": "object",
        "properties": {
            "segments": {
                "type": "array",
                "items": {"type": "object", "properties": segment, "required": list(segment)},
            },
            "language": {"type": "string", "description": "English name of the language that is spoken"},
        },
        "required": ["segments", "language"],
    }


def _least_thinking(capabilities: Capabilities) -> ThinkingConfig | None:
    if capabilities.thinking == "level":
        return ThinkingConfig(thinking_level=capabilities.levels[0].upper())
    if capabilities.thinking == "budget":
        return ThinkingConfig(thinking_budget=0 if capabilities.thinking_off else capabilities.budget[0])
    return None
