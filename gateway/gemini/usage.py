"""The gateway's one definition of tokens: Gemini's `usageMetadata` as counts that are safe to add up.

Every surface, the request log, the metrics and the ledger use `TokenCounts`, so that they agree on each call.
`usageMetadata` is documented at https://ai.google.dev/api/generate-content#UsageMetadata.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct, structs

from gateway.gemini.wire import ModalityTokens, UsageMetadata

MOST_TOKENS = 2**31 - 1
"""The largest count: what the ledger keeps of one call."""

_MODALITIES = {
    "TEXT": "text", "IMAGE": "image", "VIDEO": "video", "AUDIO": "audio", "DOCUMENT": "text",
    "1": "text", "2": "image", "3": "video", "4": "audio", "5": "text",
}  # fmt: skip
"""By name, or by the number in v1beta's proto, for servers that print enums so. Documents count as text."""


_NONE: Mapping[str, int] = {}


class TokenCounts(Struct, frozen=True, gc=False):
    """Tokens of one call. Every count is between 0 and MOST_TOKENS."""

    prompt: int = 0
    """Of the request, cached ones included; without `tool_use`."""
    cached: int = 0
    """Of `prompt`; never more."""
    tool_use: int = 0
    """Input that Google's own tools added, such as search results."""
    completion: int = 0
    """Of the visible answer."""
    thoughts: int = 0
    prompt_text: int = 0
    prompt_image: int = 0
    prompt_video: int = 0
    prompt_audio: int = 0
    completion_image: int = 0
    completion_audio: int = 0
    searches: int = 0
    """Google searches, which are billed beside the tokens."""
    completion_video: int = 0
    items: int = 0
    """Pictures or songs that are paid by the piece."""
    seconds: int = 0
    """Seconds of generated video that are paid by the second."""
    stored: int = 0
    """Tokens of a cached content, times the hours for which it is kept."""
    cached_audio: int = 0
    """Of `cached`, as far as Google says of what kind those are."""
    maps: int = 0
    """Prompts that were grounded with Google Maps, which are billed beside the tokens."""

    @property
    def input(self) -> int:
        """Billed input: prompt and tool use."""
        return self.prompt + self.tool_use

    @property
    def output(self) -> int:
        """Billed output: answer and thoughts."""
        return self.completion + self.thoughts

    @property
    def total(self) -> int:
        """Billed tokens, input and output."""
        return self.prompt + self.tool_use + self.completion + self.thoughts


def token_counts(usage: UsageMetadata, searches: int = 0, maps: int = 0) -> TokenCounts:
    """Return the tokens of one call, whatever Google sent, with the numbers of its searches and uses of Maps.

    Missing and negative counts are 0, and larger ones than MOST_TOKENS are cut. Where neither candidates nor thoughts
    were counted, the completion is the rest of the total: `{promptTokenCount: 10, totalTokenCount: 110}` is 100.
    """
    prompt = _count(usage.prompt_token_count)
    tool_use = _count(used) if (used := usage.tool_use_prompt_token_count) else 0
    completion = _count(usage.candidates_token_count)
    thoughts = _count(thought) if (thought := usage.thoughts_token_count) else 0
    if usage.candidates_token_count is None and not thoughts:
        completion = max(0, _count(usage.total_token_count) - prompt - tool_use)
    cached = min(prompt, _count(kept)) if (kept := usage.cached_content_token_count) else 0
    if usage.prompt_tokens_details or usage.candidates_tokens_details:
        asked = _by_modality(usage.prompt_tokens_details)
        answered = _by_modality(usage.candidates_tokens_details)
        return TokenCounts(
            prompt, cached, tool_use, completion, thoughts,
            asked.get("text", 0), asked.get("image", 0), asked.get("video", 0), asked.get("audio", 0),
            answered.get("image", 0), answered.get("audio", 0), searches, answered.get("video", 0),
            cached_audio=_cached_audio(usage, cached), maps=maps,
        )  # fmt: skip
    return TokenCounts(
        prompt, cached, tool_use, completion, thoughts,
        searches=searches, cached_audio=_cached_audio(usage, cached), maps=maps,
    )  # fmt: skip


def answer_counts(calls: Sequence[TokenCounts]) -> TokenCounts:
    """Return the tokens of one answer that several calls made (`n` choices), as its client sees them.

    The prompt counts once, as OpenAI counts it, and the outputs are summed. The log, the metrics and the ledger count
    each call by itself instead, because Google bills the prompt of every call.
    """
    if len(calls) == 1:
        return calls[0]
    if not calls:
        return TokenCounts()
    return structs.replace(
        calls[0],
        completion=sum(call.completion for call in calls),
        thoughts=sum(call.thoughts for call in calls),
        completion_image=sum(call.completion_image for call in calls),
        completion_audio=sum(call.completion_audio for call in calls),
        completion_video=sum(call.completion_video for call in calls),
    )


def continued_counts(calls: Sequence[TokenCounts]) -> TokenCounts:
    """Return the tokens of one answer that several calls wrote one after another, as its client sees them.

    Each of them read the prompt and what was written before, so the prompt of the first is the client's own.
    """
    if len(calls) == 1:
        return calls[0]
    whole = answer_counts(calls)
    return structs.replace(
        whole,
        tool_use=sum(call.tool_use for call in calls),
        searches=sum(call.searches for call in calls),
        maps=sum(call.maps for call in calls),
    )


NO_USAGE = UsageMetadata()
"""The counts of an answer before Google has sent any."""


def is_whole(usage: UsageMetadata) -> bool:
    """Return whether input and output were counted. Google leaves out a count of 0, but not the total."""
    return usage.prompt_token_count is not None and (
        usage.candidates_token_count is not None or usage.total_token_count is not None
    )


def merge(earlier: UsageMetadata, later: UsageMetadata) -> UsageMetadata:
    """Return the counts of a stream so far: the highest of each, with the last details.

    Counts are cumulative, so chunks are never summed; any field may be missing from any chunk (recorded traffic). A
    count that falls takes nothing back: Google has billed what it counted. But nothing is taken from earlier chunks
    where input and output of a chunk add up to its own total: they may have counted its tokens by another name.
    """
    # Spelt out, because this runs for every chunk of most streams.
    prompt, total, tool_use = (
        later.prompt_token_count,
        later.total_token_count,
        later.tool_use_prompt_token_count,
    )
    candidates, thoughts = later.candidates_token_count, later.thoughts_token_count
    output = (candidates or 0) + (thoughts or 0)
    if output and prompt and total == prompt + output + (tool_use or 0):  # it adds up: the commonest case
        return later if earlier.service_tier is None else _in_tier(later, earlier.service_tier)
    if earlier is NO_USAGE:
        return later
    cached, tier = later.cached_content_token_count, later.service_tier
    prompts, completions = later.prompt_tokens_details, later.candidates_tokens_details
    if prompt is None or prompt < (earlier.prompt_token_count or 0):
        prompt = earlier.prompt_token_count
    if candidates is None or candidates < (earlier.candidates_token_count or 0):
        candidates = earlier.candidates_token_count
    if thoughts is None or thoughts < (earlier.thoughts_token_count or 0):
        thoughts = earlier.thoughts_token_count
    if tool_use is None or tool_use < (earlier.tool_use_prompt_token_count or 0):
        tool_use = earlier.tool_use_prompt_token_count
    if total is None or total < (earlier.total_token_count or 0):
        total = earlier.total_token_count
    return UsageMetadata(
        prompt,
        candidates,
        thoughts,
        tool_use,
        earlier.cached_content_token_count if cached is None else cached,
        total,
        earlier.prompt_tokens_details if prompts is None else prompts,
        earlier.candidates_tokens_details if completions is None else completions,
        earlier.service_tier if tier is None else tier,
        later.cache_tokens_details or earlier.cache_tokens_details,
    )


def merge_all(earlier: UsageMetadata, later: Sequence[UsageMetadata]) -> UsageMetadata:
    """Return what `merge` makes of one or more chunks, one after another.

    Of the chunks before one that adds up, only the tier is left.
    """
    start, last = len(later) - 1, later[-1]
    if (last.service_tier is not None or (start == 0 and earlier.service_tier is None)) and _adds_up(last):
        return last  # the commonest case
    while start > 0 and not _adds_up(later[start]):
        start -= 1
    if start > 0:
        tiers = [usage.service_tier for usage in later[: start + 1] if usage.service_tier is not None]
        earlier = _in_tier(later[start], tiers[-1] if tiers else earlier.service_tier)
        start += 1
    for usage in later[start:]:
        earlier = merge(earlier, usage)
    return earlier


def _adds_up(usage: UsageMetadata) -> bool:
    """Return whether input and output are counted, and are the chunk's own total."""
    prompt, total = usage.prompt_token_count, usage.total_token_count
    output = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
    return bool(output and prompt) and total == prompt + output + (usage.tool_use_prompt_token_count or 0)  # type: ignore[operator]  # not None


def _in_tier(usage: UsageMetadata, tier: str | int | None) -> UsageMetadata:
    """Return the counts with a tier, unless they name one."""
    if usage.service_tier is not None or tier is None:
        return usage
    return structs.replace(usage, service_tier=tier)


def _count(value: int | None) -> int:
    """Return a count that never lowers a sum."""
    if not value or value < 0:
        return 0
    return value if value < MOST_TOKENS else MOST_TOKENS


def _cached_audio(usage: UsageMetadata, cached: int) -> int:
    if not cached or not usage.cache_tokens_details:
        return 0
    return min(cached, _by_modality(usage.cache_tokens_details).get("audio", 0))


def _by_modality(details: Sequence[ModalityTokens] | None) -> Mapping[str, int]:
    if not details:
        return _NONE
    sums: dict[str, int] = {}
    for detail in details:
        name = _MODALITIES.get(str(detail.modality))
        if name is not None:
            sums[name] = _count(sums.get(name, 0) + _count(detail.token_count))
    return sums
