"""OpenAI's moderations: the fields of the request that are read, and the answer.

See https://platform.openai.com/docs/api-reference/moderations.
"""

from typing import Literal

import msgspec
from msgspec import Struct

HARMS = {
    "HARM_CATEGORY_HARASSMENT": "harassment",
    "HARM_CATEGORY_HATE_SPEECH": "hate",
    "HARM_CATEGORY_SEXUALLY_EXPLICIT": "sexual",
    "HARM_CATEGORY_DANGEROUS_CONTENT": "illicit",
}
"""Gemini's harms, and OpenAI's category for each."""


class ImageURL(Struct, gc=False):
    url: str


class InputPart(Struct, gc=False):
    """A text or an image; `type` says which."""

    type: str
    text: str | None = None
    image_url: ImageURL | str | None = None


class ModerationRequest(Struct, gc=False):
    input: str | list[str | InputPart]
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
