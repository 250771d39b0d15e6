"""Plain chat completions: one text that is complete, told in one look. Any other answer is for `response`."""

from collections.abc import Sequence

from msgspec import UNSET

from gateway.gemini.events import Event
from gateway.gemini.finish_reasons import REASONS
from gateway.gemini.plain_answer import PlainAnswer, named, one_text
from gateway.gemini.usage import TokenCounts
from gateway.plugins.chat import answer_wire as openai
from gateway.plugins.chat.response import TIERS, Envelope, usage


def completion(events: Sequence[Event], envelope: Envelope) -> openai.ChatCompletion | None:
    """Return the completion that `response.completion` returns; None for events of anything but one text."""
    answer = one_text(events)
    if answer is None:
        return None
    start, text, end, ended = answer
    if text.index != end.index or text.logprobs is not None or end.server_parts:
        return None
    envelope.rename(start)
    choice = openai.Choice(end.index, _message(text.text, end.signature), end.reason)
    return _completion(choice, ended.counts, ended.service_tier, envelope)


def of_answer(answer: PlainAnswer, counts: TokenCounts, envelope: Envelope) -> openai.ChatCompletion | None:
    """Return the completion for a plain answer, without its events; None for more than one text."""
    candidate = answer.candidates[0]
    parts = candidate.content.parts
    if len(parts) != 1:
        return None
    envelope.name(answer.response_id, named(answer.model_version, None))
    part, usage_metadata = parts[0], answer.usage_metadata
    choice = openai.Choice(0, _message(part.text, part.thought_signature), REASONS[candidate.finish_reason])
    tier = usage_metadata.service_tier if usage_metadata is not None else None
    return _completion(choice, counts, tier, envelope)


def _message(text: str, signature: str | None) -> openai.AssistantMessage:
    message = openai.AssistantMessage(text)
    if signature:
        message.extra_content = openai.ExtraContent(openai.Google(signature))
    return message


def _completion(
    choice: openai.Choice, counts: TokenCounts, tier: str | int | None, envelope: Envelope
) -> openai.ChatCompletion:
    return openai.ChatCompletion(
        envelope.id,
        envelope.created,
        envelope.model,
        [choice],
        usage(counts),
        service_tier=UNSET if tier is None else TIERS.get(str(tier).lower(), UNSET),
    )
