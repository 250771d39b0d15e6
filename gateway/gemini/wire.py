"""Gemini's messages, as far as the gateway writes or reads them (https://ai.google.dev/api/generate-content).

Requests are declared in full. Of answers only the fields that are used are declared; decoding skips all others. The
arguments of function calls stay undecoded (`msgspec.Raw`), so numbers pass through as they came. Every message is
immutable: whoever wants another makes another.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
"""A number of a request. Google refuses others: `Invalid value at 'generation_config.seed' (TYPE_INT32)`."""

NO_JSON = Raw()
"""An absent field of any shape; msgspec does not accept `Raw | None`."""


class _Message(Struct, rename="camel", omit_defaults=True, frozen=True, gc=False):
    """A message: camelCase on the wire, no absent fields. It holds no cycles, so the collector skips it."""


class Blob(_Message, frozen=True):
    mime_type: str = ""
    data: str = ""
    """Base64 in the standard alphabet."""


class FileData(_Message, frozen=True):
    file_uri: str
    mime_type: str | None = None


class FunctionCall(_Message, frozen=True):
    name: str = ""
    args: Raw = NO_JSON
    id: str | None = None


class FunctionResponsePart(_Message, frozen=True):
    """Media inside a function's response; Gemini 3 and newer accept it."""

    inline_data: Blob | None = None
    file_data: FileData | None = None


class FunctionResponse(_Message, frozen=True):
    name: str
    response: Any
    """A JSON object."""
    id: str | None = None
    parts: list[FunctionResponsePart] | None = None


class ExecutableCode(_Message, frozen=True):
    code: str = ""
    language: str | int = ""
    id: str | None = None


class CodeExecutionResult(_Message, frozen=True):
    outcome: str | int = ""
    output: str = ""
    id: str | None = None
    """The id of its code."""


class ServerToolCall(_Message, frozen=True):
    """A call of a tool that Google runs, told where `includeServerSideToolInvocations` asks for it."""

    tool_type: str | int = ""
    """`GOOGLE_SEARCH_WEB`, `URL_CONTEXT`, … (https://ai.google.dev/api/caching#ToolType)."""
    args: Raw = NO_JSON
    id: str | None = None


class ServerToolResponse(_Message, frozen=True):
    """The result of a tool that Google runs."""

    tool_type: str | int = ""
    response: Raw = NO_JSON
    id: str | None = None
    """The id of its call."""


class MediaResolution(_Message, frozen=True):
    level: str


class Part(_Message, frozen=True):
    """One part of a turn: exactly one data field, and modifiers."""

    text: str | None = None
    inline_data: Blob | None = None
    file_data: FileData | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None
    executable_code: ExecutableCode | None = None
    code_execution_result: CodeExecutionResult | None = None
    tool_call: ServerToolCall | None = None
    tool_response: ServerToolResponse | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    media_resolution: MediaResolution | None = None
    video_metadata: Raw = NO_JSON


class Content(_Message, frozen=True):
    """One turn. The role is `user` or `model`; a systemInstruction has none."""

    parts: list[Part] | None = None
    role: str | None = None


class SafetySetting(_Message, frozen=True):
    category: str
    threshold: str


class FunctionDeclaration(_Message, frozen=True):
    name: str
    description: str | None = None
    parameters_json_schema: dict[str, Any] | None = None
    parameters: dict[str, Any] | None = None
    """The older OpenAPI Schema, for models that refuse `parametersJsonSchema`."""


class FunctionCallingConfig(_Message, frozen=True):
    mode: str
    allowed_function_names: list[str] | None = None


class ToolConfig(_Message, frozen=True):
    function_calling_config: FunctionCallingConfig | None = None
    retrieval_config: dict[str, Any] | None = None
    include_server_side_tool_invocations: bool | None = None


class Tool(_Message, frozen=True):
    """One tool: all functions, or one built-in tool. An empty object switches a built-in tool on."""

    function_declarations: list[FunctionDeclaration] | None = None
    google_search: dict[str, Any] | None = None
    google_search_retrieval: dict[str, Any] | None = None
    code_execution: dict[str, Any] | None = None
    url_context: dict[str, Any] | None = None
    google_maps: dict[str, Any] | None = None
    file_search: dict[str, Any] | None = None
    computer_use: dict[str, Any] | None = None
    mcp_servers: list[Any] | None = None


class ThinkingConfig(_Message, frozen=True):
    include_thoughts: bool | None = None
    thinking_budget: Int32 | None = None
    thinking_level: str | None = None


class GenerationConfig(_Message, frozen=True):
    temperature: float | None = None
    top_p: float | None = None
    top_k: Int32 | None = None
    candidate_count: Int32 | None = None
    max_output_tokens: Int32 | None = None
    stop_sequences: list[str] | None = None
    seed: Int32 | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    response_logprobs: bool | None = None
    logprobs: Int32 | None = None
    response_mime_type: str | None = None
    response_schema: dict[str, Any] | None = None
    response_json_schema: dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    response_modalities: list[str] | None = None
    media_resolution: str | None = None
    speech_config: dict[str, Any] | None = None
    thinking_config: ThinkingConfig | None = None
    image_config: dict[str, Any] | None = None
    audio_transcription_config: dict[str, Any] | None = None
    enable_enhanced_civic_answers: bool | None = None


class GenerateContentRequest(_Message, frozen=True):
    contents: list[Content]
    system_instruction: Content | None = None
    tools: list[Tool] | None = None
    tool_config: ToolConfig | None = None
    safety_settings: list[SafetySetting] | None = None
    generation_config: GenerationConfig | None = None
    cached_content: str | None = None
    service_tier: str | None = None
    labels: dict[str, str] | None = None
    store: bool | None = None
    continuation_token: str | None = None


class ModalityTokens(_Message, frozen=True):
    modality: str | int = ""
    token_count: int = 0


class UsageMetadata(_Message, frozen=True):
    """Token counts. They are cumulative over a stream, and any chunk may leave out any of them."""

    prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    total_token_count: int | None = None
    prompt_tokens_details: list[ModalityTokens] | None = None
    candidates_tokens_details: list[ModalityTokens] | None = None
    service_tier: str | int | None = None
    cache_tokens_details: list[ModalityTokens] | None = None


class SafetyRating(_Message, frozen=True):
    category: str | int = ""
    probability: str | int = ""
    blocked: bool = False


class LogprobsCandidate(_Message, frozen=True):
    token: str = ""
    log_probability: float | None = None


class TopCandidates(_Message, frozen=True):
    candidates: list[LogprobsCandidate] | None = None


class LogprobsResult(_Message, frozen=True):
    """The chosen token and the likeliest candidates, by position."""

    chosen_candidates: list[LogprobsCandidate] | None = None
    top_candidates: list[TopCandidates] | None = None


class Source(_Message, frozen=True):
    """The source of a grounding chunk: the web, a map, or a file store."""

    uri: str = ""
    title: str = ""


class GroundingChunk(_Message, frozen=True):
    web: Source | None = None
    maps: Source | None = None
    retrieved_context: Source | None = None


class Segment(_Message, frozen=True):
    """Byte offsets in the UTF-8 text. Google leaves out a start of 0 (proto3 default)."""

    start_index: int = 0
    end_index: int = 0
    text: str = ""


class GroundingSupport(_Message, frozen=True):
    segment: Segment | None = None
    grounding_chunk_indices: list[int] | None = None


class GroundingMetadata(_Message, frozen=True):
    grounding_chunks: list[GroundingChunk] | None = None
    grounding_supports: list[GroundingSupport] | None = None
    web_search_queries: list[str] | None = None


class CitationSource(_Message, frozen=True):
    """Text that the model recited; the offsets are bytes, too."""

    start_index: int = 0
    end_index: int = 0
    uri: str = ""


class CitationMetadata(_Message, frozen=True):
    citation_sources: list[CitationSource] | None = None
    citations: list[CitationSource] | None = None
    """The same, by Vertex AI's name (recorded traffic)."""


class Candidate(_Message, frozen=True):
    content: Content | None = None
    finish_reason: str | int | None = None
    """The name, or the number of the enum from servers that print numbers."""
    finish_message: str | None = None
    index: int | None = None
    safety_ratings: list[SafetyRating] | None = None
    grounding_metadata: Raw = NO_JSON
    """Undecoded, because some clients get it unchanged."""
    citation_metadata: CitationMetadata | None = None
    url_context_metadata: Raw = NO_JSON
    logprobs_result: LogprobsResult | None = None
    continuation_token: str | None = None
    """Sent back with the same request, it continues an answer that ended with CONTINUATION."""


class PromptFeedback(_Message, frozen=True):
    block_reason: str | int | None = None
    block_reason_message: str | None = None
    safety_ratings: list[SafetyRating] | None = None


class ErrorStatus(_Message, frozen=True):
    """google.rpc.Status (https://cloud.google.com/apis/design/errors); `details` have many shapes."""

    code: int = 0
    message: str = ""
    status: str | int = ""
    details: list[dict[str, Any]] | None = None


class GenerateContentResponse(_Message, frozen=True):
    """One answer, or one event of a stream. `error` can appear inside a 200 (recorded traffic)."""

    candidates: list[Candidate] | None = None
    prompt_feedback: PromptFeedback | None = None
    usage_metadata: UsageMetadata | None = None
    model_version: str | None = None
    response_id: str | None = None
    error: ErrorStatus | None = None


class ErrorBody(Struct):
    error: ErrorStatus


encode_json = msgspec.json.Encoder().encode
encode_request = encode_json
decode_part = msgspec.json.Decoder(Part).decode
decode_response = msgspec.json.Decoder(GenerateContentResponse).decode
decode_grounding = msgspec.json.Decoder(GroundingMetadata).decode
