"""Messages, the answer: a turn's events to content blocks, and to the named events that build them.

A unary answer is the last state of the same encoder. A thinking block stays open until something else comes, because
the signature of the part after it belongs into it (https://docs.anthropic.com/en/docs/build-with-claude/streaming).
"""

import re
from typing import Any

import msgspec

from gateway.errors import GatewayError, scrub
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
from gateway.gemini.usage import TokenCounts
from gateway.plugins.messages.wire import encode

Object = dict[str, Any]
_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
_TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
    413: "request_too_large", 429: "rate_limit_error", 503: "overloaded_error", 504: "timeout_error",
}  # fmt: skip
"""HTTP status to Anthropic's error type (https://docs.anthropic.com/en/api/errors)."""
OVERLOADED = 529
"""Anthropic's status for what Google calls 503."""
_LONGEST_CITED = 150
"""Characters of `cited_text` (https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/web-search-tool#citations)."""
_INDEX = re.compile(r"\[(\d+)\]")


class MessagesStream:
    """Encodes events as frames; `message` is the object that they build."""

    def __init__(self, message: Object) -> None:
        self.message = message
        self._begun = False
        self._open: Object | None = None
        self._texts: list[str] = []
        """Gemini's own text, which offsets of citations count."""
        self._said: list[str] = []
        """Texts of the open block, which gets them when it closes."""
        self._left_out: set[str] = set()
        """MIME types of media that the answer could not hold."""

    def encode(self, events: list[Event]) -> bytes:
        """Return the frames of some events."""
        out: list[bytes] = []
        for event in events:
            if isinstance(event, TurnStarted):
                if event.model:
                    self.message["model"] = event.model
                continue
            self._begin(out)
            self._event(out, event)
        return b"".join(out)

    def fail(self, error: GatewayError) -> bytes:
        """Return the frame of an error, which ends the stream."""
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
                self._texts.append(event.text)
                self._text(out, event.text)
            case CodePart():
                self._text(out, code_markdown(event))
            case MediaPart():
                self._media(out, event.mime_type)
            case FilePart():
                self._text(out, f"\n[File: {event.uri}]\n")
            case ThoughtDelta():
                self._thought(out, event.text)
            case ToolCall():
                self._call(out, event)
            case Citations():
                self._cite(out, event)
            case Finished():
                self._finished(out, event)
            case TurnEnded():
                counts = usage(event.counts)
                self.message["usage"] = counts
                delta = {"stop_reason": self.message["stop_reason"], "stop_sequence": None}
                self._emit(out, "message_delta", delta=delta, usage=counts)
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
        block, self._open = self._open, None
        if block is not None:
            if self._said:
                block[block["type"]] = "".join(
                    self._said
                )  # the field of a text or thinking block has its name
                self._said.clear()
            self._emit(out, "content_block_stop", index=self._index)

    def _delta(self, out: list[bytes], kind: str, **fields: Any) -> None:
        self._emit(out, "content_block_delta", index=self._index, delta={"type": kind, **fields})

    def _of(self, out: list[bytes], kind: str, **fields: Any) -> Object:
        """Return the open block if it is of this kind, else a new one."""
        if self._open is not None and self._open["type"] == kind:
            return self._open
        return self._opened(out, {"type": kind, **fields})

    def _text(self, out: list[bytes], text: str) -> None:
        self._of(out, "text", text="")
        self._delta(out, "text_delta", text=text)
        self._said.append(text)

    def _thought(self, out: list[bytes], text: str) -> None:
        self._of(out, "thinking", thinking="", signature="")
        self._delta(out, "thinking_delta", thinking=text)
        self._said.append(text)

    def _media(self, out: list[bytes], mime_type: str) -> None:
        """Name media that are left out, once for each type: speech comes in many pieces.

        An assistant's turn has no block for an image or audio in Anthropic's API, a stream's headers are sent before
        its media come, and bytes in a text would return, and be paid for, with the history of the next request.
        """
        if mime_type not in self._left_out:
            self._left_out.add(mime_type)
            self._text(out, f"\n[Left out: {mime_type}. The Messages API has no content block for it.]\n")

    def _sign(self, out: list[bytes], signature: str) -> None:
        """Put a signature into the thinking block before its part, an empty one if there is none."""
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

    def _cite(self, out: list[bytes], event: Citations) -> None:
        """Add citations to the text that is still open, each with the words that it is about."""
        block = self._open
        if block is None or block["type"] != "text":
            return
        text = "".join(self._texts)
        for cited in event.citations:
            citation = {
                "type": "web_search_result_location",
                "url": cited.url,
                "title": cited.title,
                "encrypted_index": "",
                "cited_text": text[cited.start : min(cited.end, cited.start + _LONGEST_CITED)],
            }
            block.setdefault("citations", []).append(citation)
            self._delta(out, "citations_delta", citation=citation)

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
    """Return Anthropic's error object; its message begins with the path of the field, as Anthropic's do."""
    kind = _TYPES.get(error.status, "invalid_request_error" if error.status < 500 else "api_error")
    return {"type": kind, "message": _error_message(error)}


_LONGEST_REWORDED = 2000
"""Characters of a message whose words are Anthropic's. The gateway's own are shorter; Google's may repeat any text."""
_WORDS = (
    (re.compile(r"^Invalid value: '.*?'\. Supported values are: ('.*')\."), r"Input should be \1"),
    (re.compile(r"^(Input should be '.*'), ('[^']*')$"), r"\1 or \2"),
    (
        re.compile(
            r"^Invalid '.*?': array too long\. Expected an array with maximum length (\d+), "
            r"but got an array with length (\d+) instead\."
        ),
        r"List should have at most \1 items after validation, not \2",
    ),
    (re.compile(r"^Unknown parameter: '.*?'\."), "Extra inputs are not permitted."),
    (
        re.compile(r"^Invalid type for '.*?': expected (?:one of )?(.*), but got .* instead\."),
        r"Input should be \1",
    ),
    (
        re.compile(r"^Invalid '.*?': \w+ \w+ minimum value\. Expected a value >= (\S+)\."),
        r"Input should be greater than or equal to \1",
    ),
    (
        re.compile(r"^Invalid '.*?': \w+ \w+ maximum value\. Expected a value <= (\S+)\."),
        r"Input should be less than or equal to \1",
    ),
    (
        re.compile(r"^Invalid '.*?': empty array\. .*"),
        "List should have at least 1 item after validation, not 0",
    ),
    (re.compile(r"^(?:Unsupported parameter: |Invalid value for |Invalid )'.*?'[.:] "), ""),
)
"""OpenAI's words, which the conversation builder uses, and Anthropic's, which are pydantic's."""


def _error_message(error: GatewayError) -> str:
    message = scrub(error.message)
    if error.param is None:
        return message
    path = _INDEX.sub(r".\1", error.param)
    if error.code == "missing_required_parameter":
        return f"{path}: Field required"
    message = message.replace(error.param, path)
    for pattern, words in _WORDS if len(message) <= _LONGEST_REWORDED else ():
        message = pattern.sub(words, message, count=1)
    return message if message.startswith(path) else f"{path}: {message}"
