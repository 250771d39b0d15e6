"""Legacy completions, the answer: a turn's events to one completion, or to chunks of the same type."""

from collections.abc import Iterable

from msgspec import UNSET, Struct

from gateway.errors import GatewayError, openai_error
from gateway.gemini.code_markdown import code_markdown
from gateway.gemini.events import CodePart, Event, Finished, TextDelta, TurnEnded, TurnStarted
from gateway.gemini.sse import frame
from gateway.gemini.usage import TokenCounts, answer_counts
from gateway.plugins.completions.wire import (
    Completion,
    CompletionChoice,
    CompletionTokensDetails,
    FinishReason,
    PromptTokensDetails,
    Usage,
    encode,
)


class Envelope(Struct):
    """The fields that all chunks of an answer share. Gemini's own names replace id and model when they come."""

    id: str
    created: int
    """Seconds since the epoch."""
    model: str
    named: bool = False

    def rename(self, start: TurnStarted) -> None:
        """Take the names of the first upstream call that starts."""
        if self.named:
            return
        self.named = True
        if start.response_id:
            self.id = f"cmpl-{start.response_id}"
        if start.model:
            self.model = start.model


def completion(events: Iterable[Event], envelope: Envelope, echoes: list[str]) -> Completion:
    """Return all turns as one answer. `echoes` holds what stands before the text of each choice."""
    texts: dict[int, list[str]] = {}
    ends: dict[int, FinishReason] = {}
    counts: list[TokenCounts] = []
    for event in events:
        match event:
            case TurnStarted():
                envelope.rename(event)
            case TextDelta():
                texts.setdefault(event.index, []).append(event.text)
            case CodePart():
                texts.setdefault(event.index, []).append(code_markdown(event))
            case Finished():
                ends[event.index] = _reason(event)
            case TurnEnded():
                counts.append(event.counts)
    choices = [
        CompletionChoice(echoes[i] + "".join(texts.get(i, ())), i, reason)
        for i, reason in sorted(ends.items())
    ]
    return Completion(envelope.id, envelope.created, envelope.model, choices, usage(answer_counts(counts)))


class CompletionStream:
    """Encodes events as chunk frames."""

    def __init__(self, envelope: Envelope, echoes: list[str], *, include_usage: bool, calls: int) -> None:
        self._envelope = envelope
        self._echoes = dict(enumerate(echoes))
        self._include_usage = include_usage
        self._left = calls
        self._counts: list[TokenCounts] = []

    def encode(self, events: list[Event]) -> bytes:
        """Return the frames of some events."""
        out: list[bytes] = []
        for event in events:
            match event:
                case TurnStarted():
                    self._envelope.rename(event)
                case TextDelta():
                    out.append(self._chunk(event.index, event.text))
                case CodePart():
                    out.append(self._chunk(event.index, code_markdown(event)))
                case Finished():
                    out.append(self._chunk(event.index, "", _reason(event)))
                case TurnEnded():
                    out.append(self._end(event))
        return b"".join(out)

    def texts(self, index: int, texts: list[str]) -> bytes:
        """Return the frames of some texts of a choice."""
        return b"".join([self._chunk(index, text) for text in texts])

    def fail(self, error: GatewayError) -> bytes:
        """Return the frame of an error, which ends the stream."""
        return frame(openai_error(error))

    def _chunk(self, index: int, text: str, reason: FinishReason | None = None) -> bytes:
        text = self._echoes.pop(index, "") + text
        return self._frame([CompletionChoice(text, index, reason)])

    def _frame(self, choices: list[CompletionChoice]) -> bytes:
        envelope = self._envelope
        chunk = Completion(envelope.id, envelope.created, envelope.model, choices)
        if self._include_usage:
            chunk.usage = None if choices else usage(answer_counts(self._counts))
        return frame(encode(chunk))

    def _end(self, end: TurnEnded) -> bytes:
        self._counts.append(end.counts)
        self._left -= 1
        if self._left:
            return b""
        return (self._frame([]) if self._include_usage else b"") + frame(b"[DONE]")


def usage(counts: TokenCounts) -> Usage:
    """Return OpenAI's usage: tool use is prompt, thoughts are completion, and prompt + completion = total."""
    return Usage(
        counts.input,
        counts.output,
        counts.total,
        PromptTokensDetails(counts.cached, text_tokens=counts.prompt_text or UNSET),
        CompletionTokensDetails(counts.thoughts),
    )


def _reason(end: Finished) -> FinishReason:
    return "stop" if end.reason == "tool_calls" else end.reason
