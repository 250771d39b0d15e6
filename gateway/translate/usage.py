"""Gemini's token counts, merged over a stream and told in OpenAI's terms (translation.md C.11, D.7)."""

from gateway.wire.gemini import ModalityTokens, UsageMetadata
from gateway.wire.openai_chat import CompletionTokensDetails, PromptTokensDetails, Usage

_AUDIO = ("AUDIO", 4)  # by name, or by number from servers that print enums so


def merge(earlier: UsageMetadata, later: UsageMetadata) -> UsageMetadata:
    """The later counts, with what they leave out taken from the earlier ones. Chunks are never summed."""
    # Once per chunk of every stream: spelt out, it costs a fifth of a loop over the fields.
    if later.prompt_token_count is None:
        later.prompt_token_count = earlier.prompt_token_count
    if later.candidates_token_count is None:
        later.candidates_token_count = earlier.candidates_token_count
    if later.thoughts_token_count is None:
        later.thoughts_token_count = earlier.thoughts_token_count
    if later.tool_use_prompt_token_count is None:
        later.tool_use_prompt_token_count = earlier.tool_use_prompt_token_count
    if later.cached_content_token_count is None:
        later.cached_content_token_count = earlier.cached_content_token_count
    if later.total_token_count is None:
        later.total_token_count = earlier.total_token_count
    if later.prompt_tokens_details is None:
        later.prompt_tokens_details = earlier.prompt_tokens_details
    if later.candidates_tokens_details is None:
        later.candidates_tokens_details = earlier.candidates_tokens_details
    return later


def openai_usage(counts: UsageMetadata) -> Usage:
    """OpenAI's usage: thoughts are completion, tool use is prompt, and prompt + completion = total."""
    prompt = _count(counts.prompt_token_count) + _count(counts.tool_use_prompt_token_count)
    thoughts = _count(counts.thoughts_token_count)
    completion = _count(counts.candidates_token_count) + thoughts
    if counts.candidates_token_count is None and not thoughts:
        completion = max(0, _count(counts.total_token_count) - prompt)
    return Usage(
        prompt,
        completion,
        prompt + completion,
        PromptTokensDetails(
            _count(counts.cached_content_token_count), _audio_tokens(counts.prompt_tokens_details)
        ),
        CompletionTokensDetails(thoughts, _audio_tokens(counts.candidates_tokens_details)),
    )


def _count(value: int | None) -> int:
    """A count that never lowers a total, whatever was sent (robustness.md S27)."""
    return max(0, value or 0)


def _audio_tokens(details: list[ModalityTokens] | None) -> int:
    return sum(_count(d.token_count) for d in details or () if d.modality in _AUDIO)
