"""Anthropic's Messages: the fields of the request that are read (https://docs.anthropic.com/en/api/messages).

Blocks are of many types. One Struct holds the fields of all, and `type` says which of them count. Answers are plain
objects, see `response`.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from gateway.conversation.foreign.originals import Placeholders, placeholder
from gateway.conversation.parts import MediaHints

Json = dict[str, Any]


class BlockSource(Struct, gc=False):
    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    content: "str | list[Block] | None" = None


class Block(MediaHints, frozen=True, gc=False, kw_only=True):
    """A text, an image, a document, a tool's use or result, a thought."""

    type: str
    text: str | None = None
    source: BlockSource | None = None
    id: str | None = None
    name: str | None = None
    input: Json | None = None
    tool_use_id: str | None = None
    content: "str | list[Block] | Json | None" = None
    is_error: bool | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    title: str | None = None
    """Of a document or a source of a search."""
    context: str | None = None
    citations: Any = None
    url: str | None = None


class Message(Struct, gc=False):
    role: str
    content: str | list[Block]


class Location(Struct, gc=False):
    """The place of a user, about which searches are made."""

    city: str | None = None
    region: str | None = None
    country: str | None = None
    timezone: str | None = None


class Tool(Struct, gc=False):
    """A function, or by its dated type one of Anthropic's own tools."""

    name: str
    type: str | None = None
    description: str | None = None
    input_schema: Json | None = None
    strict: bool | None = None
    allowed_domains: list[str] | None = None
    blocked_domains: list[str] | None = None
    user_location: Location | None = None
    max_uses: int | None = None
    max_content_tokens: int | None = None
    input_examples: list[Json] | None = None
    allowed_callers: list[str] | None = None
    citations: Any = None
    defer_loading: bool | None = None
    response_inclusion: str | None = None
    url_sources: Any = None
    use_cache: bool | None = None


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


class Thinking(Struct, gc=False):
    type: str | None = None
    budget_tokens: int | None = None
    display: str | None = None
    """`omitted` hides the thoughts."""


class ExtraBody(Struct, gc=False):
    """The literal key `extra_body`, which some SDKs send."""

    google: Json | None = None


class MessagesRequest(Struct, gc=False):
    messages: Annotated[list[Message], Meta(min_length=1)] | None = None
    model: str | None = None
    max_tokens: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    system: str | list[Block] | None = None
    stream: bool | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    stop_sequences: list[str] | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    output_format: OutputFormat | None = None
    """The older place of `output_config.format`."""
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    google: Json | None = None
    extra_body: ExtraBody | None = None


PLACEHOLDERS: Placeholders = {
    "messages": placeholder(Message, b'{"role":"","content":""}'),
    "system": placeholder(Block, b'{"type":""}'),
    "tools": placeholder(Tool, b'{"name":"","type":""}'),
    "tool_choice": placeholder(ToolChoice | None, b'{"type":""}', whole=True),
}
"""Stand-ins for values of another dialect's shape."""


class KeptLine(Struct, omit_defaults=True):
    """Rules that read the answer to a request of a batch."""

    rules: Raw
    grounded: bool = False


decode_request = msgspec.json.Decoder(MessagesRequest).decode
decode_kept = msgspec.json.Decoder(KeptLine).decode
encode = msgspec.json.Encoder().encode
