"""Transcripts in OpenAI's formats."""

import re
from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct, structs

from gateway.errors import BadRequest, GatewayError, UpstreamError, openai_error
from gateway.gemini.events import Event, Finished, TextDelta, TurnEnded
from gateway.gemini.usage import TokenCounts
from gateway.gemini.wire import ModalityTokens, UsageMetadata
from gateway.plugins.transcription import wire
from gateway.plugins.transcription.languages import english_name
from gateway.plugins.transcription.request import Wish
from gateway.plugins.transcription.words import Piece, Word, bounded, clock, offset, ordered, pieces, turns

_TYPES = {
    "text": "text/plain; charset=utf-8",
    "srt": "text/plain; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
}
_TOKENS_PER_SECOND = {True: 32, False: 25}
"""Of audio, by chat models and by the transcription model (https://ai.google.dev/gemini-api/docs/audio)."""


class Transcript(Struct, frozen=True):
    """The result of a transcription, before it has a format."""

    text: str
    parts: list[Piece]
    words: list[Word]
    counts: TokenCounts
    duration: float
    """Seconds."""
    language: str = ""
    """Name or code."""


def content_type(form: str) -> str:
    """Return the content type of a format. Clients take the other ones than JSON as they come, without quotes."""
    return _TYPES.get(form, "application/json")


def from_interaction(answer: wire.Interaction, seconds: float | None) -> Transcript:
    """Return the transcript of an interaction. Raises UpstreamError for one that has failed."""
    if answer.status in ("failed", "cancelled"):
        raise UpstreamError("The model could not transcribe the audio.", code="upstream_incomplete")
    contents = [
        content
        for step in answer.steps or ()
        if step.type in ("model_output", "")
        for content in step.content or ()
        if content.type in ("text", "")
    ]
    text = "".join(content.text for content in contents).strip()
    words = ordered(
        Word(note.text.strip(), offset(note.start_offset), offset(note.end_offset), note.speaker)
        for content in contents
        for note in content.annotations or ()
        if note.type == "word_info" and note.text.strip()
    )
    counts = interaction_counts(answer.usage)
    length = _length(seconds, words[-1].end if words else 0.0, counts, by_chat=False)
    parts = pieces(words, text) if words else [Piece(text, 0.0, length)] if text else []
    return Transcript(text, parts, words, counts, length)


def from_events(events: Sequence[Event], wanted: Wish, seconds: float | None) -> Transcript:
    """Return the transcript that a chat model wrote. Raises BadRequest if a filter has stopped it."""
    check_filter(events)
    counts = next((event.counts for event in reversed(events) if isinstance(event, TurnEnded)), TokenCounts())
    text = "".join(event.text for event in events if isinstance(event, TextDelta)).strip()
    if not wanted.timed:
        return Transcript(text, [], [], counts, _length(seconds, 0.0, counts, by_chat=True))
    written = _written(text)
    last = 0.0
    parts: list[Piece] = []
    for segment in written.segments:
        if not (content := segment.text.strip()):
            continue
        begin, end = clock(segment.start), clock(segment.end)
        begin = last if begin is None else begin
        last = begin if end is None else end
        parts.append(Piece(content, begin, last, segment.speaker or ""))
    length = _length(seconds, max((part.end for part in parts), default=0.0), counts, by_chat=True)
    parts = bounded(parts, length)
    return Transcript(
        " ".join(part.text for part in parts), parts, [], counts, length, written.language or ""
    )


def as_events(transcript: Transcript) -> list[Event]:
    """Return a transcript as the events of an answer, for hooks."""
    return [TextDelta(0, transcript.text), Finished(0, "stop"), TurnEnded(transcript.counts)]


def as_hooks_left(transcript: Transcript, seen: Sequence[Event]) -> Transcript:
    """Return a transcript as hooks have left its events. A changed text is one segment, without times of words.

    Raises BadRequest if they have ended it.
    """
    check_filter(seen)
    text = "".join(event.text for event in seen if isinstance(event, TextDelta))
    if text == transcript.text:
        return transcript
    parts = [Piece(text, 0.0, transcript.duration)] if text else []
    return structs.replace(transcript, text=text, parts=parts, words=[])


def check_filter(events: Sequence[Event]) -> None:
    """Raise BadRequest for an answer that a filter has stopped."""
    for event in events:
        if isinstance(event, Finished) and event.reason == "content_filter":
            raise BadRequest(
                event.refusal or "Answer blocked by Gemini.", param="file", code="content_policy_violation"
            )


def interaction_counts(usage: wire.InteractionUsage | None) -> TokenCounts:
    """Return the tokens of an interaction."""
    if usage is None:
        return TokenCounts()
    heard = sum(
        entry.tokens for entry in usage.input_tokens_by_modality or () if entry.modality.lower() == "audio"
    )
    return TokenCounts(
        prompt=usage.total_input_tokens,
        cached=min(usage.total_cached_tokens, usage.total_input_tokens),
        tool_use=usage.total_tool_use_tokens,
        completion=usage.total_output_tokens,
        thoughts=usage.total_thought_tokens,
        prompt_audio=min(heard, usage.total_input_tokens),
    )


def usage_metadata(answer: wire.Interaction) -> UsageMetadata | None:
    """Return the tokens of an interaction as generateContent says them; None if it says none."""
    if answer.usage is None:
        return None
    counts = interaction_counts(answer.usage)
    details = [
        ModalityTokens("AUDIO", counts.prompt_audio),
        ModalityTokens("TEXT", counts.prompt - counts.prompt_audio),
    ]
    return UsageMetadata(
        prompt_token_count=counts.prompt,
        candidates_token_count=counts.completion,
        thoughts_token_count=counts.thoughts or None,
        tool_use_prompt_token_count=counts.tool_use or None,
        cached_content_token_count=counts.cached or None,
        total_token_count=counts.total,
        prompt_tokens_details=details,
    )


def body(transcript: Transcript, wanted: Wish) -> bytes:
    """Return the whole answer in the client's format."""
    if wanted.form == "text":
        return f"{transcript.text}\n".encode()
    if wanted.form == "srt":
        return srt(transcript.parts).encode()
    if wanted.form == "vtt":
        return vtt(transcript.parts).encode()
    return wire.encode(_json(transcript, wanted))


def srt(parts: Iterable[Piece]) -> str:
    """Return segments as SubRip."""
    blocks = [
        f"{i}\n{_time(part.start, ',')} --> {_time(part.end, ',')}\n{_lines(part.text)}\n"
        for i, part in enumerate(parts, 1)
    ]
    return "\n".join(blocks)


def vtt(parts: Iterable[Piece]) -> str:
    """Return segments as WebVTT (https://www.w3.org/TR/webvtt1/)."""
    blocks = [f"{_time(part.start, '.')} --> {_time(part.end, '.')}\n{_cue(part.text)}\n" for part in parts]
    return "\n".join(["WEBVTT\n", *blocks])


def usage(counts: TokenCounts) -> wire.TokenUsage:
    """Return the tokens as OpenAI writes them."""
    details = wire.InputDetails(counts.prompt_audio, counts.input - counts.prompt_audio)
    return wire.TokenUsage(counts.input, counts.output, counts.input + counts.output, details)


def events(transcript: Transcript, wanted: Wish) -> Iterable[bytes]:
    """Yield the events of a transcript that came at once: one for each segment, then the whole."""
    if wanted.diarized:
        for segment in _speakers(transcript):
            yield frame(segment)
    else:
        for i, part in enumerate(transcript.parts):
            yield frame(wire.Delta(part.text if not i else f" {part.text}"))
    yield frame(wire.Done(transcript.text, usage(transcript.counts)))


def frame(event: Struct) -> bytes:
    """Return one event."""
    return b"data: %s\n\n" % wire.encode(event)


class TranscriptStream:
    """Writes the events of a chat model's transcript as it comes."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def encode(self, events: list[Event]) -> bytes:
        """Return the frames of some events."""
        out = []
        for event in events:
            if isinstance(event, TextDelta) and event.text:
                out.append(self._delta(event.text))
            elif isinstance(event, Finished) and event.reason == "content_filter":
                out.append(
                    self.fail(
                        BadRequest(
                            event.refusal or "Answer blocked by Gemini.", code="content_policy_violation"
                        )
                    )
                )
            elif isinstance(event, TurnEnded):
                out.append(frame(wire.Done("".join(self._texts).strip(), usage(event.counts))))
        return b"".join(out)

    def texts(self, index: int, texts: list[str]) -> bytes:
        """Return the frames of texts."""
        return b"".join(self._delta(text) for text in texts)

    def fail(self, error: GatewayError) -> bytes:
        """Return the frame of an error in mid-stream."""
        inner = msgspec.json.decode(openai_error(error), type=dict[str, msgspec.Raw])
        return frame(wire.StreamError(inner["error"]))

    def _delta(self, text: str) -> bytes:
        self._texts.append(text)
        return frame(wire.Delta(text))


def _json(transcript: Transcript, wanted: Wish) -> Struct:
    task = "translate" if wanted.translate else "transcribe"
    if wanted.form == "verbose_json":
        words = [wire.WordTime(word.text, word.start, word.end) for word in transcript.words]
        return wire.VerboseTranscription(
            task, _language(transcript, wanted), transcript.duration, transcript.text,
            [wire.Segment(i, part.start, part.end, part.text) for i, part in enumerate(transcript.parts)],
            wire.DurationUsage(transcript.duration), words if wanted.words else msgspec.UNSET,
        )  # fmt: skip
    if wanted.diarized:
        return wire.DiarizedTranscription(
            task, transcript.duration, transcript.text, _speakers(transcript), usage(transcript.counts)
        )
    languages = [wire.Language(code) for code in wanted.languages] if len(wanted.languages) > 1 else []
    return wire.Transcription(transcript.text, usage(transcript.counts), languages)


def _speakers(transcript: Transcript) -> list[wire.SpeakerSegment]:
    return [
        wire.SpeakerSegment(f"seg_{i}", part.start, part.end, part.speaker, part.text)
        for i, part in enumerate(turns(transcript.parts))
    ]


def _language(transcript: Transcript, wanted: Wish) -> str:
    if wanted.translate:
        return "english"
    return english_name(transcript.language or (wanted.languages[0] if wanted.languages else ""))


def _written(text: str) -> wire.ModelTranscript:
    """Return the segments that a chat model wrote; its text as one segment if it wrote no JSON."""
    bare = re.sub(r"^```(?:json)?\s*|\s*```$", "", text)
    try:
        return wire.decode_transcript(bare.encode())
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return wire.ModelTranscript([wire.ModelSegment(text=text)] if text else [])


def _length(seconds: float | None, last: float, counts: TokenCounts, *, by_chat: bool) -> float:
    """Return the seconds of the audio: by its file, else to the end of the last word, else by its tokens."""
    if seconds is not None:
        return seconds
    return last or round(counts.prompt_audio / _TOKENS_PER_SECOND[by_chat], 2)


def _time(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{point}{rest % 1000:03}"


def _lines(text: str) -> str:
    """Return a text without empty lines, which would end its block, and without an arrow, which would begin one."""
    kept = "\n".join(line.strip() for line in text.splitlines() if line.strip())
    return kept.replace("-->", "->")


def _cue(text: str) -> str:
    return _lines(text).replace("&", "&amp;").replace("<", "&lt;")
