"""OpenAI's speech messages (https://platform.openai.com/docs/api-reference/audio/createSpeech)."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

Speed = Annotated[float, Meta(ge=0.25, le=4.0)]
"""OpenAI's range."""


class Turn(Struct, frozen=True):
    """A turn of one speaker of a dialogue (not OpenAI's)."""

    text: Annotated[str, Meta(min_length=1)]
    speaker: str | None = None
    style: str | None = None


class GoogleOptions(Struct, frozen=True):
    """Gemini's options, sent under `google` or `extra_body.google`."""

    speech_config: dict[str, Any] | None = None
    """Gemini's speechConfig as a whole."""
    turns: Annotated[list[Turn], Meta(min_length=1)] | None = None
    contents: list[dict[str, Any]] | None = None
    """Gemini's contents, in place of `input`."""


class ExtraBody(Struct, frozen=True):
    google: GoogleOptions | None = None


class SpeechRequest(Struct, frozen=True):
    input: str | None = None
    model: str | None = None
    voice: str | dict[str, Any] | None = None
    instructions: str | None = None
    response_format: str | None = None
    speed: Speed | None = None
    stream_format: str | None = None
    stream: bool | None = None
    language: str | None = None
    google: GoogleOptions | None = None
    extra_body: ExtraBody | None = None


class Usage(Struct, frozen=True):
    input_tokens: int
    output_tokens: int
    total_tokens: int


class AudioDelta(Struct, frozen=True):
    audio: str
    """Base64."""
    type: Literal["speech.audio.delta"] = "speech.audio.delta"


class AudioDone(Struct, frozen=True):
    usage: Usage
    type: Literal["speech.audio.done"] = "speech.audio.done"


class StreamError(Struct, frozen=True):
    error: msgspec.Raw
    type: Literal["error"] = "error"


class Voice(Struct, frozen=True):
    """A voice as Open WebUI reads it."""

    id: str
    name: str


class VoiceList(Struct, frozen=True):
    voices: list[Voice]


class Model(Struct, frozen=True):
    id: str


class ModelList(Struct, frozen=True):
    models: list[Model]


decode_request = msgspec.json.Decoder(SpeechRequest).decode
encode = msgspec.json.Encoder().encode
