"""OpenAI's chat completions: the request as far as it is read, the answer and its chunks.

Only fields that mean something upstream are declared; what a client sends beyond them is judged by name in
`translate.compat`. Null means absent for every optional field, since SDKs send explicit nulls.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType


class ImageURL(Struct, gc=False):
    url: str
    detail: str | None = None


class InputAudio(Struct, gc=False):
    data: str
    format: str | None = None


class ContentPart(Struct, gc=False):
    """One part of a message; `type` says which other field counts."""

    type: str
    text: str | None = None
    image_url: ImageURL | str | None = None
    input_audio: InputAudio | None = None
    refusal: str | None = None


class Message(Struct, gc=False):
    role: str
    content: str | list[ContentPart] | None = None
    refusal: str | None = None


class StreamOptions(Struct, gc=False):
    include_usage: bool | None = None


class SafetySetting(Struct, gc=False):
    """The ancestor's extension: Gemini's own setting, sent by the client."""

    category: str
    threshold: str


class ChatRequest(Struct, gc=False):
    messages: Annotated[list[Message], Meta(min_length=1)]
    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    n: Annotated[int, Meta(ge=1, le=8)] | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    max_tokens: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    safety_settings: list[SafetySetting] | None = None


FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "function_call"]


class PromptTokensDetails(Struct, gc=False):
    cached_tokens: int = 0
    audio_tokens: int = 0


class CompletionTokensDetails(Struct, gc=False):
    reasoning_tokens: int = 0
    audio_tokens: int = 0
    accepted_prediction_tokens: int = 0
    rejected_prediction_tokens: int = 0


class Usage(Struct, gc=False):
    """Tokens; prompt + completion = total (translation.md C.11)."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails


class FunctionCall(Struct, gc=False):
    name: str
    arguments: str
    """A JSON text, always whole."""


class Google(Struct, gc=False):
    thought_signature: str


class ExtraContent(Struct, gc=False):
    """Google's own channel for what OpenAI's API has no word for (translation.md B.6)."""

    google: Google


class ToolCall(Struct, gc=False):
    id: str
    function: FunctionCall
    type: Literal["function"] = "function"
    index: int | UnsetType = UNSET
    """In chunks only, where accumulators insist on it (translation.md D.3)."""
    extra_content: ExtraContent | UnsetType = UNSET


class AssistantMessage(Struct, gc=False):
    content: str | None
    refusal: str | None = None
    role: Literal["assistant"] = "assistant"
    reasoning_content: str | UnsetType = UNSET
    tool_calls: list[ToolCall] | UnsetType = UNSET
    extra_content: ExtraContent | UnsetType = UNSET


class Choice(Struct, gc=False):
    index: int
    message: AssistantMessage
    finish_reason: FinishReason
    logprobs: None = None


class ChatCompletion(Struct, gc=False):
    id: str
    created: int
    """Seconds since the epoch."""
    model: str
    choices: list[Choice]
    usage: Usage
    object: Literal["chat.completion"] = "chat.completion"


class Delta(Struct, gc=False):
    role: Literal["assistant"] | UnsetType = UNSET
    content: str | UnsetType = UNSET
    refusal: str | UnsetType | None = UNSET
    reasoning_content: str | UnsetType = UNSET
    tool_calls: list[ToolCall] | UnsetType = UNSET
    extra_content: ExtraContent | UnsetType = UNSET


class ChunkChoice(Struct, gc=False):
    """What changes from chunk to chunk; the envelope around it is the same for a whole stream."""

    index: int
    delta: Delta
    finish_reason: FinishReason | None = None
    logprobs: None = None


class ErrorDetail(Struct, gc=False):
    """All four keys, always (translation.md 0.7)."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(Struct, gc=False):
    error: ErrorDetail


decode_request = msgspec.json.Decoder(ChatRequest).decode
encode = msgspec.json.Encoder().encode
