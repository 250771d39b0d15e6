"""Plain Responses requests: texts, pictures and the common numbers, decoded and told in one look.

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
    DataUrl,
    PlainConversation,
    PlainPicture,
    PlainText,
    PlainTurn,
    Temperature,
    TopP,
    contents_of,
)
from gateway.gemini.wire import Part
from gateway.plugins.responses.wire import ResponseRequest


class InputText(PlainText, tag="input_text", forbid_unknown_fields=True, gc=False):
    pass


class OutputText(PlainText, tag="output_text", forbid_unknown_fields=True, gc=False):
    pass


class Picture(PlainPicture, tag="input_image", forbid_unknown_fields=True, gc=False):
    image_url: DataUrl
    detail: Literal["auto"] | None = None

    def part(self) -> Part:
        return Part(inline_data=parts.data_url(self.image_url, ""))


class Turn(PlainTurn, forbid_unknown_fields=True, gc=False):
    role: Literal["user", "assistant", "system", "developer"]
    content: str | Annotated[list[InputText | OutputText | Picture], Meta(min_length=1)]
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


def conversation(body: PlainRequest, recorded: Callable[[], ConversationBuilder]) -> PlainConversation | None:
    """Return what a plain request says. None where only the long way can, by which `recorded` returns the same."""
    turns = [PlainTurn("user", body.input)] if isinstance(body.input, str) else body.input
    said = contents_of(turns, body.instructions or "")
    if said is None:
        return None
    return PlainConversation(*said, recorded, body.temperature, body.top_p, None, body.max_output_tokens)
