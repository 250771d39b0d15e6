"""The plain way of a stream's commonest event: more text of the only candidate, and token counts.

The types here are narrow: whatever they refuse is read by `wire`'s types and `TurnReader.feed` instead, which alone say
what is right. What they accept has nothing that needs another look, not even a number that is too long for a client.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from gateway.gemini.wire import ModalityTokens, UsageMetadata

_Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class Strict(Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    """A message all of whose fields are declared."""


class _Text(Strict):
    text: Annotated[str, Meta(min_length=1)]


class _Content(Strict):
    parts: tuple[_Text]
    role: str | None = None


class _Candidate(Strict):
    content: _Content
    finish_reason: Literal["STOP"] | None = None
    """Of the last text of an answer that has ended by itself."""
    index: Literal[0] | None = None


class _Tokens(ModalityTokens, frozen=True, forbid_unknown_fields=True):
    modality: str = ""
    token_count: _Count = 0


class PlainUsage(UsageMetadata, frozen=True, forbid_unknown_fields=True):
    """Token counts, in the order in which Google sends them."""

    prompt_token_count: _Count | None = None
    candidates_token_count: _Count | None = None
    total_token_count: _Count | None = None
    prompt_tokens_details: list[_Tokens] | None = None  # type: ignore[assignment]  # a list that nobody changes
    thoughts_token_count: _Count | None = None
    service_tier: str | None = None
    tool_use_prompt_token_count: _Count | None = None
    cached_content_token_count: _Count | None = None
    candidates_tokens_details: list[_Tokens] | None = None  # type: ignore[assignment]
    traffic_type: str | None = None


class PlainEvent(Strict):
    """One plain event."""

    candidates: tuple[_Candidate]
    usage_metadata: PlainUsage | None = None
    model_version: str | None = None
    response_id: str | None = None
    create_time: str | None = None


read_event = msgspec.json.Decoder(PlainEvent).decode
"""Returns a plain event. Raises one of NOT_PLAIN for another."""
NOT_PLAIN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class PlainTexts(Struct, gc=False):
    """Consecutive plain events."""

    texts: list[str]
    usages: list[UsageMetadata]
    """The counts of those that have any."""
    ends_counted: bool
    """Whether the last one has."""
    finish: str | None
    """The finish reason, if one of them has it."""


NO_TEXTS = PlainTexts([], [], False, None)


def read_texts(payloads: Sequence[bytes]) -> PlainTexts:
    """Return the plain events up to the first that is another; there may be none."""
    texts: list[str] = []
    usages: list[UsageMetadata] = []
    usage = finish = None
    try:
        for payload in payloads:
            event = read_event(payload)
            candidate = event.candidates[0]
            texts.append(candidate.content.parts[0].text)
            usage = event.usage_metadata
            if usage is not None:
                usages.append(usage)
            if candidate.finish_reason is not None:
                finish = candidate.finish_reason
    except NOT_PLAIN:
        pass
    return PlainTexts(texts, usages, usage is not None, finish)
