"""Moderations, the request: each input is a conversation of one turn, and only its safety ratings are wanted."""

from collections.abc import Sequence

from gateway.conversation import parts
from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.generation import Sampling
from gateway.conversation.invalid import empty_array, missing, too_long, unsupported_value
from gateway.conversation.parts import AnyPart
from gateway.gemini.wire import Part, SafetySetting
from gateway.plugins.moderations.wire import HARMS, InputPart, ModerationRequest

MOST_INPUTS = 32
"""OpenAI's limit; each input is a call."""


def conversations(body: ModerationRequest) -> list[ConversationBuilder]:
    """Return a conversation for each result. Raises BadRequest with the path of what cannot be rated.

    Texts are rated one by one; as soon as one input is a part, all of them are the parts of one thing.
    """
    if isinstance(body.input, str):
        return [_conversation(body.input, "input")]
    if not body.input:
        raise empty_array("input")
    if len(body.input) > MOST_INPUTS:
        raise too_long("input", MOST_INPUTS, len(body.input))
    texts = [item for item in body.input if isinstance(item, str)]
    if len(texts) < len(body.input):
        return [_conversation([_part(item, f"input[{i}]") for i, item in enumerate(body.input)], "input")]
    return [_conversation(text, f"input[{i}]") for i, text in enumerate(texts)]


def _conversation(content: str | Sequence[AnyPart], at: str) -> ConversationBuilder:
    """Return a conversation whose answer is one token."""
    builder = ConversationBuilder(at)
    builder.turn("user", content or " ", at)
    builder.sample(Sampling(max_output_tokens=1), {})
    builder.think(None, effort="none")
    # With BLOCK_NONE the answer has ratings; OFF would leave them out.
    builder.safety += [SafetySetting(harm, "BLOCK_NONE") for harm in HARMS]
    return builder


def _part(item: str | InputPart, at: str) -> AnyPart:
    if isinstance(item, str):
        return Part(text=item)
    match item.type:
        case "text":
            if item.text is None:
                raise missing(f"{at}.text")
            return Part(text=item.text)
        case "image_url":
            if item.image_url is None:
                raise missing(f"{at}.image_url")
            if isinstance(item.image_url, str):
                return parts.at_url(item.image_url, f"{at}.image_url")
            return parts.at_url(item.image_url.url, f"{at}.image_url.url")
        case other:
            raise unsupported_value(other, ("text", "image_url"), f"{at}.type")
