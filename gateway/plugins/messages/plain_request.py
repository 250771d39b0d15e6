"""Plain Messages requests: texts and the common numbers, decoded and told in one look.

The types are narrower than those of `wire`: what they do not take is for `request`, which reads everything.
"""

from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.plain import Count, PlainConversation, PlainText, PlainTurn, Temperature, TopP


class Text(PlainText, forbid_unknown_fields=True, gc=False):
    type: Literal["text"]


class Turn(PlainTurn, forbid_unknown_fields=True, gc=False):
    role: Literal["user", "assistant", "system"]
    content: str | Annotated[list[Text], Meta(min_length=1)]  # type: ignore[assignment]  # nobody adds to the list


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


def conversation(body: PlainRequest, recorded: Callable[[], ConversationBuilder]) -> PlainConversation:
    """Return what a plain request says. `recorded` returns the same by the long way."""
    return PlainConversation(
        body.messages,
        recorded,
        body.system or "",
        body.temperature,
        body.top_p,
        body.top_k,
        body.max_tokens,
    )
