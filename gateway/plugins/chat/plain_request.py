"""Plain chat requests: texts, pictures and the common numbers, decoded and told in one look.

The types are narrower than those of `wire`: what they do not take is for `request`, which reads everything.
"""

from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from gateway.conversation import parts
from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.declarations import KNOWN
from gateway.conversation.plain import (
    Count,
    DataUrl,
    Declarations,
    PlainConversation,
    PlainPicture,
    PlainText,
    PlainTurn,
    Temperature,
    TopP,
    contents_of,
)
from gateway.gemini.wire import NO_JSON, Int32, Part

Zero = Annotated[float, Meta(ge=0, le=0)]
"""A penalty that asks for nothing."""


class Text(PlainText, tag="text", forbid_unknown_fields=True, gc=False):
    pass


class InputText(PlainText, tag="input_text", forbid_unknown_fields=True, gc=False):
    pass


class OutputText(PlainText, tag="output_text", forbid_unknown_fields=True, gc=False):
    pass


class Address(Struct, forbid_unknown_fields=True, gc=False):
    url: DataUrl
    detail: Literal["auto"] | None = None


class Picture(PlainPicture, tag="image_url", forbid_unknown_fields=True, gc=False):
    image_url: Address | DataUrl

    def part(self) -> Part:
        value = self.image_url
        return Part(inline_data=parts.data_url(value if isinstance(value, str) else value.url, ""))


class Turn(PlainTurn, forbid_unknown_fields=True, gc=False):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[Text | InputText | OutputText | Picture], Meta(min_length=1)]


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
    tools: Raw = NO_JSON
    tool_choice: Raw = NO_JSON
    parallel_tool_calls: bool | None = None
    response_format: Raw = NO_JSON


decode = msgspec.json.Decoder(PlainRequest).decode


def conversation(
    body: PlainRequest, recorded: Callable[[], ConversationBuilder], *, strict: bool
) -> PlainConversation | None:
    """Return what a plain request says. None where only the long way can, by which `recorded` returns the same."""
    said = contents_of(body.messages)
    if said is None:
        return None
    declarations: Declarations = ()
    if body.tools or body.tool_choice or body.response_format or body.parallel_tool_calls is not None:
        declarations = _declarations(body, strict=strict)
        if not KNOWN.are_plain(declarations, recorded):
            return None
    contents, system = said
    return PlainConversation(
        contents,
        system,
        recorded,
        body.temperature,
        body.top_p,
        body.top_k,
        body.max_completion_tokens or body.max_tokens,
        body.seed,
        declarations,
    )


def _declarations(body: PlainRequest, *, strict: bool) -> Declarations:
    return (
        b"chat, strict" if strict else b"chat",
        bytes(body.tools),
        bytes(body.tool_choice),
        bytes(body.response_format),
        b"%d" % (body.parallel_tool_calls is False),
    )
