"""Plain chat completions: one text that is complete, told in one look. Any other answer is for `response`."""

from collections.abc import Sequence

from msgspec import UNSET

from gateway.gemini.events import Event
from gateway.gemini.plain_answer import one_text
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
    message = openai.AssistantMessage(text.text)
    if end.signature:
        message.extra_content = openai.ExtraContent(openai.Google(end.signature))
    return openai.ChatCompletion(
        envelope.id,
        envelope.created,
        envelope.model,
        [openai.Choice(end.index, message, end.reason)],
        usage(ended.counts),
        service_tier=UNSET
        if ended.service_tier is None
        else TIERS.get(str(ended.service_tier).lower(), UNSET),
    )
