"""Anthropic's Messages: the request as far as it is read. Answers are plain objects (translate.messages_answer).

Blocks are of many types; one Struct holds the fields of all, and `type` says which of them count.
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from gateway.plugins.chat.wire import AnthropicThinking, ExtraBody, Json


class BlockSource(Struct, gc=False):
    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    content: "str | list[Block] | None" = None


class Block(Struct, gc=False):
    """Text, an image, a document, a tool's use or result, a thought …"""

    type: str
    text: str | None = None
    source: BlockSource | None = None
    title: str | None = None
    id: str | None = None
    name: str | None = None
    input: Json | None = None
    tool_use_id: str | None = None
    content: "str | list[Block] | Json | None" = None
    is_error: bool | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None


class Message(Struct, gc=False):
    role: str
    content: str | list[Block]


class Tool(Struct, gc=False):
    name: str
    type: str | None = None
    description: str | None = None
    input_schema: Json | None = None
    strict: bool | None = None


class ToolChoice(Struct, gc=False):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class OutputFormat(Struct, gc=False):
    type: str
    schema: Json | None = None


class OutputConfig(Struct, gc=False):
    effort: str | None = None
    format: OutputFormat | None = None


class MessagesRequest(Struct, gc=False):
    messages: Annotated[list[Message], Meta(min_length=1)]
    model: str | None = None
    max_tokens: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    system: str | list[Block] | None = None
    stream: bool | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    stop_sequences: list[str] | None = None
    thinking: AnthropicThinking | None = None
    output_config: OutputConfig | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    google: Json | None = None
    extra_body: ExtraBody | None = None


decode_request = msgspec.json.Decoder(MessagesRequest).decode
encode = msgspec.json.Encoder().encode
