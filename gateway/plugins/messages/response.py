"""Messages, the answer: a turn's events to content blocks, and to the named events that build them.

A unary answer is the last state of the same encoder. A thinking block stays open until something else comes, because
the signature of the part after it belongs into it (https://docs.anthropic.com/en/docs/build-with-claude/streaming).
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.errors import BudgetExceeded, ContextTooLong, GatewayError, scrub
from gateway.gemini.events import (
    Citations,
    CodePart,
    Event,
    FilePart,
    Finished,
    MediaPart,
    ServerTool,
    TextDelta,
    ThoughtDelta,
    ToolCall,
    TurnEnded,
    TurnStarted,
)
from gateway.gemini.joined_text import JoinedText
from gateway.gemini.sse import comment
from gateway.gemini.usage import TokenCounts
from gateway.plugins.messages.server_blocks import ServerBlocks
from gateway.plugins.messages.wire import encode

Object = dict[str, Any]
REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
_TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
    413: "request_too_large", 429: "rate_limit_error", 503: "overloaded_error", 504: "timeout_error",
}  # fmt: skip
"""HTTP status to Anthropic's error type (https://docs.anthropic.com/en/api/errors)."""
OVERLOADED = 529
"""Anthropic's status for what Google calls 503."""
_LONGEST_CITED = 150
"""Characters of `cited_text` (https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/web-search-tool#citations)."""
_NO_CREDIT = "Your credit balance is too low"
"""Anthropic's words, which Claude Code looks for. It then stops and tells its user."""
_INDEX = re.compile(r"\[(\d+)\]")

_TEXT_HEAD = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,'
    b'"delta":{"type":"text_delta","text":'
)
_TEXT_TAIL = b"}}\n\n"


class MessagesStream:
    """Encodes events as frames; `message` is the object that they build.

    With `grounded`, sources may come: calls then wait for them, so that citations reach the text before the calls
    while it is still open. It is open until another block begins.
    """

    def __init__(self, message: Object, *, grounded: bool = False) -> None:
        self.message = message
        self._server = ServerBlocks(str(message.get("id", "")).removeprefix("msg_"))
        self._grounded = grounded
        self._held: list[Event] = []
        """A call, and what follows it, until the sources come."""
        self._foreseen = False
        self._length = 0
        """Code points of Gemini's own text so far."""
        self._begins: list[int] = []
        self._places: list[int] = []
        """The text blocks: code points of Gemini's own text before each, and its index."""
        self._begun = self._is_over = False
        self._is_whole = False
        """Nobody reads the frames."""
        self._open: Object | None = None
        self._texts = JoinedText()
        """Gemini's own text, which offsets of citations count."""
        self._said = JoinedText()
        """Texts of the open block, which gets them when it closes."""
        self._left_out: set[str] = set()
        """MIME types of media that the answer could not hold."""

    def whole(self, events: Sequence[Event]) -> None:
        """Build the message of a whole answer: searches stand before the text that they have found."""
        for event in events:
            if isinstance(event, Citations):
                self._server.ground(event)
                self._foreseen = True
        self._grounded = False
        self._is_whole = True
        self.encode(list(events))

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

    def texts(self, index: int, texts: list[str]) -> bytes:
        """Return the frames of some texts. Those of an open text block have all but the text in common."""
        block, place = self._open, self._index
        if self._held or block is None or block["type"] != "text" or self._places[-1:] != [place]:
            return self.encode([TextDelta(index, text) for text in texts])
        self._length += sum(map(len, texts))
        self._texts.extend(texts)
        self._said.extend(texts)
        head = _TEXT_HEAD % place
        return head + (_TEXT_TAIL + head).join(map(encode, texts)) + _TEXT_TAIL

    def keep_alive(self, *, begun: bool) -> bytes:
        """Return the frames for a silence: a ping, after the start of the message if nothing was sent before.

        A comment where the start or the end is on its way: nothing may stand before the one or after the other.
        """
        if self._is_over or (self._begun and not begun):
            return comment("keep-alive")
        out: list[bytes] = []
        self._begin(out)
        self._emit(out, "ping")
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
        if self._is_whole:
            return
        out.append(b"event: " + kind.encode() + b"\ndata: " + encode({"type": kind, **fields}) + b"\n\n")

    def _event(self, out: list[bytes], event: Event) -> None:
        if self._held and not isinstance(event, (Citations, Finished)):
            self._held.append(event)
            return
        match event:
            case TextDelta():
                self._answer_text(out, event.text)
            case ThoughtDelta():
                self._thought(out, event.text)
            case ToolCall():
                self._call(out, event)
            case CodePart() | ServerTool():
                self._server_tool(out, event)
            case MediaPart():
                self._media(out, event.mime_type)
            case FilePart():
                self._text(out, f"\n[File: {event.uri}]\n")
            case Citations():
                self._cite(out, event)
            case Finished():
                self._finished(out, event)
            case TurnEnded():
                self._ended(out, event.counts)

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
                # the field of a text or thinking block has its name
                block[block["type"]], self._said = str(self._said), JoinedText()
            self._emit(out, "content_block_stop", index=self._index)

    def _delta(self, out: list[bytes], kind: str, **fields: Any) -> None:
        self._emit(out, "content_block_delta", index=self._index, delta={"type": kind, **fields})

    def _of(self, out: list[bytes], kind: str, **fields: Any) -> Object:
        """Return the open block if it is of this kind, else a new one."""
        if self._open is not None and self._open["type"] == kind:
            return self._open
        return self._opened(out, {"type": kind, **fields})

    def _answer_text(self, out: list[bytes], text: str) -> None:
        """Add Gemini's own text, whose code points citations count."""
        if self._foreseen:
            self._foreseen = False
            self._blocks(out, self._server.of_metadata())
        self._text(out, text)
        if not self._places or self._places[-1] != self._index:
            self._begins.append(self._length)
            self._places.append(self._index)
        self._length += len(text)
        self._texts.add(text)

    def _text(self, out: list[bytes], text: str) -> None:
        self._of(out, "text", text="")
        self._delta(out, "text_delta", text=text)
        self._said.add(text)

    def _thought(self, out: list[bytes], text: str) -> None:
        self._of(out, "thinking", thinking="", signature="")
        self._delta(out, "thinking_delta", thinking=text)
        self._said.add(text)

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
        if self._grounded and self._texts:
            self._held.append(event)
            return
        if event.signature:
            self._sign(out, event.signature)
        block = self._opened(out, {"type": "tool_use", "id": event.id, "name": event.name, "input": {}})
        self._delta(out, "input_json_delta", partial_json=event.arguments)
        block["input"] = msgspec.Raw(event.arguments.encode())
        self._close(out)

    def _server_tool(self, out: list[bytes], event: CodePart | ServerTool) -> None:
        """Tell a call of a tool that Google runs, or its result, after the part's signature."""
        if isinstance(event, CodePart):
            blocks = self._server.code(event)
        elif event.args:
            blocks = [self._server.call(event)]
        else:
            result = self._server.result(event)
            if result is None:  # it waits for its sources
                return
            blocks = [result]
        if event.signature:
            self._sign(out, event.signature)
        self._blocks(out, blocks)

    def _blocks(self, out: list[bytes], blocks: Sequence[Object]) -> None:
        """Add whole blocks of server tools. Only the input of a call is told in a delta."""
        for block in blocks:
            value = block.pop("input", None)
            if value is None:
                self._opened(out, block)
            else:
                opened = self._opened(out, {**block, "input": {}})
                self._delta(out, "input_json_delta", partial_json=encode(value).decode())
                opened["input"] = value
            self._close(out)

    def _cite(self, out: list[bytes], event: Citations) -> None:
        """Add each citation to the text that it is about, then what has waited for the sources.

        A text that is closed gets its citation all the same: the delta has the block's index.
        """
        text = str(self._texts)
        for cited in event.citations:
            place = bisect_right(self._begins, cited.start) - 1
            if place < 0:
                break  # there is no text
            citation = {
                "type": "web_search_result_location",
                "url": cited.url,
                "title": cited.title,
                "encrypted_index": "",
                "cited_text": text[cited.start : min(cited.end, cited.start + _LONGEST_CITED)],
            }
            index = self._places[place]
            self.message["content"][index].setdefault("citations", []).append(citation)
            delta = {"type": "citations_delta", "citation": citation}
            self._emit(out, "content_block_delta", index=index, delta=delta)
        self._server.ground(event)
        self._release(out)

    def _release(self, out: list[bytes]) -> None:
        """Write what has waited for the sources: results of searches, and calls."""
        self._grounded = False
        for block, signature in self._server.waiting():
            if signature:
                self._sign(out, signature)
            self._blocks(out, [block])
        self._blocks(out, self._server.of_metadata())
        held, self._held = self._held, []
        for event in held:
            self._event(out, event)

    def _finished(self, out: list[bytes], end: Finished) -> None:
        self._release(out)
        if end.refusal is not None:
            self._text(out, end.refusal)
        elif end.failure is not None and end.reason == "stop":
            self._text(out, f"[{end.failure}{f': {end.message}' if end.message else ''}]")
        self._close(out)
        self.message["stop_reason"] = (
            "stop_sequence" if end.stop_sequence is not None else REASONS[end.reason]
        )
        self.message["stop_sequence"] = end.stop_sequence
        if end.reason == "content_filter":
            words = end.message or end.refusal or end.failure
            self.message["stop_details"] = {"type": "refusal", "category": None, "explanation": words}

    def _ended(self, out: list[bytes], counts: TokenCounts) -> None:
        self.message["usage"] = tokens = usage(counts)
        searches = max(counts.searches, self._server.searches)
        if searches or self._server.fetches:
            tokens["server_tool_use"] = {
                "web_search_requests": searches,
                "web_fetch_requests": self._server.fetches,
            }
        delta = {"stop_reason": self.message["stop_reason"], "stop_sequence": self.message["stop_sequence"]}
        if "stop_details" in self.message:
            delta["stop_details"] = self.message["stop_details"]
        self._emit(out, "message_delta", delta=delta, usage=tokens)
        self._emit(out, "message_stop")
        self._is_over = True


def usage(counts: TokenCounts) -> Object:
    """Return Anthropic's usage, whose input tokens leave the cached ones out."""
    return {
        "input_tokens": counts.input - counts.cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": counts.cached,
        "output_tokens": counts.output,
    }


_ERROR_CODES = {
    "not_downloadable": (400, "file_not_downloadable"),
    "storage_quota_exceeded": (400, "storage_quota_exceeded"),
    "unsupported_encoding": (400, "request_body_encoding_unsupported"),
    "invalid_encoding": (400, "request_body_encoding_invalid"),
}
"""Status and `details.error_code` by which Anthropic's SDKs choose an error's class (`anthropic/_error_classes.py`)."""


def error_status(error: GatewayError) -> int:
    """Return Anthropic's HTTP status of an error."""
    return _ERROR_CODES[error.code][0] if error.code in _ERROR_CODES else error.status


def error_object(error: GatewayError) -> Object:
    """Return Anthropic's error object; its message begins with the path of the field, as Anthropic's do."""
    status = error_status(error)
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
    message = _overflow(error) if isinstance(error, ContextTooLong) else _error_message(error)
    if error.code == "insufficient_quota" and not getattr(
        error, "quotas", ()
    ):  # no credit, not a spent quota
        message = f"{_NO_CREDIT}: {message}"
    value: Object = {"type": kind, "message": message}
    if error.code in _ERROR_CODES:
        value["details"] = {"error_code": _ERROR_CODES[error.code][1]}
    elif isinstance(error, BudgetExceeded):
        value["details"] = {"error_code": "enforced_spend_limit_reached"}
    return value


def _overflow(error: ContextTooLong) -> str:
    """Return Anthropic's words for too long a prompt. Claude Code reads the numbers, and compacts its history."""
    if error.most is None:
        return "prompt is too long"
    tokens = error.most + 1 if error.tokens is None else error.tokens
    return f"prompt is too long: {tokens} tokens > {error.most} maximum"


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
