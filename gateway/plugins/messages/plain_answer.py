"""Plain messages: one text that is complete, told in one look. Any other answer is for `response`."""

from collections.abc import Sequence

from gateway.gemini.events import Event
from gateway.gemini.plain_answer import one_text
from gateway.plugins.messages.response import REASONS, Object, usage


def complete(message: Object, events: Sequence[Event]) -> bool:
    """Complete a message that has no content, as `MessagesStream.whole` does; False for events of another answer."""
    answer = one_text(events)
    if answer is None:
        return False
    start, text, end, ended = answer
    if end.reason not in ("stop", "length") or ended.counts.searches:
        return False
    if start.model:
        message["model"] = start.model
    message["content"].append({"type": "text", "text": text.text})
    message["stop_reason"] = "stop_sequence" if end.stop_sequence is not None else REASONS[end.reason]
    message["stop_sequence"] = end.stop_sequence
    message["usage"] = usage(ended.counts)
    return True
