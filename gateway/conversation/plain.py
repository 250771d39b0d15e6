"""Plain conversations: texts of the user and of the model, an instruction before them, and the common numbers.

Nearly every request holds nothing else, so it has a short way: a surface decodes it into narrow types that forbid
unknown fields, and `gemini_request` writes it in one pass. What the types refuse goes the long way, through
`ConversationBuilder`, and so does what `gemini_request` returns None for. The long way decides what is right:
tests/conversation/test_plain.py holds both equal.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated

from msgspec import Meta, Struct

from gateway.conversation.builder import ConversationBuilder
from gateway.gemini.capabilities import Capabilities
from gateway.gemini.wire import (
    Content,
    GenerateContentRequest,
    GenerationConfig,
    Int32,
    Part,
    SafetySetting,
)

MOST_BYTES = 40_000
"""Bytes of a plain body. No limit of `gemini.json_shape` is reached with fewer, in types without nesting."""

Temperature = Annotated[float, Meta(ge=0, le=2)]
TopP = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]


class PlainText(Struct, forbid_unknown_fields=True, gc=False):
    """A text of a turn. Surfaces narrow the type."""

    type: str
    text: str


class PlainTurn(Struct, forbid_unknown_fields=True, gc=False):
    """A turn of `user`, of `assistant`, or of another role, which gives an instruction. Surfaces narrow the types."""

    role: str
    content: str | list[PlainText]


class PlainConversation(Struct, frozen=True):
    """A request that is decoded already. `recorded` returns the same conversation by the long way."""

    turns: Sequence[PlainTurn]
    recorded: Callable[[], ConversationBuilder]
    instruction: str = ""
    temperature: float | None = None
    top_p: float | None = None
    top_k: Int32 | None = None
    max_output_tokens: int | None = None
    seed: Int32 | None = None


def gemini_request(
    conversation: PlainConversation, capabilities: Capabilities, safety: Sequence[SafetySetting]
) -> GenerateContentRequest | None:
    """Return the request for a model. None where the model takes less, or the history has to be completed."""
    temperature, tokens = conversation.temperature, conversation.max_output_tokens
    if (
        capabilities.output != ("text",)
        or not capabilities.sampling
        or (temperature is not None and temperature > capabilities.temperature)
        or (tokens is not None and tokens > (capabilities.output_tokens or tokens))
    ):
        return None
    system = [Part(conversation.instruction)] if conversation.instruction else []
    contents = _contents(conversation.turns, system)
    if contents is None or (system and not capabilities.system):
        return None
    config = GenerationConfig(
        temperature, conversation.top_p, conversation.top_k, None, tokens, None, conversation.seed
    )
    return GenerateContentRequest(
        contents,
        Content(system) if system else None,
        None,
        None,
        list(safety) or None,
        config if config != _NO_CONFIG else None,
    )


_NO_CONFIG = GenerationConfig()


def _contents(turns: Iterable[PlainTurn], system: list[Part]) -> list[Content] | None:
    """Return the turns, and add the instructions before the first answer to `system`.

    None for turns that do not begin and end with the user, as Gemini wants them.
    """
    contents: list[Content] = []
    joined: list[Part] = []
    last = ""
    for turn in turns:
        content, role = turn.content, turn.role
        parts = [Part(content)] if type(content) is str else [Part(text.text) for text in content]  # type: ignore[union-attr]
        if role == "assistant":
            if not last:
                return None
        elif role != "user":
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
    return contents if last == "user" else None
