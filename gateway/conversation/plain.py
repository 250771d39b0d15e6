"""Plain conversations: texts, pictures of the user, an instruction before them, and the common numbers.

Nearly every request holds nothing else, so it has a short way: a surface decodes it into narrow types that forbid
unknown fields, and `gemini_request` writes it in one pass. What the types refuse goes the long way, through
`ConversationBuilder`, and so does what `gemini_request` returns None for. The long way decides what is right:
tests/conversation/test_plain.py holds both equal.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct, structs

from gateway.conversation.builder import ConversationBuilder
from gateway.errors import BadRequest
from gateway.gemini.call_names import NO_CALLS, CallRules
from gateway.gemini.capabilities import Capabilities
from gateway.gemini.wire import (
    Content,
    GenerateContentRequest,
    GenerationConfig,
    Int32,
    Part,
    SafetySetting,
    Tool,
    ToolConfig,
)

MOST_BYTES = 128 * 1024
"""Bytes of a plain body. In types without nesting, fewer reach no limit of `gemini.json_shape` but that of digits."""

Temperature = Annotated[float, Meta(ge=0, le=2)]
TopP = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]


class PlainText(Struct, tag_field="type", forbid_unknown_fields=True, gc=False):
    """A text of a turn. Surfaces name the type."""

    text: str


class PlainPicture(Struct, tag_field="type", forbid_unknown_fields=True, gc=False):
    """A picture of the user's, inside the request. Surfaces name the type, and add its data."""

    def part(self) -> Part:
        """Return its part. Raises BadRequest, without the client's path, for what is no picture."""
        raise NotImplementedError


DataUrl = Annotated[str, Meta(pattern="^(?i:data):")]
"""A picture inside the request. Others may have to be fetched."""


class PlainTurn(Struct, forbid_unknown_fields=True, gc=False):
    """A turn of `user`, of `assistant`, or of another role, which gives an instruction. Surfaces narrow the types."""

    role: str
    content: str | Sequence[PlainText | PlainPicture]


Declarations = tuple[bytes, ...]
"""Tools, the choice among them and the format of the answer as the client sent them, after the name of their dialect.

Empty for a request without any.
"""


class Declared(Struct, frozen=True):
    """Declarations as one model takes them."""

    tools: list[Tool] | None = None
    tool_config: ToolConfig | None = None
    mime_type: str | None = None
    schema: dict[str, Any] | None = None
    rules: CallRules = NO_CALLS


NO_DECLARATIONS = Declared()


class PlainConversation(Struct, frozen=True):
    """A request that is decoded already. `recorded` returns the same conversation by the long way."""

    contents: list[Content]
    """The turns, from the user's first to the user's last. Nobody changes them."""
    system: Content | None
    recorded: Callable[[], ConversationBuilder]
    temperature: float | None = None
    top_p: float | None = None
    top_k: Int32 | None = None
    max_output_tokens: int | None = None
    seed: Int32 | None = None
    declarations: Declarations = ()


def gemini_request(
    conversation: PlainConversation,
    capabilities: Capabilities,
    safety: Sequence[SafetySetting],
    declared: Declared = NO_DECLARATIONS,
) -> GenerateContentRequest | None:
    """Return the request for a model, with what became of its declarations. None where the model takes less."""
    temperature, tokens = conversation.temperature, conversation.max_output_tokens
    if (
        capabilities.output != ("text",)
        or not capabilities.sampling
        or (temperature is not None and temperature > capabilities.temperature)
        or (tokens is not None and tokens > (capabilities.output_tokens or tokens))
    ):
        return None
    if conversation.system is not None and not capabilities.system:
        return None
    config = GenerationConfig(
        temperature, conversation.top_p, conversation.top_k, None, tokens, None, conversation.seed
    )
    if declared.mime_type is not None or declared.schema is not None:
        config = structs.replace(
            config, response_mime_type=declared.mime_type, response_json_schema=declared.schema
        )
    return GenerateContentRequest(
        conversation.contents,
        conversation.system,
        declared.tools,
        declared.tool_config,
        list(safety) or None,
        config if config != _NO_CONFIG else None,
    )


_NO_CONFIG = GenerationConfig()


def contents_of(
    turns: Iterable[PlainTurn], instruction: str = ""
) -> tuple[list[Content], Content | None] | None:
    """Return the turns, and the instruction with those before the first answer.

    None for turns that do not begin and end with the user, as Gemini wants them, and for a picture that cannot be sent.
    """
    system = [Part(instruction)] if instruction else []
    contents: list[Content] = []
    joined: list[Part] = []
    last = ""
    for turn in turns:
        content, role = turn.content, turn.role
        text = content if isinstance(content, str) else None
        parts = [Part(text)] if text is not None else _parts(content, role)  # type: ignore[arg-type]  # no text
        if parts is None:
            return None
        if role == "user":
            pass
        elif role == "assistant":
            if not last:
                return None
        else:
            if not text:
                parts = [part for part in parts if part.text]
            if len(contents) < 2:  # nothing is answered yet
                system += parts
                continue
            if not parts:
                continue
            role = "user"
        if role == last:
            joined += parts
        else:
            contents.append(Content(parts, "user" if role == "user" else "model"))
            joined, last = parts, role
    if last != "user":
        return None
    return contents, Content(system) if system else None


def _parts(content: Iterable[PlainText | PlainPicture], role: str) -> list[Part] | None:
    """Return the parts of a turn. None for a picture that is not the user's, or is none."""
    parts: list[Part] = []
    has_text = False
    for piece in content:
        if isinstance(piece, PlainText):
            parts.append(Part(piece.text))
            has_text = True
        elif role != "user":
            return None
        else:
            try:
                parts.append(piece.part())
            except BadRequest:
                return None
    if not has_text:
        parts.append(Part(""))  # as `ConversationBuilder.turn` does
    return parts
