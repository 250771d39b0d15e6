"""Events of live interactions (`/interactions/live`), which google-genai calls experimental.

A message is one event or several (google-genai 3.6, `_interactions_websocket.py`). All pass as they are. A turn ends
with `interaction.completed`, which has the counts.
"""

import msgspec
from msgspec import Struct

from gateway.errors import scrub
from gateway.plugins.native.interactions import Interaction
from gateway.plugins.native.live.messages import NOTHING, Seen
from gateway.policy.models.catalog import MAX_NAME

_END = "interaction.completed"
_OUTPUT = "step."


class _Event(Struct, frozen=True):
    event_type: str = ""
    interaction: Interaction | None = None
    model: str | None = None


class _Message(_Event, frozen=True):
    events: list[_Event] | None = None


_decode = msgspec.json.Decoder(_Message).decode


def _events(data: bytes) -> list[_Event]:
    """Return the events of a message; none if it cannot be read."""
    try:
        message = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    return [message] if message.events is None else message.events


def model_of_event(data: bytes) -> str:
    """Return the model that a client's first message names, "" for none."""
    for event in _events(data):
        name = event.model or (event.interaction.model if event.interaction is not None else "") or ""
        name = name.removeprefix("models/")
        if name and len(name) <= MAX_NAME and scrub(name) == name:
            return name
    return ""


def read_events(data: bytes) -> Seen:
    """Return the counts of a message of Google's."""
    events = _events(data)
    is_over = any(event.event_type == _END for event in events)
    is_content = is_over or any(event.event_type.startswith(_OUTPUT) for event in events)
    usages = [event.interaction.usage for event in events if event.interaction is not None]
    usage = next((usage for usage in reversed(usages) if usage is not None), None)
    if usage is None:
        return Seen(is_content, is_over) if is_content else NOTHING
    return Seen(is_content, is_over, usage.whole(), searches=usage.searches, maps=usage.maps)
