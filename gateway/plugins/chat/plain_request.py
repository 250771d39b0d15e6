"""Plain chat requests: texts and the common numbers, decoded and told in one look.

The types are narrower than those of `wire`: what they do not take is for `request`, which reads everything.
"""

from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.plain import Count, PlainConversation, PlainText, PlainTurn, Temperature, TopP
from gateway.gemini.wire import Int32

Zero = Annotated[float, Meta(ge=0, le=0)]
"""A penalty that asks for nothing."""


class Text(PlainText, forbid_unknown_fields=True, gc=False):
    type: Literal["text", "input_text", "output_text"]


class Turn(PlainTurn, forbid_unknown_fields=True, gc=False):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[Text], Meta(min_length=1)]  # type: ignore[assignment]  # nobody adds to the list


class PlainStreamOptions(Struct, forbid_unknown_fields=True, gc=False):
    include_usage: bool | None = None


class PlainRequest(Struct, forbid_unknown_fields=True, gc=False):
    messages: Annotated[list[Turn], Meta(min_length=1)]
    model: str | None = None
    stream: bool | None = None
    stream_options: PlainStreamOptions | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    top_k: Count | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    seed: Int32 | None = None
    n: Literal[1] | None = None
    presence_penalty: Zero | None = None
    frequency_penalty: Zero | None = None


decode = msgspec.json.Decoder(PlainRequest).decode


def conversation(body: PlainRequest, recorded: Callable[[], ConversationBuilder]) -> PlainConversation:
    """Return what a plain request says. `recorded` returns the same by the long way."""
    return PlainConversation(
        body.messages,
        recorded,
        "",
        body.temperature,
        body.top_p,
        body.top_k,
        body.max_completion_tokens or body.max_tokens,
        body.seed,
    )
