"""What happens in a Gemini turn, in the order it happens: the vocabulary between reader and encoders.

`translate.turn` produces these, once for unary answers and streams alike; each dialect has one encoder.
`index` counts candidates from 0.
"""

from typing import Literal

from msgspec import Raw, Struct

from gateway.gemini.grounding import Citation
from gateway.gemini.usage import TokenCounts
from gateway.gemini.wire import LogprobsResult

Reason = Literal["stop", "length", "tool_calls", "content_filter"]


class TurnStarted(Struct, frozen=True, gc=False):
    """The first sign of an answer; either name may be missing."""

    response_id: str | None
    model: str | None


class TextDelta(Struct, frozen=True, gc=False):
    """A piece of the answer; the text may be empty when only its log-probabilities are news."""

    index: int
    text: str
    logprobs: LogprobsResult | None = None


class ThoughtDelta(Struct, frozen=True, gc=False):
    """A piece of a thought summary."""

    index: int
    text: str


class ToolCall(Struct, frozen=True, gc=False):
    """A whole function call; Gemini never sends one in pieces on this API."""

    index: int
    id: str
    name: str
    arguments: str
    """A JSON object as text, as it came."""
    signature: str | None = None


class MediaPart(Struct, frozen=True, gc=False):
    """Inline bytes of the answer: an image, or sound."""

    index: int
    mime_type: str
    data: str
    """Base64."""


class FilePart(Struct, frozen=True, gc=False):
    """A file of the answer that Google keeps."""

    index: int
    uri: str
    mime_type: str | None


class CodePart(Struct, frozen=True, gc=False):
    """Code the model ran (`source`), or what came of it (`output`)."""

    index: int
    source: str | None = None
    output: str | None = None
    failed: bool = False
    at: int = 0
    """Code points of text before it."""


class Citations(Struct, frozen=True, gc=False):
    """What the text rests on, told when all of it is in; the metadata as it came, for clients that show it."""

    index: int
    found: list[Citation]
    metadata: Raw
    url_context: Raw


class Finished(Struct, frozen=True, gc=False):
    """The end of one candidate, emitted when the whole answer is in."""

    index: int
    reason: Reason
    refusal: str | None = None
    signature: str | None = None
    """Of a text part, to be sent back with the text."""
    message: str | None = None
    """Gemini's words on an answer it could not finish."""


class TurnEnded(Struct, frozen=True, gc=False):
    """The end of the whole answer, with its tokens."""

    counts: TokenCounts
    service_tier: str | int | None = None
    """Gemini's tier that answered, such as `flex`."""


Event = (
    TurnStarted
    | TextDelta
    | ThoughtDelta
    | ToolCall
    | MediaPart
    | FilePart
    | CodePart
    | Citations
    | Finished
    | TurnEnded
)
