"""The plain way of the commonest whole answer: one candidate of texts that is complete, and token counts.

The types here are narrow, as those of `plain_event` are: what they refuse is read by `TurnReader.feed` and `close`,
which alone say what is right.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateway.gemini.events import Event, Finished, TextDelta, TurnEnded, TurnStarted
from gateway.gemini.finish_reasons import REASONS
from gateway.gemini.many_parts import MANY_PARTS
from gateway.gemini.plain_event import PlainUsage, Strict
from gateway.gemini.usage import NO_USAGE, TokenCounts, token_counts

_header_name = lru_cache(1024)(re.compile(r"(?:models/)?([\w.@:/-]{1,128})", re.ASCII).fullmatch)


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


def counts_of(answer: PlainAnswer) -> TokenCounts:
    """Return the token counts of a plain answer."""
    return token_counts(answer.usage_metadata or NO_USAGE)


def events_of(
    answer: PlainAnswer, index: int = 0, requested: str | None = None, counts: TokenCounts | None = None
) -> tuple[list[Event], TokenCounts, str | None]:
    """Return all events of a plain answer, its token counts, and the last signature of its texts.

    `counts` are those of `counts_of`, if they are known already.
    """
    candidate, usage = answer.candidates[0], answer.usage_metadata or NO_USAGE
    events: list[Event] = [TurnStarted(answer.response_id, named(answer.model_version, requested))]
    signature = None
    for part in candidate.content.parts:
        if part.thought_signature:
            signature = part.thought_signature
        if part.text:
            events.append(TextDelta(index, part.text))
    counts = counts or token_counts(usage)
    events.append(Finished(index, REASONS[candidate.finish_reason], None, signature))
    events.append(TurnEnded(counts, usage.service_tier))
    return events, counts, signature


def named(version: str | None, requested: str | None) -> str | None:
    """Return the name of the model that answers, or the requested one if that does not fit a header."""
    if version is None or version == requested:
        return requested
    name = _header_name(version)
    return name[1] if name else requested


def one_text(events: Sequence[Event]) -> tuple[TurnStarted, TextDelta, Finished, TurnEnded] | None:
    """Return the events of an answer of one text that was neither refused nor broken off; None for another answer."""
    if len(events) != 4:
        return None
    start, text, end, ended = events
    if (
        type(start) is not TurnStarted
        or type(text) is not TextDelta
        or type(end) is not Finished
        or type(ended) is not TurnEnded
        or end.refusal is not None
        or end.failure is not None
    ):
        return None
    return start, text, end, ended
