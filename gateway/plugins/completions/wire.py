"""OpenAI's legacy completions: the fields of the request that are read, and the answer.

See https://platform.openai.com/docs/api-reference/completions.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

FinishReason = Literal["stop", "length", "content_filter"]


class StreamOptions(Struct, gc=False):
    include_usage: bool | None = None


class CompletionRequest(Struct, gc=False):
    prompt: str | list[str | int | list[int]] | None = None
    model: str | None = None
    suffix: str | None = None
    echo: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    n: Annotated[int, Meta(ge=1)] | None = None
    best_of: Annotated[int, Meta(ge=1)] | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None


class CompletionChoice(Struct, gc=False):
    text: str
    index: int
    finish_reason: FinishReason | None
    logprobs: None = None


class PromptTokensDetails(Struct, gc=False):
    cached_tokens: int = 0
    audio_tokens: int = 0
    text_tokens: int | UnsetType = UNSET


class CompletionTokensDetails(Struct, gc=False):
    reasoning_tokens: int = 0
    audio_tokens: int = 0
    accepted_prediction_tokens: int = 0
    rejected_prediction_tokens: int = 0


class Usage(Struct, gc=False):
    """Tokens; prompt + completion = total."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails


class Completion(Struct, gc=False):
    """The answer; chunks have the same type."""

    id: str
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: Usage | UnsetType | None = UNSET
    object: Literal["text_completion"] = "text_completion"


decode_request = msgspec.json.Decoder(CompletionRequest).decode
encode = msgspec.json.Encoder().encode
