"""OpenAI's Responses: the request as far as it is read. Answers are plain objects (translate.responses_answer).

Items are of many types; one Struct holds the fields of all, and `type` says which of them count.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from gateway.plugins.chat.wire import ExtraBody, InputAudio, Json, StreamOptions, WebSearchOptions


class ItemPart(Struct, gc=False):
    """One part of a message's or a result's content."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    detail: str | None = None
    file_id: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None
    input_audio: InputAudio | None = None


class Item(Struct, gc=False):
    """A message, a call, a call's output, a reasoning item …"""

    type: str | None = None
    role: str | None = None
    content: str | list[ItemPart] | None = None
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    input: str | None = None
    output: str | list[ItemPart] | Json | None = None
    encrypted_content: str | None = None
    result: str | None = None


class Reasoning(Struct, gc=False):
    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None


class TextFormat(Struct, gc=False):
    type: str = "text"
    name: str | None = None
    description: str | None = None
    schema: Json | None = None
    strict: bool | None = None


class TextOptions(Struct, gc=False):
    format: TextFormat | None = None
    verbosity: str | None = None


class ResponseTool(Struct, gc=False):
    """Flat, unlike chat's; a `namespace` holds tools of its own (Codex)."""

    type: str
    name: str | None = None
    description: str | None = None
    parameters: Json | None = None
    strict: bool | None = None
    format: Json | None = None
    tools: list["ResponseTool"] | None = None
    user_location: Json | None = None


class ToolRef(Struct, gc=False):
    type: str | None = None
    name: str | None = None


class ResponseToolChoice(Struct, gc=False):
    type: str | None = None
    name: str | None = None
    mode: str | None = None
    tools: list[ToolRef] | None = None


class ResponseRequest(Struct, gc=False):
    input: str | list[Item] | None = None
    model: str | None = None
    instructions: str | list[Item] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_output_tokens: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    reasoning: Reasoning | None = None
    text: TextOptions | None = None
    tools: list[ResponseTool] | None = None
    tool_choice: str | ResponseToolChoice | None = None
    parallel_tool_calls: bool | None = None
    include: list[str] | None = None
    previous_response_id: str | None = None
    store: bool | None = None
    service_tier: str | None = None
    metadata: dict[str, Any] | None = None
    background: bool | None = None
    prompt_cache_key: str | None = None
    conversation: Any = None
    prompt: Any = None
    google: Json | None = None
    extra_body: ExtraBody | None = None
    web_search_options: WebSearchOptions | None = None


decode_request = msgspec.json.Decoder(ResponseRequest).decode
encode = msgspec.json.Encoder().encode
