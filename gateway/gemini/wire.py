"""Gemini's messages, as far as we write or read them (translation.md 0.2 to 0.6).

Requests are written in full; of answers only what we use is declared, and anything else is skipped while
decoding. Arguments of function calls stay undecoded (`msgspec.Raw`): numbers pass through as they came.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

NO_JSON = Raw()
"""An absent field of free form; msgspec takes no `Raw | None`."""


class _Message(Struct, rename="camel", omit_defaults=True, gc=False):
    """camelCase on the wire, absent fields absent. Trees without cycles: the collector need not know them."""


class Blob(_Message):
    mime_type: str = ""
    data: str = ""
    """Base64, standard alphabet."""


class FileData(_Message):
    file_uri: str
    mime_type: str | None = None


class FunctionCall(_Message):
    name: str = ""
    args: Raw = NO_JSON
    id: str | None = None


class FunctionResponsePart(_Message):
    """Media beside a function's response; Gemini 3 and newer (translation.md B.8)."""

    inline_data: Blob | None = None
    file_data: FileData | None = None


class FunctionResponse(_Message):
    name: str
    response: Raw | dict[str, Any]
    id: str | None = None
    parts: list[FunctionResponsePart] | None = None


class ExecutableCode(_Message):
    code: str = ""
    language: str = ""


class CodeExecutionResult(_Message):
    outcome: str | int = ""
    output: str = ""


class MediaResolution(_Message):
    level: str


class Part(_Message):
    """Exactly one data field, and modifiers (translation.md 0.5)."""

    text: str | None = None
    inline_data: Blob | None = None
    file_data: FileData | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None
    executable_code: ExecutableCode | None = None
    code_execution_result: CodeExecutionResult | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    media_resolution: MediaResolution | None = None
    video_metadata: Raw = NO_JSON


class Content(_Message):
    """One turn. Role is `user` or `model`, absent in a systemInstruction."""

    parts: list[Part] | None = None
    role: str | None = None


class SafetySetting(_Message):
    category: str
    threshold: str


class FunctionDeclaration(_Message):
    name: str
    description: str | None = None
    parameters_json_schema: dict[str, Any] | None = None
    parameters: dict[str, Any] | None = None
    """The classic Schema: only when a model refused the JSON Schema."""


class FunctionCallingConfig(_Message):
    mode: str
    allowed_function_names: list[str] | None = None


class ToolConfig(_Message):
    function_calling_config: FunctionCallingConfig | None = None
    retrieval_config: dict[str, Any] | None = None
    include_server_side_tool_invocations: bool | None = None


class Tool(_Message):
    """One for all functions, one for each built-in; an empty object switches a built-in on (0.6)."""

    function_declarations: list[FunctionDeclaration] | None = None
    google_search: dict[str, Any] | None = None
    google_search_retrieval: dict[str, Any] | None = None
    code_execution: dict[str, Any] | None = None
    url_context: dict[str, Any] | None = None
    google_maps: dict[str, Any] | None = None
    file_search: dict[str, Any] | None = None
    computer_use: dict[str, Any] | None = None
    mcp_servers: list[Any] | None = None


class ThinkingConfig(_Message):
    include_thoughts: bool | None = None
    thinking_budget: int | None = None
    thinking_level: str | None = None


class GenerationConfig(_Message):
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    candidate_count: int | None = None
    max_output_tokens: int | None = None
    stop_sequences: list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    response_logprobs: bool | None = None
    logprobs: int | None = None
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


class GenerateContentRequest(_Message):
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


class ModalityTokens(_Message):
    modality: str | int = ""
    token_count: int = 0


class UsageMetadata(_Message):
    """Cumulative over a stream; any field may be missing from any chunk (translation.md D.7)."""

    prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    total_token_count: int | None = None
    prompt_tokens_details: list[ModalityTokens] | None = None
    candidates_tokens_details: list[ModalityTokens] | None = None
    service_tier: str | int | None = None


class SafetyRating(_Message):
    category: str | int = ""
    probability: str | int = ""
    blocked: bool = False


class LogprobsCandidate(_Message):
    token: str = ""
    log_probability: float | None = None


class TopCandidates(_Message):
    candidates: list[LogprobsCandidate] | None = None


class LogprobsResult(_Message):
    """Position by position: the token that was chosen, and what else was likely."""

    chosen_candidates: list[LogprobsCandidate] | None = None
    top_candidates: list[TopCandidates] | None = None


class Source(_Message):
    """Where a grounding chunk comes from: the web, a map, or a file store."""

    uri: str = ""
    title: str = ""


class GroundingChunk(_Message):
    web: Source | None = None
    maps: Source | None = None
    retrieved_context: Source | None = None


class Segment(_Message):
    """Bytes of the UTF-8 text; a start of 0 is left out (translation.md C.10)."""

    start_index: int = 0
    end_index: int = 0
    text: str = ""


class GroundingSupport(_Message):
    segment: Segment | None = None
    grounding_chunk_indices: list[int] | None = None


class GroundingMetadata(_Message):
    grounding_chunks: list[GroundingChunk] | None = None
    grounding_supports: list[GroundingSupport] | None = None
    web_search_queries: list[str] | None = None


class CitationSource(_Message):
    """Text recited from somewhere; its offsets are bytes too."""

    start_index: int = 0
    end_index: int = 0
    uri: str = ""


class CitationMetadata(_Message):
    citation_sources: list[CitationSource] | None = None


class Candidate(_Message):
    content: Content | None = None
    finish_reason: str | int | None = None
    """A name, or its number from servers that print enums so."""
    finish_message: str | None = None
    index: int | None = None
    safety_ratings: list[SafetyRating] | None = None
    grounding_metadata: Raw = NO_JSON
    """Undecoded: clients that ask get it as it came."""
    citation_metadata: CitationMetadata | None = None
    url_context_metadata: Raw = NO_JSON
    logprobs_result: LogprobsResult | None = None


class PromptFeedback(_Message):
    block_reason: str | int | None = None
    block_reason_message: str | None = None
    safety_ratings: list[SafetyRating] | None = None


class ErrorStatus(_Message):
    """google.rpc.Status (translation.md E.1); `details` are of many kinds."""

    code: int = 0
    message: str = ""
    status: str | int = ""
    details: list[dict[str, Any]] | None = None


class GenerateContentResponse(_Message):
    """One answer, or one event of a stream. `error` appears inside a 200 (translation.md D.8)."""

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
decode_response = msgspec.json.Decoder(GenerateContentResponse).decode
decode_grounding = msgspec.json.Decoder(GroundingMetadata).decode
