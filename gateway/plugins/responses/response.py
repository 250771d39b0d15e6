"""Responses, the answer: a turn's events to output items, and to the named events that build them (translation.md H.1).

Unary answers are the last state of the same builder, so that both ways cannot differ.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from gateway.errors import GatewayError, RateLimited, scrub
from gateway.gemini.call_names import CallRules
from gateway.gemini.events import (
    Citations,
    CodePart,
    Event,
    Finished,
    MediaPart,
    TextDelta,
    ThoughtDelta,
    ToolCall,
    TurnEnded,
    TurnStarted,
)
from gateway.gemini.usage import TokenCounts
from gateway.plugins.chat.response import MODEL_NAME, token_logprobs
from gateway.plugins.responses.request import seal
from gateway.plugins.responses.wire import encode

Object = dict[str, Any]
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


class ResponseOptions(Struct, frozen=True):
    """What this request wants of its answer."""

    rules: CallRules
    encrypted: bool = False
    """`include: reasoning.encrypted_content`: signatures go out, as reasoning items."""


class ResponseStream:
    """Events to frames; `response` is the object they build."""

    def __init__(self, response: Object, wishes: ResponseOptions, new_id: Callable[[str], str]) -> None:
        self.response = response
        self.done = False
        """The last event is encoded."""
        self._wishes = wishes
        self._new_id = new_id
        self._sequence = 0
        self._begun = False
        self._open: Object | None = None
        self._texts: list[str] = []

    def encode(self, events: list[Event]) -> bytes:
        """The frames of some events."""
        out: list[bytes] = []
        for event in events:
            if isinstance(event, TurnStarted):
                if event.model and MODEL_NAME.fullmatch(event.model):
                    self.response["model"] = event.model.removeprefix("models/")
                continue
            self._begin(out)
            self._event(out, event)
        return b"".join(out)

    def fail(self, error: GatewayError) -> bytes:
        """The response failed: nothing follows."""
        out: list[bytes] = []
        self._begin(out)
        code = "rate_limit_exceeded" if isinstance(error, RateLimited) else "server_error"
        self.response.update(status="failed", error={"code": code, "message": scrub(error.message)})
        self._emit(out, "response.failed", response=self.response)
        self._emit(out, "error", code=error.code, message=scrub(error.message), param=error.param)
        return b"".join(out)

    def begin(self) -> bytes:
        """The first frames, before there is anything to say."""
        out: list[bytes] = []
        self._begin(out)
        return b"".join(out)

    def _begin(self, out: list[bytes]) -> None:
        if not self._begun:
            self._begun = True
            self.response["status"] = "in_progress"
            self._emit(out, "response.created", response=self.response)
            self._emit(out, "response.in_progress", response=self.response)

    def _emit(self, out: list[bytes], kind: str, **fields: Any) -> None:
        data = encode({"type": kind, "sequence_number": self._sequence, **fields})
        self._sequence += 1
        out.append(b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n")

    def _event(self, out: list[bytes], event: Event) -> None:
        match event:
            case TextDelta():
                self._text(out, event)
            case ThoughtDelta():
                self._thought(out, event.text)
            case ToolCall():
                self._call(out, event)
            case CodePart():
                self._code(out, event)
            case MediaPart():
                self._image(out, event)
            case Citations():
                self._cited(out, event)
            case Finished():
                self._finished(out, event)
            case TurnEnded():
                self._ended(out, event)

    # One item is open at a time; whatever is of another kind closes it.

    @property
    def _index(self) -> int:
        return len(self.response["output"]) - 1

    def _opened(self, out: list[bytes], item: Object) -> Object:
        self._close(out)
        self._open = item
        self.response["output"].append(item)
        self._emit(out, "response.output_item.added", output_index=self._index, item=item)
        return item

    def _close(self, out: list[bytes]) -> None:
        item, self._open = self._open, None
        if item is None:
            return
        at = {"item_id": item["id"], "output_index": self._index}
        text, self._texts = "".join(self._texts), []
        if item["type"] == "message" and item["content"]:
            part = item["content"][0]
            part["text"] = text
            at["content_index"] = 0
            self._emit(out, "response.output_text.done", **at, text=text, logprobs=part["logprobs"])
            self._emit(out, "response.content_part.done", **at, part=part)
        elif item["type"] == "reasoning" and item["summary"]:
            part = item["summary"][0]
            part["text"] = text
            at["summary_index"] = 0
            self._emit(out, "response.reasoning_summary_text.done", **at, text=text)
            self._emit(out, "response.reasoning_summary_part.done", **at, part=part)
        if "status" in item:
            item["status"] = "completed"
        self._emit(out, "response.output_item.done", output_index=self._index, item=item)

    def _message(self, out: list[bytes]) -> Object:
        if self._open is not None and self._open["type"] == "message":
            return self._open
        item = self._opened(out, {
            "id": self._new_id("msg_"), "type": "message", "role": "assistant", "status": "in_progress", "content": [],
        })  # fmt: skip
        part: Object = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        self._emit(out, "response.content_part.added", item_id=item["id"], output_index=self._index, content_index=0,
                   part=part)  # fmt: skip
        item["content"].append(part)
        return item

    def _text(self, out: list[bytes], event: TextDelta) -> None:
        item = self._message(out)
        self._texts.append(event.text)
        tokens = token_logprobs(event.logprobs) if event.logprobs is not None else []
        item["content"][0]["logprobs"] += tokens
        self._emit(out, "response.output_text.delta", item_id=item["id"], output_index=self._index, content_index=0,
                   delta=event.text, logprobs=tokens)  # fmt: skip

    def _thought(self, out: list[bytes], text: str) -> None:
        item = self._open
        if item is None or item["type"] != "reasoning":
            item = self._opened(out, {"id": self._new_id("rs_"), "type": "reasoning", "summary": []})
            part = {"type": "summary_text", "text": ""}
            self._emit(out, "response.reasoning_summary_part.added", item_id=item["id"], output_index=self._index,
                       summary_index=0, part=part)  # fmt: skip
            item["summary"].append(part)
        self._texts.append(text)
        self._emit(out, "response.reasoning_summary_text.delta", item_id=item["id"], output_index=self._index,
                   summary_index=0, delta=text)  # fmt: skip

    def _call(self, out: list[bytes], event: ToolCall) -> None:
        if event.signature and self._wishes.encrypted:
            sealed = seal(event.signature, event.id)
            self._opened(out, {"id": self._new_id("rs_"), "type": "reasoning", "summary": [],
                               "encrypted_content": sealed})  # fmt: skip
        custom = event.name in self._wishes.rules.custom
        key, kind = ("input", "custom_tool_call") if custom else ("arguments", "function_call")
        value = _input(event.arguments) if custom else event.arguments
        item = self._opened(out, {
            "id": self._new_id("ctc_" if custom else "fc_"), "type": kind, "call_id": event.id, "name": event.name,
            key: "", "status": "in_progress",
        })  # fmt: skip
        at = {"item_id": item["id"], "output_index": self._index}
        said = "response.custom_tool_call_input" if custom else "response.function_call_arguments"
        self._emit(out, f"{said}.delta", **at, delta=value)
        item[key] = value
        done = {key: value} if custom else {"name": event.name, key: value}
        self._emit(out, f"{said}.done", **at, **done)
        self._close(out)

    def _code(self, out: list[bytes], event: CodePart) -> None:
        if event.source is not None:
            item = self._opened(out, {
                "id": self._new_id("ci_"), "type": "code_interpreter_call", "status": "in_progress",
                "container_id": "cntr_gemini", "code": event.source, "outputs": [],
            })  # fmt: skip
            at = {"item_id": item["id"], "output_index": self._index}
            self._emit(out, "response.code_interpreter_call.in_progress", **at)
            self._emit(out, "response.code_interpreter_call_code.delta", **at, delta=event.source)
            self._emit(out, "response.code_interpreter_call_code.done", **at, code=event.source)
            self._emit(out, "response.code_interpreter_call.interpreting", **at)
        elif self._open is not None and self._open["type"] == "code_interpreter_call":
            self._open["outputs"].append({"type": "logs", "logs": event.output or ""})
            at = {"item_id": self._open["id"], "output_index": self._index}
            self._emit(out, "response.code_interpreter_call.completed", **at)
            self._close(out)

    def _image(self, out: list[bytes], event: MediaPart) -> None:
        item = self._opened(out, {"id": self._new_id("ig_"), "type": "image_generation_call", "status": "in_progress",
                                  "result": None})  # fmt: skip
        at = {"item_id": item["id"], "output_index": self._index}
        self._emit(out, "response.image_generation_call.in_progress", **at)
        self._emit(out, "response.image_generation_call.generating", **at)
        item["result"] = event.data
        self._emit(out, "response.image_generation_call.completed", **at)
        self._close(out)

    def _cited(self, out: list[bytes], event: Citations) -> None:
        """Into the message that is still open; the search itself is an item after it."""
        item = self._open
        if item is not None and item["type"] == "message":
            for i, cited in enumerate(event.citations):
                annotation = {"type": "url_citation", "start_index": cited.start, "end_index": cited.end,
                              "url": cited.url, "title": cited.title}  # fmt: skip
                item["content"][0]["annotations"].append(annotation)
                self._emit(out, "response.output_text.annotation.added", item_id=item["id"],
                           output_index=self._index, content_index=0, annotation_index=i,
                           annotation=annotation)  # fmt: skip
        queries = _queries(event.metadata)
        if queries:
            action = {"type": "search", "query": queries[0], "queries": queries}
            search = self._opened(out, {"id": self._new_id("ws_"), "type": "web_search_call", "status": "in_progress",
                                        "action": action})  # fmt: skip
            for step in ("in_progress", "searching", "completed"):
                self._emit(
                    out, f"response.web_search_call.{step}", item_id=search["id"], output_index=self._index
                )

    def _finished(self, out: list[bytes], end: Finished) -> None:
        self._close(out)
        if end.refusal is not None:
            item = self._opened(out, {"id": self._new_id("msg_"), "type": "message", "role": "assistant",
                                      "status": "in_progress", "content": []})  # fmt: skip
            at = {"item_id": item["id"], "output_index": self._index, "content_index": 0}
            part = {"type": "refusal", "refusal": end.refusal}
            self._emit(out, "response.content_part.added", **at, part={"type": "refusal", "refusal": ""})
            self._emit(out, "response.refusal.delta", **at, delta=end.refusal)
            self._emit(out, "response.refusal.done", **at, refusal=end.refusal)
            self._emit(out, "response.content_part.done", **at, part=part)
            self._open = None
            item.update(status="completed", content=[part])
            self._emit(out, "response.output_item.done", output_index=self._index, item=item)
        why = _INCOMPLETE.get(end.reason)
        self.response["status"] = "incomplete" if why else "completed"
        self.response["incomplete_details"] = {"reason": why} if why else None

    def _ended(self, out: list[bytes], end: TurnEnded) -> None:
        self.response["usage"] = usage(end.counts)
        self.response["completed_at"] = self.response["created_at"]
        self.done = True
        self._emit(out, f"response.{self.response['status']}", response=self.response)


def usage(counts: TokenCounts) -> Object:
    """Return the usage of OpenAI's Responses API: tool use is input, thoughts are output."""
    return {
        "input_tokens": counts.input,
        "input_tokens_details": {"cached_tokens": counts.cached, "cache_write_tokens": 0},
        "output_tokens": counts.output,
        "output_tokens_details": {"reasoning_tokens": counts.thoughts},
        "total_tokens": counts.total,
    }


def _input(arguments: str) -> str:
    value = msgspec.json.decode(arguments)
    found = value.get("input") if isinstance(value, dict) else None
    return found if isinstance(found, str) else arguments


def _queries(metadata: msgspec.Raw) -> list[str]:
    """What was searched for."""
    try:
        found = msgspec.json.decode(metadata) if metadata else {}
    except msgspec.DecodeError:
        return []
    queries = found.get("webSearchQueries") if isinstance(found, dict) else None
    return [query for query in queries or () if isinstance(query, str) and query]
