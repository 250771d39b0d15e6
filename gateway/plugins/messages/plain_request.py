"""Plain Messages requests: texts, pictures and the common numbers, decoded and told in one look.

The types are narrower than those of `wire`: what they do not take is for `request`, which reads everything.
"""

from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from gateway.conversation import parts
from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.plain import (
    Count,
    PlainConversation,
    PlainPicture,
    PlainText,
    PlainTurn,
    Temperature,
    TopP,
    contents_of,
)
from gateway.gemini.wire import Part


class Text(PlainText, tag="text", forbid_unknown_fields=True, gc=False):
    pass


class Source(Struct, forbid_unknown_fields=True, gc=False):
    type: Literal["base64"]
    media_type: str
    data: str


class Picture(PlainPicture, tag="image", forbid_unknown_fields=True, gc=False):
    source: Source

    def part(self) -> Part:
        return parts.base64_file(self.source.data, self.source.media_type, "")


class Turn(PlainTurn, forbid_unknown_fields=True, gc=False):
    role: Literal["user", "assistant", "system"]
    content: str | Annotated[list[Text | Picture], Meta(min_length=1)]


class PlainRequest(Struct, forbid_unknown_fields=True, gc=False):
    messages: Annotated[list[Turn], Meta(min_length=1)]
    max_tokens: Count
    model: str | None = None
    system: str | None = None
    stream: bool | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    top_k: Count | None = None


decode = msgspec.json.Decoder(PlainRequest).decode


def conversation(body: PlainRequest, recorded: Callable[[], ConversationBuilder]) -> PlainConversation | None:
    """Return what a plain request says. None where only the long way can, by which `recorded` returns the same."""
    said = contents_of(body.messages, body.system or "")
    if said is None:
        return None
    return PlainConversation(*said, recorded, body.temperature, body.top_p, body.top_k, body.max_tokens)
