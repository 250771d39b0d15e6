"""Legacy completions, over chat: each prompt is a conversation of one message (translation.md H.6)."""

from collections.abc import Iterable

from msgspec import UNSET

from gateway.conversation.field_policy import Policy
from gateway.errors import BadRequest, GatewayError, openai_error
from gateway.gemini.code_markdown import code_markdown
from gateway.gemini.events import CodePart, Event, Finished, TextDelta, TurnEnded, TurnStarted
from gateway.gemini.sse import frame
from gateway.gemini.usage import TokenCounts, answer_counts
from gateway.plugins.chat import wire as chat
from gateway.plugins.chat.response import Envelope
from gateway.plugins.chat.wire import FinishReason
from gateway.plugins.completions.wire import (
    Completion,
    CompletionChoice,
    CompletionRequest,
    CompletionTokensDetails,
    PromptTokensDetails,
    Usage,
    encode,
)

COMPLETIONS: dict[str, Policy] = {
    "model": Policy("mapped", "URL path, as in chat"),
    "prompt": Policy("mapped", "a text, or several, each a call of its own; token ids cannot be translated"),
    "suffix": Policy("emulated", "asked for in words"),
    "echo": Policy("emulated", "the prompt stands before the text"),
    "stream": Policy("mapped", "as in chat"),
    "stream_options": Policy("mapped", "`include_usage`"),
    "max_tokens": Policy("clamped", "`maxOutputTokens`; OpenAI's default of 16 is not applied"),
    "temperature": Policy("clamped", "as in chat"),
    "top_p": Policy("mapped", "`topP`"),
    "n": Policy("emulated", "one upstream call for each choice"),
    "best_of": Policy("emulated", "the first `n` are the best"),
    "seed": Policy("clamped", "as in chat"),
    "stop": Policy("mapped", "`stopSequences`, at most 5"),
    "presence_penalty": Policy("mapped", "where the model takes one"),
    "frequency_penalty": Policy("mapped", "where the model takes one"),
    "logprobs": Policy("dropped", "the old shape has no counterpart; chat has the new one"),
    "logit_bias": Policy("dropped", "Gemini has no counterpart"),
    "user": Policy("ignored", "Gemini has no end-user id"),
}
"""`POST /v1/completions`."""


def prompts(body: CompletionRequest) -> list[str]:
    """The prompts. Raises BadRequest for none and for token ids."""
    given = body.prompt if isinstance(body.prompt, list) else [body.prompt or ""]
    found = [prompt for prompt in given if isinstance(prompt, str)]
    if len(found) < len(given):
        raise BadRequest("token arrays are not supported: send text", param="prompt", code="invalid_type")
    if not found:
        raise BadRequest("at least one prompt is needed", param="prompt")
    return found


def to_chat(body: CompletionRequest, prompt: str) -> chat.ChatRequest:
    """One prompt as a chat that thinks as little as it can: a thought would eat the tokens."""
    messages = [chat.Message("user", prompt)]
    if body.suffix:
        told = "Continue the text so that it leads to the following ending; write only what stands between:\n"
        messages.insert(0, chat.Message("system", told + body.suffix))
    return chat.ChatRequest(
        messages,
        body.model,
        body.stream,
        stream_options=body.stream_options,
        temperature=body.temperature,
        top_p=body.top_p,
        n=body.n,
        seed=body.seed,
        stop=body.stop,
        max_tokens=body.max_tokens or None,
        presence_penalty=body.presence_penalty,
        frequency_penalty=body.frequency_penalty,
        reasoning_effort="none",
    )


def completion(events: Iterable[Event], envelope: Envelope, echoes: list[str]) -> Completion:
    """All turns as one answer; `echoes` holds what stands before each choice's text."""
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
    return Completion(
        _name(envelope), envelope.created, envelope.model, choices, usage(answer_counts(counts))
    )


class CompletionStream:
    """Events to chunk frames; the same object type as the answer's."""

    def __init__(self, envelope: Envelope, echoes: list[str], *, include_usage: bool, calls: int) -> None:
        self._envelope = envelope
        self._echoes = dict(enumerate(echoes))
        self._include_usage = include_usage
        self._left = calls
        self._counts: list[TokenCounts] = []

    def encode(self, events: list[Event]) -> bytes:
        """The frames of some events."""
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

    def fail(self, error: GatewayError) -> bytes:
        """The frame that makes SDKs raise."""
        return frame(openai_error(error))

    def _chunk(self, index: int, text: str, reason: FinishReason | None = None) -> bytes:
        text = self._echoes.pop(index, "") + text
        return self._frame([CompletionChoice(text, index, reason)])

    def _frame(self, choices: list[CompletionChoice]) -> bytes:
        e = self._envelope
        chunk = Completion(_name(e), e.created, e.model, choices)
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


def _name(envelope: Envelope) -> str:
    return "cmpl-" + envelope.id.removeprefix("chatcmpl-")
