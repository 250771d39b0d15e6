"""Plugins' hooks on native requests and answers.

Where a plugin has hooks, a JSON body is sent as it was decoded: Google must not read anything else in it than the
hooks. An answer that no hook changes keeps its bytes.
"""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from msgspec import Raw, structs

from gateway.errors import UpstreamError
from gateway.exchange.context import RequestContext
from gateway.exchange.hooks import AnswerHooks, RequestHooks
from gateway.exchange.offload import HEAVY, HEAVY_ANSWER, offload
from gateway.gemini.events import Citations, Event, Finished, TextDelta, ThoughtDelta, TurnEnded, TurnStarted
from gateway.gemini.finish_reasons import REASONS, reason_name
from gateway.gemini.request_json import JsonObject, canonical
from gateway.gemini.sse import SSEDecoder, frame
from gateway.gemini.usage import TokenCounts
from gateway.gemini.wire import LogprobsResult, encode_json
from gateway.plugins.native.part_events import FINISH_REASONS, event_of, part_of
from gateway.plugins.native.request import named_body
from gateway.policy.models.native_methods import generates

_TEXT_ONLY = {"text", "thought"}
_OF_TEXT_PART = {*_TEXT_ONLY, "thoughtSignature", "videoMetadata", "partMetadata"}
_FIELDS = frozenset(
    {"content", "index", "finishReason", "safetyRatings", "tokenCount", "avgLogprobs", "logprobsResult"}
)
"""Fields of a candidate that are no text of a model's, or have hooks of their own."""
_OF_TEXT = frozenset({"groundingMetadata", "citationMetadata"})
"""Fields of a candidate that quote its text or point into it. They are left out if the client's text differs."""


async def hooked_body(
    body: bytes, path: str, model: str, context: RequestContext, hooks: RequestHooks
) -> bytes:
    """Return a body as the hooks leave it. Raises BadRequest if it is not a JSON object, and what hooks raise."""
    heavy = len(body) > HEAVY
    data = (await offload(heavy, named_body, body)).data
    # a plugin sees the path that Google is sent, not another spelling of it
    data = await hooks.request(data, structs.replace(context, path=path)) or data
    if not generates(path):
        return data
    fields = canonical(await offload(heavy, msgspec.json.decode, data))
    changed = await hooks.native_call(model or _resource(path), fields, context)
    return data if changed is None else await offload(heavy, encode_json, changed)


def _resource(path: str) -> str:
    """Return the name of what a method is called on, such as `tunedModels/x`."""
    return path.rpartition(":")[0].removeprefix("/").partition("/")[2]


class HookedAnswer:
    """Hooks on one answer of generateContent or streamGenerateContent."""

    def __init__(
        self, hooks: RequestHooks, model: str, counts: Callable[[], TokenCounts], context: RequestContext
    ) -> None:
        self._hooks = hooks.answer(0, model, counts, context)
        self._counts = counts
        self.changes = hooks.changes_answers
        """Whether the hooks may change the answer. Otherwise its bytes are passed on as they arrive."""
        self._decoder = SSEDecoder()
        self._begun = False
        self._is_changed = False
        self._comparisons: dict[int, _Comparison] = {}
        """By candidate."""

    @property
    def hooks(self) -> AnswerHooks:
        """The hooks on the answer's events."""
        return self._hooks

    async def observe(self, data: bytes, *, last: bool = False) -> None:
        """Show some bytes of an answer that nothing changes to the hooks."""
        payloads = self._decoder.close() if last else self._decoder.feed(data)
        for payload in payloads:
            await self._message(await offload(len(payload) > HEAVY_ANSWER, _decoded, payload))
        if last:
            await self._end()

    async def feed(self, data: bytes) -> bytes:
        """Return the bytes that replace some bytes of a stream."""
        return b"".join([await self._framed(payload) for payload in self._decoder.feed(data)])

    async def close(self) -> bytes:
        """Return the last bytes of a stream."""
        out = [await self._framed(payload) for payload in self._decoder.close()]
        if not self._hooks.ended and (parts := await self._end()):
            out.append(frame(encode_json({"candidates": [{"index": 0, "content": _content(parts)}]})))
        return b"".join(out)

    async def whole(self, data: bytes) -> bytes:
        """Return the bytes that replace a whole answer: one message, or an array of them."""
        decoded = await offload(len(data) > HEAVY_ANSWER, _decoded, data)
        messages = decoded if isinstance(decoded, list) else [decoded]
        kept = []
        for message in messages:
            kept.append(await self._message(message))
            if self._hooks.ended:
                break
        if not self._hooks.ended and (parts := await self._end()):
            kept.append({"candidates": [{"index": 0, "content": _content(parts)}]})
        if not self._is_changed and len(kept) == len(messages):
            return data
        return await offload(
            len(data) > HEAVY_ANSWER, encode_json, kept if isinstance(decoded, list) else kept[0]
        )

    async def _framed(self, payload: bytes) -> bytes:
        if self._hooks.ended:
            return b""
        self._is_changed = False
        message = await self._message(await offload(len(payload) > HEAVY_ANSWER, _decoded, payload))
        if self._hooks.refusal is not None:
            return b""
        return frame(encode_json(message) if self._is_changed else payload)

    async def _message(self, message: Any) -> Any:
        """Return a message as the hooks leave it."""
        if not isinstance(message, dict) or "error" in message:
            return message
        early: list[JsonObject] = []
        if not self._begun:
            self._begun = True
            started = TurnStarted(_text(message.get("responseId")), _text(message.get("modelVersion")))
            early = self._parts(await self._hooks.events([started]), started)
        candidates = message.get("candidates")
        if not isinstance(candidates, list):
            return message
        result = [await self._candidate(i, candidate, early) for i, candidate in enumerate(candidates)]
        if not self._is_changed:
            return message
        return message | {"candidates": [candidate for candidate in result if candidate is not None]}

    async def _candidate(self, position: int, candidate: Any, early: list[JsonObject]) -> Any:
        if not isinstance(candidate, dict):
            return candidate
        if self._hooks.ended:
            self._is_changed = True
            return None
        index = self._index(candidate.get("index"), position)
        content = candidate.get("content")
        content = content if isinstance(content, dict) else {}
        parts, early[:] = list(early), []
        for part in content.get("parts") or ():
            parts += await self._part(index, part)
        result = dict(candidate)
        await self._beside(index, result)
        if self._hooks.is_stopped:
            pass
        elif candidate.get("finishReason") is not None:
            cause = reason_name(candidate["finishReason"])
            finished = Finished(index, REASONS.get(cause, "stop"))
            events = await self._hooks.events([finished])
            parts += self._parts(events, finished)
            self._finish(result, events, finished)
        if self._stopped_with is not None:
            self._finish(result, [self._stopped_with], None)
        if self._is_changed:
            result["content"] = content | _content(parts, content.get("role"))
            result.pop("logprobsResult", None)  # it has the model's own words
        comparison = self._comparisons.setdefault(index, _Comparison())
        comparison.add(content.get("parts") or (), parts)
        if not comparison.is_equal:
            for name in _OF_TEXT & result.keys():
                self._is_changed = True
                del result[name]
        return result

    def _index(self, index: Any, position: int) -> int:
        """Return a candidate's number. Protobuf leaves out 0 and reads `1`, `1.0` and `"1"` alike.

        Where no candidate has one, the position counts (https://protobuf.dev/programming-guides/json/).
        """
        if index is None:
            return 0 if self._has_indexes else position
        self._has_indexes = True
        try:
            return int(index)
        except (TypeError, ValueError, OverflowError):
            return position

    async def _beside(self, index: int, result: JsonObject) -> None:
        """Show the fields beside a candidate's content to the hooks. Those that they drop are removed."""
        if not self.changes:
            return
        quotes = {name: value for name, value in result.items() if name not in _FIELDS}
        for names, event in (
            (quotes.keys(), Citations(index, [], Raw(encode_json(quotes)), Raw(b""))),
            (result.keys() & {"logprobsResult"}, TextDelta(index, "", LogprobsResult())),
        ):
            if not names:
                continue
            events = [] if self._hooks.ended else await self._hooks.events([event])
            for item in events:
                if isinstance(item, Finished):
                    self._stopped_with = item
            if not any(item == event for item in events):
                self._is_changed = True
                for name in names:
                    del result[name]

    _has_indexes = False
    """Whether a candidate has had its number."""
    _stopped_with: Finished | None = None
    """The end that a hook has made."""

    async def _part(self, index: int, part: Any) -> list[Any]:
        if isinstance(part, dict) and isinstance(part.get("text"), str) and part.keys() - _OF_TEXT_PART:
            rest = {name: value for name, value in part.items() if name not in _TEXT_ONLY}
            text = {name: value for name, value in part.items() if name in _TEXT_ONLY}
            return [*await self._part(index, text), *await self._part(index, rest)]
        event = event_of(index, part) if isinstance(part, dict) else None
        if event is None:
            return [part]
        if self._hooks.ended:
            self._is_changed = True
            return []
        events = await self._hooks.events([event])
        result: list[Any] = []
        own = part  # the first text in its place keeps what else the part has, such as its signature
        for item in events:
            if item == event:
                result.append(part)
            elif isinstance(item, Finished):
                self._stopped_with = item
            elif isinstance(item, TextDelta | ThoughtDelta) and type(item) is type(event):
                result.append(own | (part_of(item) or {}))
                own = {}
            elif (other := part_of(item)) is not None:
                result.append(other)
        if not result and "text" in part and not part.keys() <= _TEXT_ONLY:
            result.append(part | {"text": ""})
        self._is_changed = self._is_changed or events != [event]
        return result

    def _finish(self, candidate: JsonObject, events: list[Event], before: Finished | None) -> None:
        """Write the end that hooks have made into a candidate."""
        for event in events:
            if isinstance(event, Finished) and event is not before:
                self._is_changed = True
                if before is None or event.reason != before.reason:
                    candidate["finishReason"] = FINISH_REASONS[event.reason]
                if event.refusal:
                    candidate["finishMessage"] = event.refusal

    def _parts(self, events: list[Event], expected: Event) -> list[JsonObject]:
        """Return the parts that hooks have added beside an event."""
        parts = [part for event in events if event is not expected and (part := part_of(event)) is not None]
        for event in events:
            if isinstance(event, Finished) and not isinstance(expected, Finished):
                self._stopped_with = event
        self._is_changed = self._is_changed or bool(parts) or self._stopped_with is not None
        return parts

    async def _end(self) -> list[JsonObject]:
        ended = TurnEnded(self._counts())
        return self._parts(await self._hooks.events([ended]), ended)


class _Comparison:
    """Comparison of a candidate's text as the model said it with that of the client."""

    def __init__(self) -> None:
        self._said = self._passed = ""
        """Text of one that the other has not had yet."""
        self._differs = False

    def add(self, before: Iterable[Any], after: Iterable[Any]) -> None:
        """Add the parts of a message before and after the hooks."""
        said, passed = self._said + _text_of(before), self._passed + _text_of(after)
        common = min(len(said), len(passed))
        self._differs = self._differs or said[:common] != passed[:common]
        self._said, self._passed = ("", "") if self._differs else (said[common:], passed[common:])

    @property
    def is_equal(self) -> bool:
        """Whether the client has got all the text so far, unchanged."""
        return not (self._differs or self._said or self._passed)


def _text_of(parts: Iterable[Any]) -> str:
    return "".join(
        part["text"]
        for part in parts
        if isinstance(part, dict) and isinstance(part.get("text"), str) and not part.get("thought")
    )


def _content(parts: list[JsonObject], role: Any = None) -> JsonObject:
    """Return a content. Clients expect a part in it."""
    return {"parts": parts or [{"text": ""}], "role": role or "model"}


def _decoded(payload: bytes) -> Any:
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UpstreamError(
            "The upstream sent something that is not a Gemini answer.", code="upstream_bad_response"
        ) from None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
