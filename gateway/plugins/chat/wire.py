"""OpenAI's chat completions: the request as far as it is read.

Only fields that mean something to Gemini are declared; the field policies judge all others by name. Null means absent
for every optional field, because SDKs send explicit nulls. Fields in which other vendors keep a thought signature are
declared where those vendors put them.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from gateway.conversation.foreign.originals import Placeholders, placeholder
from gateway.conversation.parts import MediaHints

Json = dict[str, Any]
PositiveInt = Annotated[int, Meta(ge=1, le=2**31 - 1)]


class ImageURL(MediaHints, frozen=True, gc=False, kw_only=True):
    url: str
    format: str | None = None
    """LiteLLM's field: the MIME type, for an address that does not show it."""
    mime_type: str | None = None


class InputAudio(Struct, gc=False):
    data: str
    format: str | None = None


class FileInput(MediaHints, frozen=True, gc=False, kw_only=True):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None
    format: str | None = None
    mime_type: str | None = None


class ContentPart(MediaHints, frozen=True, gc=False, kw_only=True):
    """One part of a message; `type` says which other field counts."""

    type: str
    text: str | None = None
    image_url: ImageURL | str | None = None
    input_audio: InputAudio | None = None
    file: FileInput | None = None
    video_url: ImageURL | str | None = None
    audio_url: ImageURL | str | None = None
    refusal: str | None = None
    mime_type: str | None = None


class GoogleExtra(Struct, gc=False):
    thought_signature: str | None = None
    server_parts: Raw = msgspec.field(default_factory=Raw)
    """Parts that Google's own tools made, as the answer gave them."""


class ExtraIn(Struct, gc=False):
    """Google's extension of a message, as a client sends it back."""

    google: GoogleExtra | None = None
    vertex: GoogleExtra | None = None


class ProviderFields(Struct, gc=False):
    """LiteLLM's place for thought signatures."""

    thought_signature: str | None = None
    thought_signatures: list[str] | None = None


class CalledFunction(Struct, gc=False):
    name: str
    arguments: str | Json | None = None
    thought_signature: str | None = None
    provider_specific_fields: ProviderFields | None = None


class CalledCustom(Struct, gc=False):
    name: str
    input: str = ""


class CallIn(Struct, gc=False):
    """A call of an earlier answer, with its thought signature in any place where clients keep it."""

    id: str | None = None
    type: str | None = None
    function: CalledFunction | None = None
    custom: CalledCustom | None = None
    extra_content: ExtraIn | None = None
    provider_specific_fields: ProviderFields | None = None
    thought_signature: str | None = None
    thoughtSignature: str | None = None  # noqa: N815 - as Databricks spells it


class ReasoningDetail(Struct, gc=False):
    """OpenRouter's field: the type `reasoning.encrypted` carries a call's thought signature."""

    type: str | None = None
    data: str | None = None
    id: str | None = None


class ImageIn(Struct, gc=False):
    """An image of an earlier answer, in the shape of `ImageOut`."""

    image_url: ImageURL | None = None


class Message(Struct, gc=False):
    role: str
    content: str | list[ContentPart] | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: list[CallIn] | None = None
    tool_call_id: str | None = None
    function_call: CalledFunction | None = None
    extra_content: ExtraIn | None = None
    provider_specific_fields: ProviderFields | None = None
    reasoning_details: list[ReasoningDetail] | None = None
    images: list[ImageIn] | None = None


class StreamOptions(Struct, gc=False):
    include_usage: bool | None = None


class SafetySetting(Struct, gc=False):
    """Gemini's own safety setting, as an extension of the request."""

    category: str
    threshold: str


class FunctionDefinition(Struct, gc=False):
    name: str
    description: str | None = None
    parameters: Json | None = None
    strict: bool | None = None


class CustomDefinition(Struct, gc=False):
    name: str
    description: str | None = None
    format: Json | None = None


class Tool(Struct, gc=False):
    """A function, a custom tool, or a built-in tool of Gemini's, named by `type` or by Google's own key."""

    type: str | None = None
    function: FunctionDefinition | None = None
    custom: CustomDefinition | None = None
    google_search: Json | None = None
    google_search_camel: Json | None = msgspec.field(default=None, name="googleSearch")
    url_context: Json | None = None
    url_context_camel: Json | None = msgspec.field(default=None, name="urlContext")
    code_execution: Json | None = None
    code_execution_camel: Json | None = msgspec.field(default=None, name="codeExecution")
    google_maps: Json | None = None
    google_maps_camel: Json | None = msgspec.field(default=None, name="googleMaps")


class NamedTool(Struct, gc=False):
    """A tool by name, nested (Chat Completions) or flat (Responses)."""

    type: str | None = None
    name: str | None = None
    function: "ToolName | None" = None
    custom: "ToolName | None" = None


class ToolName(Struct, gc=False):
    name: str


class AllowedTools(Struct, gc=False):
    tools: list[NamedTool]
    mode: str = "auto"


class ToolChoice(Struct, gc=False):
    type: str | None = None
    name: str | None = None
    function: ToolName | None = None
    custom: ToolName | None = None
    allowed_tools: AllowedTools | None = None
    mode: str | None = None
    tools: list[NamedTool] | None = None


class JsonSchemaFormat(Struct, gc=False):
    name: str | None = None
    description: str | None = None
    schema: Json | None = None
    strict: bool | None = None


class ResponseFormat(Struct, gc=False):
    type: str
    json_schema: JsonSchemaFormat | None = None


class ApproximateLocation(Struct, gc=False):
    city: str | None = None
    region: str | None = None
    country: str | None = None
    timezone: str | None = None


class UserLocation(Struct, gc=False):
    approximate: ApproximateLocation | None = None


class WebSearchOptions(Struct, gc=False):
    user_location: UserLocation | None = None
    search_context_size: str | None = None


class AudioOut(Struct, gc=False):
    voice: str | Json | None = None
    format: str | None = None


class AnthropicThinking(Struct, gc=False):
    type: str | None = None
    budget_tokens: int | None = None


class OpenRouterReasoning(Struct, gc=False):
    effort: str | None = None
    max_tokens: int | None = None
    exclude: bool | None = None
    enabled: bool | None = None


class ExtraBody(Struct, gc=False):
    """The literal key `extra_body`, which some SDKs send (https://ai.google.dev/gemini-api/docs/openai#extra-body)."""

    google: Json | None = None


class ChatRequest(Struct, gc=False):
    messages: Annotated[list[Message], Meta(min_length=1)] | None = None
    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: PositiveInt | None = None
    n: Annotated[int, Meta(ge=1)] | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    max_tokens: PositiveInt | None = None
    max_completion_tokens: PositiveInt | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    response_format: ResponseFormat | None = None
    tools: list[Tool] | None = None
    tool_choice: str | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    functions: list[FunctionDefinition] | None = None
    function_call: str | ToolName | None = None
    reasoning_effort: str | None = None
    reasoning: OpenRouterReasoning | None = None
    thinking: AnthropicThinking | None = None
    modalities: list[str] | None = None
    audio: AudioOut | None = None
    web_search_options: WebSearchOptions | None = None
    service_tier: str | None = None
    safety_settings: list[SafetySetting] | None = None
    cached_content: str | None = None
    prompt_cache_key: str | None = None
    thinking_config: Json | None = None
    google: Json | None = None
    extra_body: ExtraBody | None = None


decode_request = msgspec.json.Decoder(ChatRequest).decode

PLACEHOLDERS: Placeholders = {
    "messages": placeholder(Message, b'{"role":""}'),
    "tools": placeholder(Tool, b'{"type":""}'),
    "tool_choice": placeholder(str | ToolChoice | None, b'""', whole=True),
}
"""Stand-ins for values of another dialect's shape."""
