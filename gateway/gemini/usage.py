"""Gemini's token counts, merged over a stream and told in OpenAI's terms (translation.md C.11, D.7)."""

from collections.abc import Sequence

from msgspec import UNSET, UnsetType

from gateway.gemini.wire import ModalityTokens, UsageMetadata
from gateway.plugins.chat.wire import CompletionTokensDetails, PromptTokensDetails, Usage

_MODALITIES = {"TEXT": 1, "IMAGE": 2, "VIDEO": 3, "AUDIO": 4, "DOCUMENT": 5}
"""By name, or by number from servers that print enums so."""
_TIERS = {"standard": "default", "flex": "flex", "priority": "priority"}


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
    if later.service_tier is None:
        later.service_tier = earlier.service_tier
    return later


def openai_usage(calls: Sequence[UsageMetadata]) -> Usage:
    """OpenAI's usage: thoughts are completion, tool use is prompt, and prompt + completion = total.

    Of several calls for one answer the prompt counts once and the completions are summed (translation.md A.2).
    """
    if len(calls) == 1:
        return _usage(calls[0])
    if not calls:
        return _usage(UsageMetadata())
    found = [_usage(call) for call in calls]
    first = found[0]
    first.completion_tokens = sum(usage.completion_tokens for usage in found)
    first.total_tokens = first.prompt_tokens + first.completion_tokens
    details = first.completion_tokens_details
    details.reasoning_tokens = sum(u.completion_tokens_details.reasoning_tokens for u in found)
    details.audio_tokens = sum(u.completion_tokens_details.audio_tokens for u in found)
    return first


def service_tier(calls: Sequence[UsageMetadata]) -> str | UnsetType:
    """OpenAI's name of the tier that answered (translation.md C.1)."""
    tier = calls[0].service_tier if calls else None
    return _TIERS.get(str(tier).lower(), UNSET) if tier is not None else UNSET


def _usage(counts: UsageMetadata) -> Usage:
    prompt = _count(counts.prompt_token_count) + _count(counts.tool_use_prompt_token_count)
    thoughts = _count(counts.thoughts_token_count)
    completion = _count(counts.candidates_token_count) + thoughts
    if counts.candidates_token_count is None and not thoughts:
        completion = max(0, _count(counts.total_token_count) - prompt)
    return Usage(
        prompt,
        completion,
        prompt + completion,
        _prompt_details(counts),
        CompletionTokensDetails(
            thoughts,
            _tokens(counts.candidates_tokens_details, "AUDIO"),
            image_tokens=_tokens(counts.candidates_tokens_details, "IMAGE") or UNSET,
        ),
    )


def _prompt_details(counts: UsageMetadata) -> PromptTokensDetails:
    """By modality; a document's tokens are text (translation.md C.11)."""
    cached = _count(counts.cached_content_token_count)
    details = counts.prompt_tokens_details
    if not details:
        return PromptTokensDetails(cached)
    return PromptTokensDetails(
        cached,
        _tokens(details, "AUDIO"),
        _tokens(details, "TEXT") + _tokens(details, "DOCUMENT") or UNSET,
        _tokens(details, "IMAGE") or UNSET,
        _tokens(details, "VIDEO") or UNSET,
    )


def _count(value: int | None) -> int:
    """A count that never lowers a total, whatever was sent (robustness.md S27)."""
    return max(0, value or 0)


def _tokens(details: list[ModalityTokens] | None, modality: str) -> int:
    if not details:
        return 0
    names = (modality, _MODALITIES[modality])
    return sum(_count(d.token_count) for d in details if d.modality in names)
