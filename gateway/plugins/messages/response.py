"""Anthropic's Messages, the answer: a turn's events to content blocks, and to the named events that build them.

A thinking block stays open until the part comes that its signature belongs to, or something else does
(translation.md H.2). Unary answers are the last state of the same builder.
"""

from typing import Any

import msgspec

from gateway.errors import GatewayError, scrub
from gateway.gemini.code_markdown import code_markdown
from gateway.gemini.events import (
    Citations,
    CodePart,
    Event,
    Finished,
    TextDelta,
    ThoughtDelta,
    ToolCall,
    TurnEnded,
    TurnStarted,
)
from gateway.gemini.usage import TokenCounts
from gateway.plugins.chat.response import MODEL_NAME
from gateway.plugins.messages.wire import encode

Object = dict[str, Any]
_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
_TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
    413: "request_too_large", 429: "rate_limit_error", 503: "overloaded_error", 504: "timeout_error",
}  # fmt: skip
OVERLOADED = 529
"""Anthropic's own status for what Google calls 503."""


class MessagesStream:
    """Events to frames; `message` is the object they build."""

    def __init__(self, message: Object) -> None:
        self.message = message
        self._begun = False
        self._open: Object | None = None

    def encode(self, events: list[Event]) -> bytes:
        """The frames of some events."""
        out: list[bytes] = []
        for event in events:
            if isinstance(event, TurnStarted):
                if event.model and MODEL_NAME.fullmatch(event.model):
                    self.message["model"] = event.model.removeprefix("models/")
                continue
            self._begin(out)
            self._event(out, event)
        return b"".join(out)

    def fail(self, error: GatewayError) -> bytes:
        """The one frame that tells of a failure."""
        out: list[bytes] = []
        self._emit(out, "error", error=error_object(error))
        return b"".join(out)

    def _begin(self, out: list[bytes]) -> None:
        if not self._begun:
            self._begun = True
            self._emit(out, "message_start", message=self.message)

    def _emit(self, out: list[bytes], kind: str, **fields: Any) -> None:
        out.append(b"event: " + kind.encode() + b"\ndata: " + encode({"type": kind, **fields}) + b"\n\n")

    def _event(self, out: list[bytes], event: Event) -> None:
        match event:
            case TextDelta():
                self._text(out, event.text)
            case CodePart():
                self._text(out, code_markdown(event))
            case ThoughtDelta():
                self._thought(out, event.text)
            case ToolCall():
                self._call(out, event)
            case Citations():
                self._cited(out, event)
            case Finished():
                self._finished(out, event)
            case TurnEnded():
                counts = usage(event.counts)
                self.message["usage"] = counts
                told = {"stop_reason": self.message["stop_reason"], "stop_sequence": None}
                self._emit(out, "message_delta", delta=told, usage=counts)
                self._emit(out, "message_stop")

    @property
    def _index(self) -> int:
        return len(self.message["content"]) - 1

    def _opened(self, out: list[bytes], block: Object) -> Object:
        self._close(out)
        self._open = block
        self.message["content"].append(block)
        self._emit(out, "content_block_start", index=self._index, content_block=block)
        return block

    def _close(self, out: list[bytes]) -> None:
        if self._open is not None:
            self._open = None
            self._emit(out, "content_block_stop", index=self._index)

    def _delta(self, out: list[bytes], kind: str, **fields: Any) -> None:
        self._emit(out, "content_block_delta", index=self._index, delta={"type": kind, **fields})

    def _of(self, out: list[bytes], kind: str, **fields: Any) -> Object:
        """The open block, if it is of this kind; else a new one."""
        if self._open is not None and self._open["type"] == kind:
            return self._open
        return self._opened(out, {"type": kind, **fields})

    def _text(self, out: list[bytes], text: str) -> None:
        block = self._of(out, "text", text="")
        self._delta(out, "text_delta", text=text)
        block["text"] += text

    def _thought(self, out: list[bytes], text: str) -> None:
        block = self._of(out, "thinking", thinking="", signature="")
        self._delta(out, "thinking_delta", thinking=text)
        block["thinking"] += text

    def _sign(self, out: list[bytes], signature: str) -> None:
        """In the thinking block before the part it belongs to, an empty one if there is none."""
        block = self._of(out, "thinking", thinking="", signature="")
        self._delta(out, "signature_delta", signature=signature)
        block["signature"] = signature

    def _call(self, out: list[bytes], event: ToolCall) -> None:
        if event.signature:
            self._sign(out, event.signature)
        block = self._opened(out, {"type": "tool_use", "id": event.id, "name": event.name, "input": {}})
        self._delta(out, "input_json_delta", partial_json=event.arguments)
        block["input"] = msgspec.Raw(event.arguments.encode())
        self._close(out)

    def _cited(self, out: list[bytes], event: Citations) -> None:
        """Into the text that is still open, with the words they are about."""
        block = self._open
        if block is None or block["type"] != "text":
            return
        for cited in event.citations:
            told = {"type": "web_search_result_location", "url": cited.url, "title": cited.title,
                    "encrypted_index": "", "cited_text": block["text"][cited.start : cited.end]}  # fmt: skip
            block.setdefault("citations", []).append(told)
            self._delta(out, "citations_delta", citation=told)

    def _finished(self, out: list[bytes], end: Finished) -> None:
        if end.refusal is not None:
            self._text(out, end.refusal)
        self._close(out)
        self.message["stop_reason"] = _REASONS[end.reason]


def usage(counts: TokenCounts) -> Object:
    """Return Anthropic's usage, whose input tokens leave the cached ones out."""
    return {
        "input_tokens": counts.input - counts.cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": counts.cached,
        "output_tokens": counts.output,
    }


def error_object(error: GatewayError) -> Object:
    """Anthropic's kind and words for an error."""
    message = scrub(error.message)
    if error.param and not message.startswith(error.param):
        message = f"{error.param}: {message}"
    kind = _TYPES.get(error.status, "invalid_request_error" if error.status < 500 else "api_error")
    return {"type": kind, "message": message}
