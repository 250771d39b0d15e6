"""OpenAI's transcription messages (https://platform.openai.com/docs/api-reference/audio), and Gemini's interactions."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

Text = Annotated[str, Meta(max_length=10_000)]
Names = Annotated[list[Annotated[str, Meta(max_length=200)]], Meta(max_length=1000)]


class TranscriptionRequest(Struct, frozen=True):
    """The text fields of a form. Numbers and booleans are strings there; the file is no field of it."""

    model: str | None = None
    language: Annotated[str, Meta(max_length=64)] | None = None
    languages: Names = []
    prompt: Text | None = None
    keywords: Names = []
    response_format: str | None = None
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None
    timestamp_granularities: list[str] = []
    include: list[str] = []
    chunking_strategy: Any = None
    known_speaker_names: list[str] = []
    known_speaker_references: list[str] = []
    stream: bool | None = None


LISTS = (
    "languages", "keywords", "timestamp_granularities", "include", "known_speaker_names", "known_speaker_references",
)  # fmt: skip
"""Fields that may be sent more than once."""


class InputDetails(Struct, frozen=True):
    audio_tokens: int
    text_tokens: int


class TokenUsage(Struct, frozen=True):
    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_token_details: InputDetails
    type: Literal["tokens"] = "tokens"


class DurationUsage(Struct, frozen=True):
    seconds: float
    type: Literal["duration"] = "duration"


class Language(Struct, frozen=True):
    code: str


class Transcription(Struct, frozen=True, omit_defaults=True):
    text: str
    usage: TokenUsage
    languages: list[Language] = []


class Segment(Struct, frozen=True):
    """A segment of `verbose_json`. Gemini gives no probabilities: they are 0, because clients demand numbers."""

    id: int
    start: float
    end: float
    text: str
    seek: int = 0
    tokens: list[int] = []
    temperature: float = 0.0
    avg_logprob: float = 0.0
    compression_ratio: float = 0.0
    no_speech_prob: float = 0.0


class WordTime(Struct, frozen=True):
    word: str
    start: float
    end: float


class VerboseTranscription(Struct, frozen=True):
    task: str
    language: str
    duration: float
    text: str
    segments: list[Segment]
    usage: DurationUsage
    words: list[WordTime] | msgspec.UnsetType = msgspec.UNSET


class SpeakerSegment(Struct, frozen=True):
    id: str
    start: float
    end: float
    speaker: str
    text: str
    type: Literal["transcript.text.segment"] = "transcript.text.segment"


class DiarizedTranscription(Struct, frozen=True):
    task: str
    duration: float
    text: str
    segments: list[SpeakerSegment]
    usage: TokenUsage


class Delta(Struct, frozen=True):
    delta: str
    type: Literal["transcript.text.delta"] = "transcript.text.delta"


class Done(Struct, frozen=True):
    text: str
    usage: TokenUsage
    type: Literal["transcript.text.done"] = "transcript.text.done"


class StreamError(Struct, frozen=True):
    error: msgspec.Raw
    type: Literal["error"] = "error"


class Annotation(Struct, frozen=True):
    """A word with its times (https://ai.google.dev/gemini-api/docs/interactions)."""

    type: str = ""
    text: str = ""
    speaker: str = ""
    start_offset: str = ""
    end_offset: str = ""


class InteractionContent(Struct, frozen=True):
    type: str = ""
    text: str = ""
    annotations: list[Annotation] | None = None


class Step(Struct, frozen=True):
    type: str = ""
    content: list[InteractionContent] | None = None


class Tokens(Struct, frozen=True):
    modality: str = ""
    tokens: int = 0


class InteractionUsage(Struct, frozen=True):
    total_input_tokens: int = 0
    total_output_tokens: int = 0
    input_tokens_by_modality: list[Tokens] | None = None
    total_thought_tokens: int = 0
    total_tool_use_tokens: int = 0
    total_cached_tokens: int = 0


class Interaction(Struct, frozen=True):
    status: str = ""
    steps: list[Step] | None = None
    usage: InteractionUsage | None = None


class ModelSegment(Struct, frozen=True):
    """A segment as a chat model writes it."""

    start: str | float = ""
    end: str | float = ""
    text: str = ""
    speaker: str | None = None


class ModelTranscript(Struct, frozen=True):
    segments: list[ModelSegment] = []
    language: str | None = None


decode_request = msgspec.json.Decoder(TranscriptionRequest, strict=False).decode
decode_interaction = msgspec.json.Decoder(Interaction).decode
decode_transcript = msgspec.json.Decoder(ModelTranscript).decode
encode = msgspec.json.Encoder().encode
