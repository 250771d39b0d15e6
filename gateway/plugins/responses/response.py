"""Responses, the answer: the events of a turn become output items, and the named events that build them.

The events are those of https://platform.openai.com/docs/api-reference/responses-streaming. A unary answer is the last
state of the same encoder, so the two cannot differ.
"""

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from gateway.errors import GatewayError, scrub
from gateway.gemini.call_names import NO_CALLS, CallRules
from gateway.gemini.events import (
    Citations,
    CodePart,
    Event,
    Finished,
    MediaPart,
    ServerTool,
    TextDelta,
    ThoughtDelta,
    ToolCall,
    TurnEnded,
    TurnStarted,
)
from gateway.gemini.grounding import Citation, is_of_domain, of_texts
from gateway.gemini.joined_text import JoinedText
from gateway.gemini.sse import comment
from gateway.gemini.usage import TokenCounts
from gateway.plugins.responses import hosted_items
from gateway.plugins.responses.client_calls import call_item
from gateway.plugins.responses.endings import ending
from gateway.plugins.responses.logprobs import token_logprobs
from gateway.plugins.responses.signatures import seal
from gateway.plugins.responses.wire import encode

Object = dict[str, Any]
_TIERS = {"standard": "default", "flex": "flex", "priority": "priority"}
"""Gemini's service tiers to OpenAI's."""

_TEXT_HEAD = (
    b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","sequence_number":'
)


class ResponseOptions(Struct, frozen=True):
    """Options of an answer that depend on its request."""

    rules: CallRules
    encrypted: bool = False
    """`include` has `reasoning.encrypted_content`: signatures are returned in reasoning items."""
    grounded: bool = False
    """A tool whose sources come with the end of the answer is on: a call after a text waits for them."""
    domains: tuple[str, ...] = ()
    """The only domains whose pages are cited; empty for all."""


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
        self._is_whole = False
        """Nobody reads the frames."""
        self._open: Object | None = None
        self._texts = JoinedText()
        self._length = 0
        """Code points of all texts so far, which offsets of citations count."""
        self._messages: list[tuple[int, Object]] = []
        """Messages with the index of each."""
        self._ends: list[int] = []
        """Code points to the end of each message but the last."""
        self._hosted_items: dict[str, Object] = {}
        """Items of tools that Google runs, by their ids."""
        self._search: Object | None = None
        """The last search that came as a part of the answer."""
        self._held: list[ToolCall] = []
        """Calls after a text that may still be cited."""

    def whole(self, events: list[Event]) -> None:
        """Build the response of a whole answer, without frames."""
        self._is_whole = True
        self.encode(events)

    def encode(self, events: list[Event]) -> bytes:
        """Return the frames of some events."""
        out: list[bytes] = []
        for event in events:
            if isinstance(event, TurnStarted):
                if event.model:
                    self.response["model"] = event.model
                continue
            self._begin(out)
            if self._options.grounded and self._waits(event):
                continue
            if self._held and not isinstance(event, Citations):
                self._release(out)
            self._event(out, event)
            if self._held:
                self._release(out)
        return b"".join(out)

    def texts(self, index: int, texts: list[str]) -> bytes:
        """Return the frames of some texts. Those of an open message have all but number and text in common."""
        item = self._open
        if self._held or item is None or item["type"] != "message":
            return self.encode([TextDelta(index, text) for text in texts])
        self._texts.extend(texts)
        self._length += sum(map(len, texts))
        at = encode({"item_id": item["id"], "output_index": self._index, "content_index": 0})[1:-1]
        first, self._sequence = self._sequence, self._sequence + len(texts)
        return b"".join([
            b'%s%d,%s,"delta":%s,"logprobs":[]}\n\n' % (_TEXT_HEAD, number, at, encode(text))
            for number, text in enumerate(texts, first)
        ])  # fmt: skip

    def _waits(self, event: Event) -> bool:
        """Keep a call after a text, so that the text ends with its citations: they come with the end of the answer."""
        waits = isinstance(event, ToolCall) and (
            bool(self._held) or (self._open is not None and self._open["type"] == "message")
        )
        if waits:
            self._held.append(event)  # type: ignore[arg-type]  # a call, by the condition
        return waits

    def _release(self, out: list[bytes]) -> None:
        held, self._held = self._held, []
        for call in held:
            self._call(out, call)

    def fail(self, error: GatewayError) -> bytes:
        """Return the frames of a failure; nothing follows them."""
        out: list[bytes] = []
        self._begin(out)
        self.response.update(status="failed", error={"code": _code(error), "message": scrub(error.message)})
        self._emit(out, "response.failed", response=self.response)
        self._emit(out, "error", code=error.code, message=scrub(error.message), param=error.param)
        return b"".join(out)

    def begin(self) -> bytes:
        """Return the first frames, before Gemini has answered."""
        out: list[bytes] = []
        self._begin(out)
        return b"".join(out)

    def keep_alive(self, *, begun: bool) -> bytes:
        """Return the frames for a silence: the first frames, or `response.in_progress` again.

        A comment where the first or the last frames are on their way: nothing may stand before or after them.
        """
        if self.done:
            return comment("keep-alive")
        if not begun:
            return comment("keep-alive") if self._begun else self.begin()
        out: list[bytes] = []
        self._emit(out, "response.in_progress", response=self.response)
        return b"".join(out)

    def _begin(self, out: list[bytes]) -> None:
        if not self._begun:
            self._begun = True
            self.response["status"] = "in_progress"
            self._emit(out, "response.created", response=self.response)
            self._emit(out, "response.in_progress", response=self.response)

    def _emit(self, out: list[bytes], kind: str, **fields: Any) -> None:
        if self._is_whole:
            return
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
            case ServerTool():
                self._server_tool(out, event)
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
        text, self._texts = str(self._texts), JoinedText()
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
        elif item["type"] in hosted_items.PREFIXES:
            self._emit(out, f"response.{item['type']}.completed", **at)
        if item.get("status") == "in_progress":
            item["status"] = "completed"
        self._emit(out, "response.output_item.done", output_index=self._index, item=item)

    def _message(self, out: list[bytes]) -> Object:
        if self._open is not None and self._open["type"] == "message":
            return self._open
        if self._messages:
            self._ends.append(self._length)
        item = self._opened(out, {
            "id": self._new_id("msg_"), "type": "message", "role": "assistant", "status": "in_progress", "content": [],
        })  # fmt: skip
        part: Object = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        self._emit(out, "response.content_part.added", item_id=item["id"], output_index=self._index, content_index=0,
                   part=part)  # fmt: skip
        item["content"].append(part)
        self._messages.append((self._index, item))
        return item

    def _text(self, out: list[bytes], event: TextDelta) -> None:
        item = self._message(out)
        self._texts.add(event.text)
        self._length += len(event.text)
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
        self._texts.add(text)
        self._emit(out, "response.reasoning_summary_text.delta", item_id=item["id"], output_index=self._index,
                   summary_index=0, delta=text)  # fmt: skip

    def _call(self, out: list[bytes], event: ToolCall) -> None:
        self._sign(out, event.signature, event.id)
        call = call_item(event, self._options.rules)
        item = self._opened(out, {"id": self._new_id(call.prefix), **call.begun, "status": "in_progress"})
        at = {"item_id": item["id"], "output_index": self._index}
        if not call.with_id:
            del at["item_id"]
        for kind, fields in call.steps:
            self._emit(out, kind, **at, **fields)
        item.update(call.complete)
        self._close(out)

    def _sign(self, out: list[bytes], signature: str | None, call_id: str) -> None:
        """Add a reasoning item with the signature of the item after it, if the client asks for it."""
        if signature and self._options.encrypted:
            self._opened(out, {"id": self._new_id("rs_"), "type": "reasoning", "summary": [],
                               "encrypted_content": seal(signature, call_id)})  # fmt: skip

    def _code(self, out: list[bytes], event: CodePart) -> None:
        """Add code, or a result to the code that is open: Gemini may give several, and pictures after them."""
        if event.source is not None:
            self._sign(out, event.signature, event.id)
            item = self._opened(out, self._named(hosted_items.code(event)))
            at = {"item_id": item["id"], "output_index": self._index}
            self._emit(out, "response.code_interpreter_call.in_progress", **at)
            self._emit(out, "response.code_interpreter_call_code.delta", **at, delta=event.source)
            self._emit(out, "response.code_interpreter_call_code.done", **at, code=event.source)
            self._emit(out, "response.code_interpreter_call.interpreting", **at)
            return
        code = self._code_of(event)
        if code is None:
            code = self._opened(out, self._named(hosted_items.code(event)))
        code["outputs"].append(hosted_items.logs(event))

    def _named(self, item: Object) -> Object:
        return hosted_items.name(item, self._hosted_items, self._new_id)

    def _code_of(self, event: CodePart) -> Object | None:
        """Return the item of a result's code: the one that is open, else an earlier one of its id."""
        if self._open is not None and self._open["type"] == "code_interpreter_call":
            return self._open
        return self._hosted_items.get(f"ci_{event.id}")

    def _server_tool(self, out: list[bytes], event: ServerTool) -> None:
        """Add the call of a tool that Google runs. Its result closes it, and is not shown."""
        if event.response:
            if self._open is not None and self._open["type"] in hosted_items.PREFIXES:
                self._close(out)
            return
        for item in hosted_items.called(event):
            self._hosted(out, item)
            self._search = item if item.get("action", {}).get("type") == "search" else self._search

    def _hosted(self, out: list[bytes], item: Object) -> None:
        """Open the item of a search, a page or a file search."""
        self._opened(out, self._named(item))
        for step in hosted_items.steps(item["type"]):
            self._emit(out, f"response.{step}", item_id=item["id"], output_index=self._index)

    def _media(self, out: list[bytes], event: MediaPart) -> None:
        """Add an image. Sound and video are left out: OpenAI's schema has no output item or content part for them."""
        if event.mime_type.startswith(("audio/", "video/")):
            return
        if self._open is not None and self._open["type"] == "code_interpreter_call":
            url = f"data:{event.mime_type};base64,{event.data}"
            self._open["outputs"].append({"type": "image", "url": url})
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
        """Annotate each message with its own citations; what was searched and read follows as items of their own.

        A message that has ended is annotated late: Gemini names its sources with the end of the answer.
        """
        if self._messages:
            cited = [c for c in event.citations if self._is_cited(c)]
            texts = of_texts(cited, [*self._ends, self._length])
            for (index, item), citations in zip(self._messages, texts, strict=True):
                self._annotate(out, index, item, citations)
        queries, sources = hosted_items.queries_of(event.metadata), hosted_items.sources_of(event.metadata)
        if self._search is not None:
            hosted_items.add_sources(self._search, sources)
        elif queries or sources:
            self._hosted(out, hosted_items.search(queries, sources))
        opened = {item.get("action", {}).get("url") for item in self._hosted_items.values()}
        for url, was_read in hosted_items.pages_of(event.url_context):
            if url not in opened:
                item = hosted_items.page(url)
                self._hosted(out, item)
                if not was_read:
                    item["status"] = "failed"

    def _is_cited(self, citation: Citation) -> bool:
        return not self._options.domains or not citation.url or is_of_domain(citation, self._options.domains)

    def _annotate(self, out: list[bytes], index: int, item: Object, citations: Sequence[Citation]) -> None:
        annotations = item["content"][0]["annotations"]
        for citation in citations:
            annotation = hosted_items.annotation(citation)
            self._emit(out, "response.output_text.annotation.added", item_id=item["id"], output_index=index,
                       content_index=0, annotation_index=len(annotations), annotation=annotation)  # fmt: skip
            annotations.append(annotation)

    def _finished(self, out: list[bytes], end: Finished) -> None:
        self._close(out)
        result = ending(end, self.response["output"])
        if result.refusal is not None:
            self._refuse(out, result.refusal)
        self.response.update(
            status=result.status, incomplete_details=result.incomplete_details, error=result.error
        )

    def _refuse(self, out: list[bytes], refusal: str) -> None:
        item = self._opened(out, {"id": self._new_id("msg_"), "type": "message", "role": "assistant",
                                  "status": "in_progress", "content": []})  # fmt: skip
        at = {"item_id": item["id"], "output_index": self._index, "content_index": 0}
        part = {"type": "refusal", "refusal": refusal}
        self._emit(out, "response.content_part.added", **at, part={"type": "refusal", "refusal": ""})
        self._emit(out, "response.refusal.delta", **at, delta=refusal)
        self._emit(out, "response.refusal.done", **at, refusal=refusal)
        self._emit(out, "response.content_part.done", **at, part=part)
        self._open = None
        item.update(status="completed", content=[part])
        self._emit(out, "response.output_item.done", output_index=self._index, item=item)

    def _ended(self, out: list[bytes], end: TurnEnded) -> None:
        self.response["usage"] = usage(end.counts)
        if self.response["status"] == "completed":  # OpenAI: only present when the status is completed
            self.response["completed_at"] = self._now()
        tier = _TIERS.get(str(end.service_tier).lower())
        if tier is not None:
            self.response["service_tier"] = tier
        self.done = True
        self._emit(out, f"response.{self.response['status']}", response=self.response)


def without_output(response: Object, now: int) -> bytes:
    """Return the frames of a response that is complete without any output, at `now` seconds since the epoch."""
    stream = ResponseStream(response, ResponseOptions(NO_CALLS), str, lambda: now)
    return stream.encode([Finished(0, "stop"), TurnEnded(TokenCounts())])


def usage(counts: TokenCounts) -> Object:
    """Return the usage of OpenAI's Responses API: tool use is input, thoughts are output."""
    return {
        "input_tokens": counts.input,
        "input_tokens_details": {"cached_tokens": counts.cached, "cache_write_tokens": 0},
        "output_tokens": counts.output,
        "output_tokens_details": {"reasoning_tokens": counts.thoughts},
        "total_tokens": counts.total,
    }


def _code(error: GatewayError) -> str:
    """Return the code of a failure. Agents repeat a `server_error`, but not a code that says what was wrong.

    Codex sends a request again unless the code is one that it knows (codex-api/src/sse/responses.rs).
    """
    return error.code or "invalid_prompt" if error.status < 500 else "server_error"
