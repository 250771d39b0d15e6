"""OpenAI's speech request as calls of a speech model.

Gemini's speech models read a text as it is, so nothing may be added to it; a style has a field of its own since
gemini-3.8 (https://ai.google.dev/gemini-api/docs/speech-generation).
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from msgspec import Struct

from gateway.conversation.invalid import missing, unsupported_value
from gateway.conversation.notes import Notes
from gateway.conversation.parts import camel
from gateway.conversation.voices import NO_NAMES, voice_config
from gateway.errors import BadRequest, UnsupportedParameter
from gateway.gemini.audio_encoder import FORMATS, PLAIN
from gateway.gemini.capabilities import Capabilities
from gateway.gemini.wire import Content, GenerateContentRequest, GenerationConfig, Part, SafetySetting
from gateway.plugins.speech.wire import GoogleOptions, SpeechRequest, Turn

LONG = 4096
"""Characters from which on a text is cut: OpenAI's limit of `input`."""
_PIECE = 3500
"""Characters of a piece, which has room in the 8,192 tokens that a speech model reads."""
MOST = 40_000
"""Characters of a text, unless configured."""
_SENTENCE_END = re.compile(r"[.!?]+[\"'”’)\]]*(?=\s)|[。！？]+[」』”]*|\n")
_ALIASES = {"ogg": "opus", "pcm16": "pcm", "raw": "pcm"}
"""Other names of formats that clients send."""
_ABSENT = ("", "none", "null")
"""Instructions that Home Assistant and others send for none: `str(None)`."""
_SLOWER, _FASTER = 0.9, 1.1
_SPEAKERS = 2
"""Voices of a dialogue: Gemini takes neither one nor three."""

Stream = Literal["audio", "sse"]


class SpeechMetadata(Struct, rename="camel", omit_defaults=True, frozen=True):
    """Style and speaker of a part (https://ai.google.dev/api/caching#Part)."""

    style: str | None = None
    speaker: str | None = None


class SpokenPart(Part, frozen=True, rename="camel", omit_defaults=True):
    """A part with its style and speaker."""

    speech_metadata: SpeechMetadata | None = None


class SpeechOptions(Struct, frozen=True):
    """Settings of the operator, and abilities of this installation."""

    voices: Mapping[str, str] = NO_NAMES
    """Names in lower case to Gemini's."""
    most: int = MOST
    refuses_without_encoder: bool = False
    has_encoder: bool = True
    safety: list[SafetySetting] | None = None


class Speech(Struct, frozen=True):
    """A speech request as calls."""

    requests: list[GenerateContentRequest]
    """Calls in the order of the text."""
    form: str
    speed: float
    """Factor by which the samples are to be made faster; 1 for none."""
    stream: Stream | None

    @property
    def characters(self) -> list[int]:
        """Characters of each call's text."""
        return [
            sum(len(part.text or "") for content in request.contents for part in content.parts or ())
            for request in self.requests
        ]


class SpeechOrigins:
    """The client's fields of Gemini's: it has sent a text and a voice."""

    def of(self, names: Iterable[str]) -> list[str]:
        return list(dict.fromkeys(path for name in names if (path := self.path(name))))

    def path(self, google_path: str | None) -> str | None:
        """Return the client's field for one of Gemini's in snake_case."""
        if google_path is None:
            return None
        return "voice" if "speech_config" in google_path else "input" if "contents" in google_path else None


def speech(body: SpeechRequest, capabilities: Capabilities, options: SpeechOptions, notes: Notes) -> Speech:
    """Return the calls for a request. Raises BadRequest with the path of the wrong field."""
    google, at = _google(body)
    form = _format(body, options, notes)
    speed = body.speed or 1.0
    style = _style(body.instructions)
    if speed != 1 and not options.has_encoder:
        style, speed = _paced(style, speed, capabilities, notes), 1.0
    config = GenerationConfig(
        response_modalities=["AUDIO"],
        speech_config=_speech_config(body, google, at, capabilities, options, notes),
    )
    requests = [
        GenerateContentRequest([content], safety_settings=options.safety, generation_config=config)
        for content in _contents(body, google, at, style, capabilities, options, notes)
    ]
    return Speech(requests, form, speed, _stream(body))


def said_again(request: GenerateContentRequest) -> GenerateContentRequest | None:
    """Return the call with "Say: " before its text, for models before gemini-3.8 that would answer a bare text.

    None for a dialogue.
    """
    parts = request.contents[0].parts or []
    if len(parts) != 1 or parts[0].text is None:
        return None
    return GenerateContentRequest(
        [Content([Part(text=f"Say: {parts[0].text}")], "user")],
        safety_settings=request.safety_settings,
        generation_config=request.generation_config,
    )


def pieces(text: str) -> list[str]:
    """Return a text in pieces of at most 3,500 characters, cut after sentences, else at blanks, else anywhere."""
    result = []
    while len(text) > _PIECE:
        window = text[: _PIECE + 1]
        ends = [match.end() for match in _SENTENCE_END.finditer(window) if match.end() <= _PIECE]
        cut = ends[-1] if ends else window.rfind(" ") if " " in window[1:] else _PIECE
        result.append(text[:cut].strip())
        text = text[cut:].lstrip()
    return [piece for piece in (*result, text.strip()) if piece]


def _google(body: SpeechRequest) -> tuple[GoogleOptions, str]:
    """Return Gemini's options, and their path."""
    if body.extra_body is not None and body.extra_body.google is not None:
        return body.extra_body.google, "extra_body.google"
    return body.google or GoogleOptions(), "google"


def _format(body: SpeechRequest, options: SpeechOptions, notes: Notes) -> str:
    wanted = body.response_format or "mp3"
    form = _ALIASES.get(wanted.lower(), wanted.lower())
    if form not in FORMATS:
        raise unsupported_value(wanted, FORMATS, "response_format")
    if form in PLAIN or options.has_encoder:
        return form
    if options.refuses_without_encoder or notes.strict:
        raise UnsupportedParameter(
            f"This gateway cannot encode '{form}', because its extra 'audio' is not installed. Ask for 'wav' or 'pcm'; "
            "its operator can install the extra (gateway plugin install --extra audio).",
            param="response_format",
            code="unsupported_value",
        )
    notes.add("response_format")
    return "wav"


def _style(instructions: str | None) -> str | None:
    return instructions if instructions and instructions.strip().lower() not in _ABSENT else None


def _paced(style: str | None, speed: float, capabilities: Capabilities, notes: Notes) -> str | None:
    """Return the style with a speed in words, where nothing else can change it."""
    notes.drop("speed", "It needs the extra 'audio', which is not installed on this gateway.")
    if not capabilities.spoken_style or _SLOWER <= speed <= _FASTER:
        return style
    pace = "speak slowly" if speed < 1 else "speak quickly"
    return f"{style}; {pace}" if style else pace


def _stream(body: SpeechRequest) -> Stream | None:
    if body.stream_format not in (None, "audio", "sse"):
        raise unsupported_value(body.stream_format, ("audio", "sse"), "stream_format")
    if body.stream_format == "sse":
        return "sse"
    return "audio" if body.stream or (body.stream_format == "audio" and body.stream is not False) else None


def _speech_config(
    body: SpeechRequest,
    google: GoogleOptions,
    at: str,
    capabilities: Capabilities,
    options: SpeechOptions,
    notes: Notes,
) -> dict[str, Any]:
    if google.speech_config is not None:
        config: dict[str, Any] = _in_camel_case(google.speech_config)
        _check_speakers(config, google, at)
        if body.language:
            config.setdefault("languageCode", body.language)
        return config
    if google.turns is not None and len({turn.speaker for turn in google.turns}) > 1:
        raise BadRequest(
            f"Invalid '{at}.turns': several speakers need '{at}.speech_config' with multiSpeakerVoiceConfig.",
            param=f"{at}.turns",
        )
    if body.voice in (None, ""):
        notes.add("voice")
    config = {"voiceConfig": voice_config(body.voice, capabilities, "voice", options.voices)}
    return {**config, "languageCode": body.language} if body.language else config


def _in_camel_case(value: Any) -> Any:
    """Return a message with Gemini's names, which the client may write in snake_case."""
    if isinstance(value, dict):
        return {camel(key): _in_camel_case(inner) for key, inner in value.items()}
    return [_in_camel_case(inner) for inner in value] if isinstance(value, list) else value


def _check_speakers(config: dict[str, Any], google: GoogleOptions, at: str) -> None:
    """Raise BadRequest for a dialogue of another number of voices than two, or with unknown speakers."""
    dialogue = config.get("multiSpeakerVoiceConfig")
    if dialogue is None:
        return
    path = f"{at}.speech_config.multiSpeakerVoiceConfig"
    voices = dialogue.get("speakerVoiceConfigs") if isinstance(dialogue, dict) else None
    if not isinstance(voices, list) or len(voices) != _SPEAKERS:
        raise BadRequest(f"Invalid '{path}': exactly two speakerVoiceConfigs are needed.", param=path)
    known = [voice.get("speaker") if isinstance(voice, dict) else None for voice in voices]
    for i, turn in enumerate(google.turns or ()):
        if turn.speaker not in known:
            param = f"{at}.turns[{i}].speaker"
            raise BadRequest(f"Invalid '{param}': it must be a speaker of '{path}'.", param=param)


def _contents(
    body: SpeechRequest,
    google: GoogleOptions,
    at: str,
    style: str | None,
    capabilities: Capabilities,
    options: SpeechOptions,
    notes: Notes,
) -> list[Content]:
    """Return the contents of each call."""
    if google.contents is not None:
        return [_native(google.contents, f"{at}.contents")]
    if google.turns is not None:
        _check_length(sum(len(turn.text) for turn in google.turns), f"{at}.turns", LONG)
        return [_dialogue(google.turns, style, capabilities)]
    text = body.input
    if text is None:
        raise missing("input")
    if not text.strip():
        raise BadRequest("Invalid 'input': input cannot be an empty string.", param="input")
    _check_length(len(text), "input", options.most)
    if len(text) <= LONG:
        return [Content([_part(text, style, capabilities)], "user")]
    notes.add("input")
    return [Content([_part(piece, style, capabilities)], "user") for piece in pieces(text)]


def _check_length(length: int, at: str, most: int) -> None:
    if length > most:
        raise BadRequest(
            f"Invalid '{at}': string too long. Expected a string with maximum length {most}, "
            f"but got a string with length {length} instead.",
            param=at,
            code="string_above_max_length",
        )


def _part(text: str, style: str | None, capabilities: Capabilities) -> Part:
    if style is None:
        return Part(text=text)
    if not capabilities.spoken_style:
        return Part(text=f"{style}: {text}")
    return SpokenPart(text=text, speech_metadata=SpeechMetadata(style))


def _dialogue(turns: list[Turn], style: str | None, capabilities: Capabilities) -> Content:
    if not capabilities.spoken_style:
        lines = "\n".join(f"{turn.speaker}: {turn.text}" if turn.speaker else turn.text for turn in turns)
        return Content([Part(text=f"{style}: {lines}" if style else lines)], "user")
    return Content(
        [
            SpokenPart(text=turn.text, speech_metadata=SpeechMetadata(turn.style or style, turn.speaker))
            for turn in turns
        ],
        "user",
    )


def _native(contents: list[dict[str, Any]], at: str) -> Content:
    """Return Gemini's contents, of which only one turn with texts can be spoken."""
    parts = contents[0].get("parts") if len(contents) == 1 else None
    if not isinstance(parts, list) or not parts:
        raise BadRequest(f"Invalid '{at}': expected one turn with parts.", param=at)
    spoken: list[Part] = []
    length = 0
    for i, part in enumerate(parts):
        text = part.get("text") if isinstance(part, dict) else None
        if not isinstance(text, str) or not text:
            raise BadRequest(f"Invalid '{at}[0].parts[{i}]': expected a part with a text.", param=at)
        metadata = part.get("speechMetadata") or part.get("speech_metadata") or {}
        values = (
            [metadata.get("style"), metadata.get("speaker")] if isinstance(metadata, dict) else [metadata, 0]
        )
        if not all(value is None or isinstance(value, str) for value in values):
            raise BadRequest(f"Invalid '{at}[0].parts[{i}].speechMetadata'.", param=at)
        style, speaker = values
        length += len(text)
        spoken.append(
            SpokenPart(text=text, speech_metadata=SpeechMetadata(style, speaker))
            if style or speaker
            else Part(text=text)
        )
    _check_length(length, at, LONG)
    return Content(spoken, "user")
