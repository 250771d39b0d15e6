"""Chat completions, the answer: a turn's events to one completion, or to chunks (translation.md C, D.3)."""

import re
from collections.abc import Iterable

import msgspec
from msgspec import UNSET, Struct

from gateway.errors import GatewayError
from gateway.translate import failure
from gateway.translate.events import (
    CodePart,
    Event,
    Finished,
    TextDelta,
    ThoughtDelta,
    ToolCall,
    TurnEnded,
    TurnStarted,
)
from gateway.translate.usage import openai_usage
from gateway.wire import openai_chat as openai
from gateway.wire.gemini import UsageMetadata
from gateway.wire.openai_chat import ChunkChoice, Delta, encode
from gateway.wire.sse import frame

_DONE = frame(b"[DONE]")
_MODEL = re.compile(r"[\w.@:/-]{1,128}", re.ASCII)  # it goes into a header too


class Envelope(Struct):
    """What every chunk of an answer shares; Gemini's own names replace id and model when they come."""

    id: str
    created: int
    """Seconds since the epoch."""
    model: str

    def rename(self, start: TurnStarted) -> None:
        """Answer under the upstream's id and the name of the model that really answered (C.1)."""
        if start.response_id:
            self.id = f"chatcmpl-{start.response_id}"
        if start.model and _MODEL.fullmatch(start.model):
            self.model = start.model.removeprefix("models/")


class _Said(Struct):
    """One candidate's answer so far."""

    texts: list[str] = msgspec.field(default_factory=list)
    thoughts: list[str] = msgspec.field(default_factory=list)
    calls: list[openai.ToolCall] = msgspec.field(default_factory=list)


def completion(events: Iterable[Event], envelope: Envelope) -> openai.ChatCompletion:
    """A whole turn as one answer; events without a place in a text answer are left out."""
    said: dict[int, _Said] = {}
    choices: list[openai.Choice] = []
    counts = UsageMetadata()
    for event in events:
        match event:
            case TurnStarted():
                envelope.rename(event)
            case TextDelta():
                said.setdefault(event.index, _Said()).texts.append(event.text)
            case CodePart():
                said.setdefault(event.index, _Said()).texts.append(markdown(event))
            case ThoughtDelta():
                said.setdefault(event.index, _Said()).thoughts.append(event.text)
            case ToolCall():
                said.setdefault(event.index, _Said()).calls.append(_tool_call(event))
            case Finished():
                choices.append(_choice(event, said.get(event.index, _Said())))
            case TurnEnded():
                counts = event.usage
    usage = openai_usage(counts)
    return openai.ChatCompletion(envelope.id, envelope.created, envelope.model, choices, usage)


def _choice(end: Finished, said: _Said) -> openai.Choice:
    text = "".join(said.texts)
    silent = not text and (said.calls or end.refusal)
    message = openai.AssistantMessage(
        content=None if silent else text,
        refusal=end.refusal,
        reasoning_content="".join(said.thoughts) or UNSET,
        tool_calls=said.calls or UNSET,
        extra_content=_extra(end.signature),
    )
    return openai.Choice(end.index, message, end.reason)


class ChatStream:
    """Events to chunk frames: role first, one finish chunk for each choice, usage if asked for, [DONE]."""

    def __init__(self, envelope: Envelope, *, include_usage: bool) -> None:
        self._envelope = envelope
        self._include_usage = include_usage
        self._begun: set[int] = set()
        self._calls: dict[int, int] = {}
        self._head, self._tail = b"", b""
        self._write_envelope()

    def encode(self, events: list[Event]) -> bytes:
        """The frames of some events, or b"" when no client needs to know of them."""
        out: list[bytes] = []
        for event in events:
            match event:
                case TextDelta():
                    self._put(out, event.index, Delta(content=event.text))
                case ThoughtDelta():
                    self._put(out, event.index, Delta(reasoning_content=event.text))
                case ToolCall():
                    self._put(out, event.index, Delta(tool_calls=[self._numbered(event)]))
                case CodePart():
                    self._put(out, event.index, Delta(content=markdown(event)))
                case Finished():
                    self._finish(out, event)
                case TurnStarted():
                    self._envelope.rename(event)
                    self._write_envelope()
                case TurnEnded():
                    self._end(out, event)
        return b"".join(out)

    def fail(self, error: GatewayError) -> bytes:
        """The frame that makes SDKs raise; nothing follows it, no [DONE] either (translation.md D.8)."""
        return frame(failure.openai_error(error))

    def _write_envelope(self) -> None:
        """Encode once what all chunks share: the rest of a chunk is its one choice."""
        e = self._envelope
        shared = {"id": e.id, "object": "chat.completion.chunk", "created": e.created, "model": e.model}
        self._head = b"data: " + encode(shared)[:-1] + b',"choices":['
        self._tail = b'],"usage":null}\n\n' if self._include_usage else b"]}\n\n"

    def _put(self, out: list[bytes], index: int, delta: Delta) -> None:
        if index not in self._begun:
            self._begun.add(index)
            self._chunk(out, ChunkChoice(index, Delta(role="assistant", content="", refusal=None)))
        self._chunk(out, ChunkChoice(index, delta))

    def _chunk(self, out: list[bytes], choice: ChunkChoice) -> None:
        out += (self._head, encode(choice), self._tail)

    def _numbered(self, event: ToolCall) -> openai.ToolCall:
        """With its index, which accumulators insist on, counted through the whole stream."""
        call = _tool_call(event)
        call.index = self._calls.get(event.index, 0)
        self._calls[event.index] = call.index + 1
        return call

    def _finish(self, out: list[bytes], end: Finished) -> None:
        told = Delta(extra_content=_extra(end.signature), refusal=end.refusal or UNSET)
        if end.index not in self._begun or end.refusal or end.signature:
            self._put(out, end.index, told)
        self._chunk(out, ChunkChoice(end.index, Delta(), end.reason))

    def _end(self, out: list[bytes], end: TurnEnded) -> None:
        if self._include_usage:
            usage = encode(openai_usage(end.usage))
            out += (self._head, b'],"usage":', usage, b"}\n\n")
        out.append(_DONE)


def _tool_call(event: ToolCall) -> openai.ToolCall:
    function = openai.FunctionCall(event.name, event.arguments)
    return openai.ToolCall(event.id, function, extra_content=_extra(event.signature))


def _extra(signature: str | None) -> openai.ExtraContent | msgspec.UnsetType:
    return openai.ExtraContent(openai.Google(signature)) if signature else UNSET


def markdown(part: CodePart) -> str:
    """Code the model ran, and what came of it, as fenced blocks (translation.md C.6)."""
    if part.source is not None:
        return f"\n```python\n{part.source}\n```\n"
    return f"\n```\n{'Error: ' if part.failed else ''}{part.output or ''}\n```\n"
