"""The plain way of the commonest whole answer: one candidate of texts that is complete, and token counts.

The types here are narrow, as those of `plain_event` are: what they refuse is read by `TurnReader.feed` and `close`,
which alone say what is right.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateway.gemini.many_parts import MANY_PARTS
from gateway.gemini.plain_event import PlainUsage, Strict


class _Text(Strict):
    text: str
    thought_signature: str | None = None


class _Content(Strict):
    parts: Annotated[list[_Text], Meta(max_length=MANY_PARTS)]
    role: str | None = None


class _Candidate(Strict):
    content: _Content
    finish_reason: Literal["STOP", "MAX_TOKENS"]
    index: Literal[0] | None = None


class PlainAnswer(Strict):
    """A whole answer."""

    candidates: tuple[_Candidate]
    usage_metadata: PlainUsage | None = None
    model_version: str | None = None
    response_id: str | None = None
    create_time: str | None = None


_decode = msgspec.json.Decoder(PlainAnswer).decode


def read_answer(data: bytes) -> PlainAnswer | None:
    """Return a plain answer that has text; None for any other."""
    try:
        answer = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    for part in answer.candidates[0].content.parts:
        if part.text:
            return answer
    return None
