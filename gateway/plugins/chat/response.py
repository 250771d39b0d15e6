"""Chat completions, the answer: the events of a turn as one completion, or as chunks of a stream."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence

import msgspec
from msgspec import UNSET, Struct, UnsetType

from gateway.errors import GatewayError, openai_error
from gateway.gemini.audio import encode_audio, raw_samples
from gateway.gemini.call_names import NO_CALLS, CallRules
from gateway.gemini.code_markdown import code_markdown
from gateway.gemini.events import (
    Citations,
    CodePart,
    Event,
    FilePart,
    Finished,
    MediaPart,
    TextDelta,
    ThoughtDelta,
    ToolCall,
    TurnEnded,
    TurnStarted,
)
from gateway.gemini.sse import frame
from gateway.gemini.usage import TokenCounts, answer_counts
from gateway.gemini.wire import LogprobsCandidate, LogprobsResult
from gateway.plugins.chat import answer_wire as openai
from gateway.plugins.chat.answer_wire import ChunkChoice, Delta, encode

_DONE = frame(b"[DONE]")
_NO_PROBABILITY = -9999.0
"""OpenAI's number for a token that is very unlikely."""
TIERS = {"standard": "default", "flex": "flex", "priority": "priority"}
"""Gemini's service tier to OpenAI's."""
_SMALL = 16 * 1024
"""Bytes of metadata that are given unasked; they come back with each later request."""
_TEXT_HEAD = b'{"index":0,"delta":{"content":'
_TEXT_END = b'},"finish_reason":null,"logprobs":null}'
_AUDIO_LIFE = 3600
"""Seconds until `expires_at`; audio is not stored, but the field is required."""


class Envelope(Struct):
    """The fields that all chunks of an answer share. Gemini's id and model replace the first ones."""

    id: str
    created: int
    """Seconds since the epoch."""
    model: str
    named: bool = False

    def rename(self, start: TurnStarted) -> None:
        """Take the upstream's id, and the name of the model that answers."""
        self.name(start.response_id, start.model)

    def name(self, response_id: str | None, model: str | None) -> None:
        """Take the upstream's id, and the name of the model that answers."""
        if self.named:  # with `n`, the first call names the answer
            return
        self.named = True
        if response_id:
            self.id = f"chatcmpl-{response_id}"
        if model:
            self.model = model


class AnswerOptions(Struct, frozen=True):
    """Options of an answer that depend on its request."""

    rules: CallRules = NO_CALLS
    audio_format: str | None = None
    grounding: bool = False
    """Return Google's grounding metadata beside the annotations."""
    calls: int = 1
    """Number of upstream calls that the answer is made of (`n`)."""


_PLAIN = AnswerOptions()


class _Said(Struct):
    """One candidate's answer so far."""

    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[openai.ToolCall] = []
    images: list[openai.ImageOut] = []
    audio: list[MediaPart] = []
    files: list[openai.FileOut] = []
    inserted: list[tuple[int, int]] = []
    tokens: list[openai.TokenLogprob] = []
    citations: Citations | None = None


def completion(
    events: Iterable[Event], envelope: Envelope, style: AnswerOptions = _PLAIN
) -> openai.ChatCompletion:
    """Return a whole turn, or several for `n`, as one completion."""
    said: dict[int, _Said] = {}
    choices: list[openai.Choice] = []
    counts: list[TokenCounts] = []
    tier: str | int | None = None
    for event in events:
        if isinstance(event, TurnStarted):
            envelope.rename(event)
        elif isinstance(event, TurnEnded):
            tier = tier if counts else event.service_tier
            counts.append(event.counts)
        elif isinstance(event, Finished):
            choices.append(_choice(event, said.get(event.index) or _Said(), envelope, style))
        else:
            mine = said.get(event.index)
            if mine is None:
                mine = said[event.index] = _Said()
            _say(event, mine, style)
    answer = openai.ChatCompletion(
        envelope.id, envelope.created, envelope.model, choices, usage(answer_counts(counts))
    )
    answer.service_tier = TIERS.get(str(tier).lower(), UNSET)
    return answer


def _say(event: Event, said: _Said, style: AnswerOptions) -> None:
    """Add one event to a message."""
    match event:
        case TextDelta():
            said.texts.append(event.text)
            if event.logprobs is not None:
                said.tokens += token_logprobs(event.logprobs)
        case ThoughtDelta():
            said.thoughts.append(event.text)
        case ToolCall():
            said.calls.append(_tool_call(event, style.rules))
        case CodePart():
            block = code_markdown(event)
            said.texts.append(block)
            said.inserted.append((event.at, len(block)))
        case MediaPart():
            if event.mime_type.startswith("audio/"):
                said.audio.append(event)
            else:
                said.images.append(_image(event, len(said.images)))
        case FilePart():
            said.files.append(openai.FileOut(event.uri, event.mime_type))
        case Citations():
            said.citations = event


def _choice(end: Finished, said: _Said, envelope: Envelope, style: AnswerOptions) -> openai.Choice:
    text = "".join(said.texts)
    silent = not text and (said.calls or said.audio or end.refusal)
    message = openai.AssistantMessage(
        content=None if silent else text,
        refusal=end.refusal,
        reasoning_content="".join(said.thoughts) or UNSET,
        images=said.images or UNSET,
        extra_content=_extra(_google(end, said.citations, said.files, style)),
    )
    if said.citations is not None:
        message.annotations = _annotations(said.citations, said.inserted) or UNSET
    if said.audio:
        data = encode_audio(
            [p.data for p in said.audio], said.audio[0].mime_type, style.audio_format or "wav"
        )
        message.audio = openai.AudioAnswer(f"audio_{envelope.id[-24:]}", envelope.created + _AUDIO_LIFE, data)
    reason: openai.FinishReason = end.reason
    if said.calls and style.rules.legacy:
        message.function_call = said.calls[0].function
        reason = "function_call" if end.reason == "tool_calls" else end.reason
    elif said.calls:
        message.tool_calls = said.calls
    logprobs = openai.Logprobs(said.tokens) if said.tokens else None
    return openai.Choice(end.index, message, reason, logprobs)


class _Rare(Struct):
    """State of a stream that is more than text, each by the choice's index."""

    calls: dict[int, int] = {}
    images: dict[int, int] = {}
    inserted: dict[int, list[tuple[int, int]]] = {}
    cited: dict[int, Citations] = {}
    files: dict[int, list[openai.FileOut]] = {}


_NOTHING_RARE = _Rare()


class ChatStream:
    """Encodes events as chunks: the role first, a finish chunk for each choice, usage if requested, `[DONE]`."""

    __slots__ = (
        "_begun", "_counts", "_envelope", "_include_usage", "_rare", "_style", "_tail", "_text_head", "_text_tail",
    )  # fmt: skip

    def __init__(self, envelope: Envelope, *, include_usage: bool, style: AnswerOptions = _PLAIN) -> None:
        self._envelope = envelope
        self._include_usage = include_usage
        self._style = style
        self._begun: tuple[int, ...] = ()
        self._rare: _Rare | None = None
        self._counts: list[TokenCounts] = []
        self._tail = b'],"usage":null}\n\n' if include_usage else b"]}\n\n"
        self._text_head, self._text_tail = b"", _TEXT_END + self._tail

    def encode(self, events: list[Event]) -> bytes:
        """Return the frames of some events; b"" when the client sees none of them."""
        out: list[bytes] = []
        for event in events:
            match event:
                case TextDelta():
                    self._text(out, event)
                case ThoughtDelta():
                    self._put(out, event.index, Delta(reasoning_content=event.text))
                case Finished():
                    self._finish(out, event)
                case TurnStarted():
                    self._envelope.rename(event)
                    self._write_envelope()
                case TurnEnded():
                    self._end(out, event)
                case _:
                    self._other(out, event)
        return b"".join(out)

    def texts(self, index: int, texts: list[str]) -> bytes:
        """Return the frames of some texts of a choice, in one loop without Python: most chunks are like this."""
        if index not in self._begun:
            return self.encode([TextDelta(index, text) for text in texts])
        head, tail = self._text_head, self._text_tail
        if index:
            head = b'%s{"index":%d,"delta":{"content":' % (self._head, index)
        if len(texts) == 1:
            return head + encode(texts[0]) + tail
        return b"".join((head, (tail + head).join(map(encode, texts)), tail))

    def fail(self, error: GatewayError) -> bytes:
        """Return the frame that makes SDKs raise an error. Nothing may follow it, not even `[DONE]`."""
        return frame(openai_error(error))

    @property
    def _others(self) -> _Rare:
        if self._rare is None:
            self._rare = _Rare()
        return self._rare

    @property
    def _head(self) -> bytes:
        """The beginning of all chunks."""
        if not self._text_head:
            self._write_envelope()
        return self._text_head[: -len(_TEXT_HEAD)]

    def _write_envelope(self) -> None:
        """Encode the shared fields once; the rest of a chunk is its choice."""
        e = self._envelope
        shared = {"id": e.id, "object": "chat.completion.chunk", "created": e.created, "model": e.model}
        self._text_head = b"data: " + encode(shared)[:-1] + b',"choices":[' + _TEXT_HEAD

    def _text(self, out: list[bytes], event: TextDelta) -> None:
        if event.logprobs is not None:
            self._put(
                out, event.index, Delta(content=event.text), openai.Logprobs(token_logprobs(event.logprobs))
            )
        elif event.index in self._begun:
            out.append(self.texts(event.index, [event.text]))
        else:
            self._put(out, event.index, Delta(content=event.text))

    def _put(
        self, out: list[bytes], index: int, delta: Delta, logprobs: openai.Logprobs | None = None
    ) -> None:
        if index not in self._begun:
            self._begun += (index,)
            self._chunk(out, ChunkChoice(index, Delta(role="assistant", content="", refusal=None)))
        self._chunk(out, ChunkChoice(index, delta, None, logprobs))

    def _chunk(self, out: list[bytes], choice: ChunkChoice) -> None:
        out += (self._head, encode(choice), self._tail)

    def _other(self, out: list[bytes], event: Event) -> None:
        """Encode the rarer events."""
        match event:
            case ToolCall():
                self._call(out, event)
            case CodePart():
                block = code_markdown(event)
                self._others.inserted.setdefault(event.index, []).append((event.at, len(block)))
                self._put(out, event.index, Delta(content=block))
            case MediaPart():
                self._media(out, event)
            case FilePart():
                self._others.files.setdefault(event.index, []).append(
                    openai.FileOut(event.uri, event.mime_type)
                )
            case Citations():
                self._others.cited[event.index] = event
                annotations = _annotations(event, self._others.inserted.get(event.index, ()))
                if annotations:
                    self._put(out, event.index, Delta(annotations=annotations))

    def _call(self, out: list[bytes], event: ToolCall) -> None:
        """Encode a call with its index in the stream, by which SDKs accumulate calls."""
        call = _tool_call(event, self._style.rules)
        call.index = self._others.calls.get(event.index, 0)
        self._others.calls[event.index] = call.index + 1
        if not self._style.rules.legacy:
            self._put(out, event.index, Delta(tool_calls=[call]))
        elif call.index == 0:
            self._put(out, event.index, Delta(function_call=call.function))

    def _media(self, out: list[bytes], event: MediaPart) -> None:
        """Encode an image as a whole, and audio sample by sample."""
        if event.mime_type.startswith("audio/"):
            e = self._envelope
            piece = openai.AudioAnswer(
                f"audio_{e.id[-24:]}", e.created + _AUDIO_LIFE, raw_samples(event.data)
            )
            self._put(out, event.index, Delta(audio=piece))
            return
        number = self._others.images.get(event.index, 0)
        self._others.images[event.index] = number + 1
        self._put(out, event.index, Delta(images=[_image(event, number)]))

    def _finish(self, out: list[bytes], end: Finished) -> None:
        rare = self._rare or _NOTHING_RARE
        google = _google(end, rare.cited.get(end.index), rare.files.get(end.index, ()), self._style)
        if end.index not in self._begun or end.refusal or google is not None:
            self._put(out, end.index, Delta(extra_content=_extra(google), refusal=end.refusal or UNSET))
        reason: openai.FinishReason = end.reason
        if reason == "tool_calls" and self._style.rules.legacy:
            reason = "function_call"
        self._chunk(out, ChunkChoice(end.index, Delta(), reason))

    def _end(self, out: list[bytes], end: TurnEnded) -> None:
        """Note the end of one upstream call. The last one ends the stream."""
        self._counts.append(end.counts)
        if len(self._counts) < self._style.calls:
            return
        if self._include_usage:
            counts = answer_counts(self._counts)
            out += (self._head, b'],"usage":', encode(usage(counts)), b"}\n\n")
        out.append(_DONE)


def usage(counts: TokenCounts) -> openai.Usage:
    """Return OpenAI's usage: tool use is prompt, thoughts are completion, and prompt + completion = total."""
    prompt, completion = counts.input, counts.output
    return openai.Usage(
        prompt,
        completion,
        prompt + completion,
        openai.PromptTokensDetails(
            counts.cached,
            counts.prompt_audio,
            counts.prompt_text or UNSET,
            counts.prompt_image or UNSET,
            counts.prompt_video or UNSET,
        ),
        openai.CompletionTokensDetails(
            counts.thoughts, counts.completion_audio, image_tokens=counts.completion_image or UNSET
        ),
    )


def _tool_call(event: ToolCall, rules: CallRules) -> openai.ToolCall:
    extra = _extra(openai.Google(event.signature)) if event.signature else UNSET
    if event.name in rules.custom:
        custom = openai.CustomCall(event.name, _input(event.arguments))
        return openai.ToolCall(event.id, custom=custom, type="custom", extra_content=extra)
    return openai.ToolCall(event.id, openai.FunctionCall(event.name, event.arguments), extra_content=extra)


def _input(arguments: str) -> str:
    """Return a custom tool's input: the one argument of its function."""
    value = msgspec.json.decode(arguments)
    text = value.get("input") if isinstance(value, dict) else None
    return text if isinstance(text, str) else arguments


def _google(
    end: Finished, cited: Citations | None, files: Sequence[openai.FileOut], style: AnswerOptions
) -> openai.Google | None:
    """Return the content of `extra_content.google`, or None."""
    failed = end.failure is not None and (end.reason != "content_filter" or end.message is not None)
    if not (end.signature or failed or files or cited or end.server_parts):
        return None
    google = openai.Google(
        end.signature or UNSET,
        finish_reason=end.failure or UNSET if failed else UNSET,
        finish_message=end.message or UNSET,
        files=list(files) or UNSET,
        server_parts=end.server_parts or UNSET,
    )
    if cited is not None and style.grounding and cited.metadata:
        google.grounding_metadata = cited.metadata
    if cited is not None and cited.url_context and (style.grounding or len(cited.url_context) <= _SMALL):
        google.url_context_metadata = cited.url_context
    return google if google != _NOTHING else None


_NOTHING = openai.Google()


def _extra(google: openai.Google | None) -> openai.ExtraContent | UnsetType:
    return openai.ExtraContent(google) if google is not None else UNSET


def _annotations(cited: Citations, inserted: Iterable[tuple[int, int]]) -> list[openai.Annotation]:
    """Return annotations with offsets in the client's text, where executed code stands between Gemini's texts."""
    places, lengths = [], [0]
    for at, length in inserted:  # in the order of the text
        places.append(at)
        lengths.append(lengths[-1] + length)

    def shifted(offset: int) -> int:
        return offset + lengths[bisect_right(places, offset)] if offset else offset

    return [
        openai.Annotation(openai.UrlCitation(shifted(c.start), shifted(c.end), c.url, c.title))
        for c in cited.citations
    ]


def _image(part: MediaPart, number: int) -> openai.ImageOut:
    return openai.ImageOut({"url": f"data:{part.mime_type};base64,{part.data}"}, number)


def token_logprobs(result: LogprobsResult) -> list[openai.TokenLogprob]:
    """Return the log probabilities of each position."""
    tops = result.top_candidates or []
    positions = []
    for i, chosen in enumerate(result.chosen_candidates or ()):
        others = tops[i].candidates or [] if i < len(tops) else []
        likely = [openai.TopLogprob(c.token, _probability(c), list(c.token.encode())) for c in others]
        positions.append(
            openai.TokenLogprob(chosen.token, _probability(chosen), list(chosen.token.encode()), likely)
        )
    return positions


def _probability(candidate: LogprobsCandidate) -> float:
    """Return a log probability. Proto3 leaves out 0, which is a certain token."""
    value = candidate.log_probability
    return max(_NO_PROBABILITY, value) if value is not None else 0.0
