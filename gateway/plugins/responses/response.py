"""Responses, the answer: the events of a turn become output items, and the named events that build them.

The events are those of https://platform.openai.com/docs/api-reference/responses-streaming. A unary answer is the last
state of the same encoder, so the two cannot differ.
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
from gateway.gemini.wire import LogprobsCandidate, LogprobsResult
from gateway.plugins.responses.client_calls import call_item
from gateway.plugins.responses.signatures import seal
from gateway.plugins.responses.wire import ResponseRequest, ResponseTool, encode

Object = dict[str, Any]
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
_TIERS = {"standard": "default", "flex": "flex", "priority": "priority"}
"""Gemini's service tiers to OpenAI's."""
_NO_PROBABILITY = -9999.0
"""The number that OpenAI gives for a token that was as good as impossible."""


class ResponseOptions(Struct, frozen=True):
    """Options of an answer that depend on its request."""

    rules: CallRules
    encrypted: bool = False
    """`include` has `reasoning.encrypted_content`: signatures are returned in reasoning items."""


class ResponseStream:
    """Encodes events as frames and builds `response` from them.

    `new_id` makes an id with a prefix; `now` returns seconds since the epoch.
    """

    def __init__(
        self,
        response: Object,
        options: ResponseOptions,
        new_id: Callable[[str], str],
        now: Callable[[], int],
    ) -> None:
        self.response = response
        self.done = False
        """The last event is encoded."""
        self._options = options
        self._new_id = new_id
        self._now = now
        self._sequence = 0
        self._begun = False
        self._open: Object | None = None
        self._texts: list[str] = []

    def encode(self, events: list[Event]) -> bytes:
        """Return the frames of some events."""
        out: list[bytes] = []
        for event in events:
            if isinstance(event, TurnStarted):
                if event.model:
                    self.response["model"] = event.model
                continue
            self._begin(out)
            self._event(out, event)
        return b"".join(out)

    def fail(self, error: GatewayError) -> bytes:
        """Return the frames of a failure; nothing follows them."""
        out: list[bytes] = []
        self._begin(out)
        code = "rate_limit_exceeded" if isinstance(error, RateLimited) else "server_error"
        self.response.update(status="failed", error={"code": code, "message": scrub(error.message)})
        self._emit(out, "response.failed", response=self.response)
        self._emit(out, "error", code=error.code, message=scrub(error.message), param=error.param)
        return b"".join(out)

    def begin(self) -> bytes:
        """Return the first frames, before Gemini has answered."""
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
                self._media(out, event)
            case Citations():
                self._cited(out, event)
            case Finished():
                self._finished(out, event)
            case TurnEnded():
                self._ended(out, event)

    # One item is open at a time; an event of another kind closes it.

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
        tokens = _token_logprobs(event.logprobs) if event.logprobs is not None else []
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
        if event.signature and self._options.encrypted:
            sealed = seal(event.signature, event.id)
            self._opened(out, {"id": self._new_id("rs_"), "type": "reasoning", "summary": [],
                               "encrypted_content": sealed})  # fmt: skip
        call = call_item(event, self._options.rules)
        item = self._opened(out, {"id": self._new_id(call.prefix), **call.begun, "status": "in_progress"})
        at = {"item_id": item["id"], "output_index": self._index}
        if not call.with_id:
            del at["item_id"]
        for kind, fields in call.steps:
            self._emit(out, kind, **at, **fields)
        item.update(call.complete)
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

    def _media(self, out: list[bytes], event: MediaPart) -> None:
        """Add an image. Sound and video are left out: OpenAI's schema has no output item or content part for them."""
        if event.mime_type.startswith(("audio/", "video/")):
            return
        item = self._opened(out, {"id": self._new_id("ig_"), "type": "image_generation_call", "status": "in_progress",
                                  "result": None})  # fmt: skip
        at = {"item_id": item["id"], "output_index": self._index}
        self._emit(out, "response.image_generation_call.in_progress", **at)
        self._emit(out, "response.image_generation_call.generating", **at)
        item["result"] = event.data
        self._emit(out, "response.image_generation_call.completed", **at)
        self._close(out)

    def _cited(self, out: list[bytes], event: Citations) -> None:
        """Annotate the message that is still open; the search is an item of its own after it."""
        item = self._open
        if item is not None and item["type"] == "message":
            for i, citation in enumerate(event.citations):
                annotation = {"type": "url_citation", "start_index": citation.start, "end_index": citation.end,
                              "url": citation.url, "title": citation.title}  # fmt: skip
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
        reason = _INCOMPLETE.get(end.reason)
        self.response["status"] = "incomplete" if reason else "completed"
        self.response["incomplete_details"] = {"reason": reason} if reason else None

    def _ended(self, out: list[bytes], end: TurnEnded) -> None:
        self.response["usage"] = usage(end.counts)
        if self.response["status"] == "completed":  # OpenAI: only present when the status is completed
            self.response["completed_at"] = self._now()
        tier = _TIERS.get(str(end.service_tier).lower())
        if tier is not None:
            self.response["service_tier"] = tier
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


def new_response(response_id: str, body: ResponseRequest, model: str, created: int) -> Object:
    """Return the response before anything was said, with all fields that OpenAI's schema requires.

    `created` is in seconds since the epoch.
    """
    text = body.text.format if body.text is not None else None
    reasoning = body.reasoning
    return {
        "id": response_id, "object": "response", "created_at": created, "completed_at": None,
        "status": "queued" if body.background else "in_progress", "background": bool(body.background), "error": None,
        "incomplete_details": None,
        "instructions": body.instructions if isinstance(body.instructions, str) else None,
        "max_output_tokens": body.max_output_tokens, "max_tool_calls": None, "model": model, "output": [],
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "previous_response_id": body.previous_response_id, "prompt_cache_key": body.prompt_cache_key,
        "reasoning": {"effort": reasoning.effort if reasoning is not None else None,
                      "summary": reasoning.summary if reasoning is not None else None},
        "safety_identifier": None, "service_tier": "default", "store": body.store is not False,
        "temperature": 1.0 if body.temperature is None else body.temperature,
        "frequency_penalty": 0.0, "presence_penalty": 0.0,
        "text": {"format": {"type": "text"} if text is None else {"type": text.type, **msgspec.to_builtins(text)},
                 "verbosity": "medium"},
        "tool_choice": msgspec.to_builtins(body.tool_choice or "auto"),
        "tools": [_echoed(tool) for tool in body.tools or ()],
        "top_logprobs": body.top_logprobs or 0, "top_p": 1.0 if body.top_p is None else body.top_p,
        "truncation": "disabled", "usage": None, "metadata": body.metadata or {},
    }  # fmt: skip


def _echoed(tool: ResponseTool) -> Object:
    """Return a tool as the response repeats it. OpenAI's schema requires all fields of a function."""
    if tool.type == "function":
        return {"type": "function", "name": tool.name, "description": tool.description,
                "parameters": tool.parameters, "strict": bool(tool.strict)}  # fmt: skip
    fields: Object = msgspec.to_builtins(tool)
    return fields


def _queries(metadata: msgspec.Raw) -> list[str]:
    """Return the search queries of groundingMetadata."""
    try:
        value = msgspec.json.decode(metadata) if metadata else {}
    except msgspec.DecodeError:
        return []
    queries = value.get("webSearchQueries") if isinstance(value, dict) else None
    if not isinstance(queries, list):
        return []
    return [query for query in queries if isinstance(query, str) and query]


def _token_logprobs(result: LogprobsResult) -> list[Object]:
    """Return each chosen token with its probability and the likeliest others."""
    tops = result.top_candidates or []
    tokens = []
    for i, chosen in enumerate(result.chosen_candidates or ()):
        others = tops[i].candidates or [] if i < len(tops) else []
        tokens.append({**_logprob(chosen), "top_logprobs": [_logprob(other) for other in others]})
    return tokens


def _logprob(candidate: LogprobsCandidate) -> Object:
    """Return a token. Google leaves out the 0 of a certain one (proto3 default)."""
    value = candidate.log_probability
    probability = max(_NO_PROBABILITY, value) if value is not None else 0.0
    return {"token": candidate.token, "logprob": probability, "bytes": list(candidate.token.encode())}
