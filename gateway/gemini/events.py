"""Events of a Gemini answer, the vocabulary between `turn_reader` and the encoder of each dialect.

Unary answers and streams give the same events, in the order of the answer. `index` counts candidates from 0.
"""

from typing import Literal

from msgspec import Raw, Struct

from gateway.gemini.grounding import Citation
from gateway.gemini.usage import TokenCounts
from gateway.gemini.wire import NO_JSON, LogprobsResult

Reason = Literal["stop", "length", "tool_calls", "content_filter"]


class TurnStarted(Struct, frozen=True, gc=False):
    """The start of an answer. The id is Gemini's; the model is the one that answers, safe for a header."""

    response_id: str | None
    model: str | None


class TextDelta(Struct, frozen=True, gc=False):
    """A piece of the answer. The text is empty where only log-probabilities came."""

    index: int
    text: str
    logprobs: LogprobsResult | None = None


class ThoughtDelta(Struct, frozen=True, gc=False):
    """A piece of a thought summary."""

    index: int
    text: str


class ToolCall(Struct, frozen=True, gc=False):
    """A whole function call; `generateContent` never streams a call in pieces."""

    index: int
    id: str
    name: str
    arguments: str
    """A JSON object as compact text, its numbers unchanged."""
    signature: str | None = None


class MediaPart(Struct, frozen=True, gc=False):
    """Inline bytes of the answer: an image or audio."""

    index: int
    mime_type: str
    data: str
    """Base64."""


class FilePart(Struct, frozen=True, gc=False):
    """A file of the answer that Google stores."""

    index: int
    uri: str
    mime_type: str | None


class CodePart(Struct, frozen=True, gc=False):
    """Code that the model ran (`source`), or its result (`output`)."""

    index: int
    source: str | None = None
    output: str | None = None
    failed: bool = False
    at: int = 0
    """Code points of answer text before it."""
    id: str = ""
    """Google's id, or one that the reader has made for a part with a signature; a result has the id of its code."""
    signature: str | None = None


OTHER_PART = "part"
"""Kind of a `ServerTool` that stands for a whole part of a native answer, in `args`, that no other event is for."""


class ServerTool(Struct, frozen=True, gc=False):
    """A call of a tool that Google ran (`response` is empty), or its result."""

    index: int
    id: str
    """Google's id, or one that the reader has made; a result has the id of its call."""
    kind: str
    """Google's toolType, such as `GOOGLE_SEARCH_WEB`."""
    args: Raw
    """A JSON object; empty for a result."""
    response: Raw
    """A JSON object; empty for a call."""
    signature: str | None = None
    at: int = 0
    """Code points of answer text before it."""


class Citations(Struct, frozen=True, gc=False):
    """Sources of a candidate's text, emitted once the text is complete."""

    index: int
    citations: list[Citation]
    metadata: Raw
    """groundingMetadata as Google sent it, for clients that ask for it."""
    url_context: Raw
    """urlContextMetadata as Google sent it."""


class Finished(Struct, frozen=True, gc=False):
    """The end of one candidate, emitted once the whole answer is complete."""

    index: int
    reason: Reason
    refusal: str | None = None
    signature: str | None = None
    """Thought signature of a text part, which clients should send back with the text."""
    message: str | None = None
    """Gemini's finishMessage of an answer that it could not complete."""
    failure: str | None = None
    """Gemini's finishReason of an answer that it could not complete, such as `NO_IMAGE`."""
    server_parts: Raw = NO_JSON
    """JSON list of the parts that Google's own tools made, in Gemini's own form, for surfaces that give them."""
    stop_sequence: str | None = None
    """The stop sequence at which the gateway cut the text; Gemini does not name those that it cuts at."""


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
    | ServerTool
    | Citations
    | Finished
    | TurnEnded
)
