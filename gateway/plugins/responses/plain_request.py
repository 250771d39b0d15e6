"""Plain Responses requests: texts and the common numbers, decoded and told in one look.

The types are narrower than those of `wire`: what they do not take is for `request`, which reads everything.
"""

from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.plain import Count, PlainConversation, PlainText, PlainTurn, Temperature, TopP
from gateway.plugins.responses.wire import ResponseRequest


class Text(PlainText, forbid_unknown_fields=True, gc=False):
    type: Literal["input_text", "output_text"]


class Turn(PlainTurn, forbid_unknown_fields=True, gc=False):
    role: Literal["user", "assistant", "system", "developer"]
    content: str | Annotated[list[Text], Meta(min_length=1)]  # type: ignore[assignment]  # nobody adds to the list
    type: Literal["message"] | None = None


class PlainRequest(Struct, forbid_unknown_fields=True, gc=False):
    input: str | Annotated[list[Turn], Meta(min_length=1)]
    model: str | None = None
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: Count | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    store: bool | None = None


decode = msgspec.json.Decoder(PlainRequest).decode


def request(body: PlainRequest) -> ResponseRequest:
    """Return the request as `wire` decodes it, but for the input, which `conversation` tells."""
    return ResponseRequest(
        None,
        body.model,
        body.instructions,
        body.stream,
        max_output_tokens=body.max_output_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        store=body.store,
    )


def conversation(body: PlainRequest, recorded: Callable[[], ConversationBuilder]) -> PlainConversation:
    """Return what a plain request says. `recorded` returns the same by the long way."""
    said = body.input
    return PlainConversation(
        [PlainTurn("user", said)] if isinstance(said, str) else said,
        recorded,
        body.instructions or "",
        body.temperature,
        body.top_p,
        None,
        body.max_output_tokens,
    )
