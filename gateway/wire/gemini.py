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


class FunctionResponse(_Message):
    name: str
    response: Raw
    id: str | None = None


class ExecutableCode(_Message):
    code: str = ""
    language: str = ""


class CodeExecutionResult(_Message):
    outcome: str | int = ""
    output: str = ""


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


class Content(_Message):
    """One turn. Role is `user` or `model`, absent in a systemInstruction."""

    parts: list[Part] | None = None
    role: str | None = None


class SafetySetting(_Message):
    category: str
    threshold: str


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


class GenerateContentRequest(_Message):
    contents: list[Content]
    system_instruction: Content | None = None
    safety_settings: list[SafetySetting] | None = None
    generation_config: GenerationConfig | None = None


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


class SafetyRating(_Message):
    category: str | int = ""
    blocked: bool = False


class Candidate(_Message):
    content: Content | None = None
    finish_reason: str | int | None = None
    """A name, or its number from servers that print enums so."""
    finish_message: str | None = None
    index: int | None = None
    safety_ratings: list[SafetyRating] | None = None
    grounding_metadata: Raw = NO_JSON


class PromptFeedback(_Message):
    block_reason: str | int | None = None
    block_reason_message: str | None = None


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


encode_request = msgspec.json.Encoder().encode
decode_response = msgspec.json.Decoder(GenerateContentResponse).decode


class GeminiCall(Struct, frozen=True):
    """One call of a model: everything the upstream needs but the key."""

    model: str
    """An id that is safe in a URL: checked by whoever resolved it."""
    body: bytes
    stream: bool = False

    @property
    def path(self) -> str:
        """Below the API version; SSE has to be asked for (translation.md 0.1)."""
        name = self.model if self.model.startswith("tunedModels/") else f"models/{self.model}"
        return f"{name}:streamGenerateContent?alt=sse" if self.stream else f"{name}:generateContent"
