"""OpenAI's moderations."""

from typing import Literal

import msgspec
from msgspec import Struct

from gateway.plugins.chat.wire import ContentPart


class ModerationRequest(Struct, gc=False):
    input: str | list[str | ContentPart]
    """A text, texts of which each gets a result, or the parts of one thing."""
    model: str | None = None


class ModerationResult(Struct, gc=False):
    flagged: bool
    categories: dict[str, bool]
    category_scores: dict[str, float]
    category_applied_input_types: dict[str, list[str]]


class Moderation(Struct, gc=False):
    id: str
    model: str
    results: list[ModerationResult]


Probability = Literal["LOW", "MEDIUM", "HIGH"]

decode_request = msgspec.json.Decoder(ModerationRequest).decode
encode = msgspec.json.Encoder().encode
