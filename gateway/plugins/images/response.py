"""Gemini's pictures as OpenAI's answers and events."""

from collections.abc import Sequence

from msgspec import UNSET, Struct

from gateway.errors import BadRequest, GatewayError, UpstreamError, openai_error
from gateway.gemini.base64_text import decoded
from gateway.gemini.events import Event, Finished, MediaPart, TextDelta, TurnEnded, TurnStarted
from gateway.gemini.usage import TokenCounts, answer_counts
from gateway.plugins.images.pictures import Picture, picture
from gateway.plugins.images.sizes import quality_of
from gateway.plugins.images.wire import (
    Completed,
    Image,
    ImageList,
    InputDetails,
    OutputDetails,
    Usage,
    encode,
)

_FILTERED = frozenset(
    {"IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "SAFETY", "PROHIBITED_CONTENT", "RECITATION",
     "BLOCKLIST", "SPII", "LANGUAGE", "MODEL_ARMOR"}
)  # fmt: skip
"""Finish reasons of pictures and prompts that Google's filters refuse."""
_MOST_WORDS = 2_000
"""Characters of a model's words in an error."""
_MIME_TYPES = {"image/png": "png", "image/jpeg": "jpeg", "image/webp": "webp", "image/gif": "gif"}


class Blocked(BadRequest):
    """Google's filters refuse the prompt or the picture, in OpenAI's words for its own."""

    type = "image_generation_user_error"
    code = "moderation_blocked"


class NoImage(BadRequest):
    """The model answered without a picture."""

    type = "image_generation_user_error"
    code = "no_image"


class Drawing(Struct):
    """One picture of an answer."""

    data: str
    """Base64."""
    mime_type: str
    words: str
    """Text that came beside the picture."""
    counts: TokenCounts
    model: str
    """The model that says it has answered; "" for none."""
    others: int
    """Pictures that came before it."""
    number: int = 0
    """Of its call among those of the request."""
    facts: Picture = Picture("png")
    """Of the bytes, once they were looked at."""


def drawing(events: Sequence[Event]) -> Drawing:
    """Return the last picture of an answer: drafts come first. Raises BadRequest for an answer without one.

    An image model that refuses says so in words, which are the error's.
    """
    pictures = [
        event for event in events if isinstance(event, MediaPart) and event.mime_type.startswith("image/")
    ]
    words = "".join(event.text for event in events if isinstance(event, TextDelta)).strip()
    counts = next((event.counts for event in events if isinstance(event, TurnEnded)), TokenCounts())
    model = next((event.model for event in events if isinstance(event, TurnStarted) and event.model), "")
    if not pictures:
        raise _without_picture(next((e for e in events if isinstance(e, Finished)), None), words)
    last = pictures[-1]
    return Drawing(last.data, last.mime_type, words, counts, model, len(pictures) - 1)


def _without_picture(end: Finished | None, words: str) -> BadRequest:
    reason = end.failure if end is not None else None
    is_blocked_prompt = end is not None and end.refusal is not None and reason is None
    if reason in _FILTERED or is_blocked_prompt:
        said = (end.message or end.refusal if end is not None else None) or reason or ""
        return Blocked(f"Your request was rejected by Gemini's safety system: {said}"[:_MOST_WORDS])
    length = "the answer was cut off at its token limit" if end is not None and end.reason == "length" else ""
    said = words or (end.message if end is not None else None) or reason or length or "no reason was given"
    return NoImage(f"Gemini made no picture: {said}"[:_MOST_WORDS])


def look_at(drawing: Drawing) -> bytes:
    """Return the bytes of a drawing, and note their facts in it. Raises UpstreamError if they are no picture."""
    try:
        data = decoded(drawing.data, strict=True)
    except ValueError:
        data = b""
    if not data:
        raise UpstreamError("Gemini answered with a picture that cannot be decoded.", code="bad_gateway")
    known = picture(data)
    drawing.facts = known or Picture(_MIME_TYPES.get(drawing.mime_type, "png"))
    return data


def usage(calls: Sequence[TokenCounts]) -> Usage:
    """Return the usage of one answer: the prompt counts once, as OpenAI counts it."""
    counts = answer_counts(calls)
    pictures = min(counts.completion_image, counts.output)
    seen = min(counts.prompt_image, counts.input)
    return Usage(
        counts.input,
        InputDetails(counts.input - seen, seen),
        counts.output,
        OutputDetails(pictures, counts.output - pictures),
        counts.total,
    )


def image_list(drawings: Sequence[Drawing], created: int, urls: Sequence[str] | None = None) -> bytes:
    """Return the whole answer as JSON. Size, quality and format are those of the first picture.

    A picture is base64, or one of `urls`; never both, because Open WebUI downloads a `url` first.
    """
    facts = drawings[0].facts
    body = ImageList(
        created,
        [_image(each, urls[i] if urls else "") for i, each in enumerate(drawings)],
        "opaque",
        facts.format,
        size(facts),
        quality_of(facts.width, facts.height),
        usage([each.counts for each in drawings]),
    )
    return encode(body)


def _image(drawing: Drawing, url: str) -> Image:
    words = drawing.words or UNSET
    if url:
        return Image(url=url, revised_prompt=words)
    return Image(b64_json=drawing.data, revised_prompt=words)


def size(facts: Picture) -> str:
    """Return width and height as OpenAI writes them."""
    return f"{facts.width}x{facts.height}"


def error_event(error: GatewayError) -> bytes:
    """Return the event of an error after the headers."""
    return b'event: error\ndata: {"type":"error",%b\n\n' % openai_error(error).removeprefix(b"{")


def completed(drawing: Drawing, created: int, prefix: str) -> bytes:
    """Return the event of one finished picture. `prefix` is `image_generation` or `image_edit`."""
    facts, kind = drawing.facts, f"{prefix}.completed"
    event = Completed(
        kind,
        drawing.data,
        "opaque",
        created,
        facts.format,
        quality_of(facts.width, facts.height),
        size(facts),
        usage([drawing.counts]),
    )
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), encode(event))
