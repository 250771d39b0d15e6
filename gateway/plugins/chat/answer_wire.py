"""OpenAI's chat completions: the answer and its chunks. Unset fields are left out."""

from typing import Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "function_call"]


class PromptTokensDetails(Struct, gc=False):
    cached_tokens: int = 0
    audio_tokens: int = 0
    text_tokens: int | UnsetType = UNSET
    image_tokens: int | UnsetType = UNSET
    video_tokens: int | UnsetType = UNSET


class CompletionTokensDetails(Struct, gc=False):
    reasoning_tokens: int = 0
    audio_tokens: int = 0
    accepted_prediction_tokens: int = 0
    rejected_prediction_tokens: int = 0
    image_tokens: int | UnsetType = UNSET


class Usage(Struct, gc=False):
    """Token counts; prompt + completion = total."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails


class FunctionCall(Struct, gc=False):
    name: str
    arguments: str
    """A complete JSON text."""


class CustomCall(Struct, gc=False):
    name: str
    input: str


class FileOut(Struct, gc=False):
    uri: str
    mime_type: str | None


class Google(Struct, gc=False):
    """Fields of Gemini's answer that OpenAI's API does not have."""

    thought_signature: str | UnsetType = UNSET
    grounding_metadata: Raw | UnsetType = UNSET
    url_context_metadata: Raw | UnsetType = UNSET
    finish_reason: str | UnsetType = UNSET
    """Gemini's reason of an answer that it could not complete."""
    finish_message: str | UnsetType = UNSET
    files: list[FileOut] | UnsetType = UNSET
    server_parts: Raw | UnsetType = UNSET
    """Parts that Google's own tools made, with their thought signatures, to be sent back."""


class ExtraContent(Struct, gc=False):
    google: Google


class ToolCall(Struct, gc=False):
    id: str
    function: FunctionCall | UnsetType = UNSET
    custom: CustomCall | UnsetType = UNSET
    type: Literal["function", "custom"] = "function"
    index: int | UnsetType = UNSET
    """In chunks only: SDKs accumulate calls by it."""
    extra_content: ExtraContent | UnsetType = UNSET


class UrlCitation(Struct, gc=False):
    """A citation. Offsets are code points of the whole message; the end is exclusive."""

    start_index: int
    end_index: int
    url: str
    title: str


class Annotation(Struct, gc=False):
    url_citation: UrlCitation
    type: Literal["url_citation"] = "url_citation"


class ImageOut(Struct, gc=False):
    """A generated image, in the shape of OpenRouter and LiteLLM."""

    image_url: dict[str, str]
    """`url`: a data: URL."""
    index: int
    type: Literal["image_url"] = "image_url"


class AudioAnswer(Struct, gc=False):
    id: str
    expires_at: int
    data: str
    transcript: str = ""


class TopLogprob(Struct, gc=False):
    token: str
    logprob: float
    bytes: list[int]


class TokenLogprob(Struct, gc=False):
    token: str
    logprob: float
    bytes: list[int]
    top_logprobs: list[TopLogprob]


class Logprobs(Struct, gc=False):
    content: list[TokenLogprob]
    refusal: None = None


class AssistantMessage(Struct, gc=False):
    content: str | None
    refusal: str | None = None
    role: Literal["assistant"] = "assistant"
    reasoning_content: str | UnsetType = UNSET
    tool_calls: list[ToolCall] | UnsetType = UNSET
    function_call: FunctionCall | UnsetType = UNSET
    annotations: list[Annotation] | UnsetType = UNSET
    images: list[ImageOut] | UnsetType = UNSET
    audio: AudioAnswer | UnsetType = UNSET
    extra_content: ExtraContent | UnsetType = UNSET


class Choice(Struct, gc=False):
    index: int
    message: AssistantMessage
    finish_reason: FinishReason
    logprobs: Logprobs | None = None


class ChatCompletion(Struct, gc=False):
    id: str
    created: int
    """Seconds since the epoch."""
    model: str
    choices: list[Choice]
    usage: Usage
    object: Literal["chat.completion"] = "chat.completion"
    service_tier: str | UnsetType = UNSET


class Delta(Struct, gc=False):
    role: Literal["assistant"] | UnsetType = UNSET
    content: str | UnsetType = UNSET
    refusal: str | UnsetType | None = UNSET
    reasoning_content: str | UnsetType = UNSET
    tool_calls: list[ToolCall] | UnsetType = UNSET
    function_call: FunctionCall | UnsetType = UNSET
    annotations: list[Annotation] | UnsetType = UNSET
    images: list[ImageOut] | UnsetType = UNSET
    audio: AudioAnswer | UnsetType = UNSET
    extra_content: ExtraContent | UnsetType = UNSET


class ChunkChoice(Struct, gc=False):
    """The part of a chunk that changes; the envelope around it is the same for a whole stream."""

    index: int
    delta: Delta
    finish_reason: FinishReason | None = None
    logprobs: Logprobs | None = None


encode = msgspec.json.Encoder().encode
