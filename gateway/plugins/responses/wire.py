"""OpenAI's Responses: the request, as far as it is read.

The fields are those of https://platform.openai.com/docs/api-reference/responses/create. Items have many types: one
Struct holds the fields of all of them, and `type` says which count.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from gateway.conversation.foreign.originals import Placeholders, placeholder
from gateway.conversation.parts import MediaHints

Json = dict[str, Any]


class InputAudio(Struct, frozen=True, gc=False):
    data: str
    format: str | None = None


class ItemPart(MediaHints, frozen=True, omit_defaults=True, gc=False, kw_only=True):
    """One part of the content of a message or of a result; the output of a shell command has no type."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    file_id: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None
    input_audio: InputAudio | None = None
    encrypted_content: str | None = None
    stdout: str | None = None
    stderr: str | None = None
    outcome: Json | None = None


class Item(Struct, frozen=True, gc=False):
    """A message, a call, the output of a call, or a reasoning item."""

    type: str | None = None
    role: str | None = None
    content: str | list[ItemPart] | None = None
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: Any = None
    """A JSON text; an object in a `tool_search_call`."""
    input: str | None = None
    output: str | list[ItemPart] | Json | None = None
    encrypted_content: str | None = None
    result: str | None = None
    action: Any = None
    code: Any = None
    outputs: Any = None
    queries: Any = None
    operation: Any = None
    status: Any = None
    tools: Any = None
    """Tools that are declared from this item on."""


def is_reference(kind: str | None, role: str | None, content: object) -> bool:
    """Return whether an item with an id is an `item_reference`, whose type may be missing."""
    return kind == "item_reference" or (kind is None and role is None and content is None)


class Reasoning(Struct, frozen=True, gc=False):
    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None


class TextFormat(Struct, frozen=True, omit_defaults=True, gc=False):
    type: str = "text"
    name: str | None = None
    description: str | None = None
    schema: Json | None = None
    strict: bool | None = None


class TextOptions(Struct, frozen=True, gc=False):
    format: TextFormat | None = None
    verbosity: str | None = None


class ResponseTool(Struct, frozen=True, omit_defaults=True, gc=False):
    """A tool with its fields beside `type`; a `namespace` holds further tools.

    The types are those of openai-python's `types/responses/tool.py`.
    """

    type: str
    name: str | None = None
    description: str | None = None
    parameters: Json | None = None
    strict: bool | None = None
    format: Json | None = None
    tools: list["ResponseTool"] | None = None
    user_location: Json | None = None
    defer_loading: bool | None = None
    execution: str | None = None
    environment: Json | None = None
    filters: Json | None = None
    search_context_size: str | None = None
    search_content_types: list[str] | None = None
    external_web_access: bool | None = None
    container: Any = None


class ToolRef(Struct, frozen=True, omit_defaults=True, gc=False):
    type: str | None = None
    name: str | None = None
    namespace: str | None = None


class ResponseToolChoice(Struct, frozen=True, omit_defaults=True, gc=False):
    type: str | None = None
    name: str | None = None
    namespace: str | None = None
    mode: str | None = None
    tools: list[ToolRef] | None = None


class ApproximateLocation(Struct, frozen=True, gc=False):
    city: str | None = None
    region: str | None = None
    country: str | None = None
    timezone: str | None = None


class UserLocation(Struct, frozen=True, gc=False):
    approximate: ApproximateLocation | None = None


class WebSearchOptions(Struct, frozen=True, gc=False):
    """The field of chat completions, which some clients send here, too."""

    user_location: UserLocation | None = None
    search_context_size: str | None = None


class ExtraBody(Struct, frozen=True, gc=False):
    """The literal key `extra_body` that some SDKs send (https://ai.google.dev/gemini-api/docs/openai#extra-body)."""

    google: Json | None = None


class ResponseRequest(Struct, frozen=True, gc=False):
    input: str | list[Item] | None = None
    model: str | None = None
    instructions: str | list[Item] | None = None
    stream: bool | None = None
    stream_options: Json | None = None
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


STAND_IN = Item()
"""Stands for an item of another dialect's shape."""
PLACEHOLDERS: Placeholders = {
    "input": placeholder(Item, b"{}"),
    "instructions": placeholder(Item, b"{}"),
    "tools": placeholder(ResponseTool, b'{"type":""}'),
    "tool_choice": placeholder(str | ResponseToolChoice | None, b'""', whole=True),
}
"""Stand-ins for values of another dialect's shape."""
decode_request = msgspec.json.Decoder(ResponseRequest).decode
encode = msgspec.json.Encoder().encode
