"""From Gemini's answer, whole or in chunks, to the events of a turn.

The difficult things are settled here once for every dialect: thought or text, calls and their ids, STOP that
means `tool_calls` because a call came earlier, counts that arrive cumulatively, blocked prompts, streams that
end early (translation.md C.2, C.3, C.9, D.2, D.6).
"""

from collections.abc import Callable

import msgspec

from gateway.errors import UpstreamTruncated
from gateway.translate import failure
from gateway.translate.events import (
    Citations,
    CodePart,
    Event,
    Finished,
    MediaPart,
    Reason,
    TextDelta,
    ThoughtDelta,
    ToolCall,
    TurnEnded,
    TurnStarted,
)
from gateway.translate.usage import merge
from gateway.wire.gemini import Candidate, GenerateContentResponse, Part, PromptFeedback, UsageMetadata

REASONS: dict[str, Reason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
}
"""finishReason to finish_reason (translation.md C.2); any other name means `stop`."""

_UNKNOWN_CAUSE = frozenset({"OTHER", "ESCALATION", "PUP_LIMITED_DISABLED"})
"""Reasons that are a filter's doing when nothing at all was said."""

_NUMBERED = {
    1: "STOP",
    2: "MAX_TOKENS",
    3: "SAFETY",
    4: "RECITATION",
    5: "OTHER",
    6: "LANGUAGE",
    7: "BLOCKLIST",
    8: "PROHIBITED_CONTENT",
    9: "SPII",
    10: "MALFORMED_FUNCTION_CALL",
    11: "IMAGE_SAFETY",
}
"""The enum's numbers in v1beta's proto, for servers that print them."""

_CODE_OK = ("OUTCOME_OK", 1)


class _CandidateState:
    """What must be remembered of one candidate until it ends."""

    __slots__ = ("blocked", "call_ids", "finish", "said", "signature")

    def __init__(self) -> None:
        self.said = False
        self.call_ids: set[str] = set()
        self.finish: str | None = None
        self.signature: str | None = None
        self.blocked: list[str] = []


class TurnReader:
    """Gemini chunks to events. `new_id` makes an id for a call that came without one."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._started = False
        self._candidates: dict[int, _CandidateState] = {}
        self.usage = UsageMetadata()
        """Merged counts so far."""
        self._block_reason: str | None = None

    def feed(self, response: GenerateContentResponse) -> list[Event]:
        """The events of one chunk. Raises GatewayError for an error told inside a 200 (translation.md D.8)."""
        if response.error is not None:
            raise failure.from_status(response.error.code, response.error)
        events: list[Event] = []
        if not self._started:
            self._started = True
            events.append(TurnStarted(response.response_id, response.model_version))
        if response.usage_metadata is not None:
            self.usage = merge(self.usage, response.usage_metadata)
        if response.prompt_feedback is not None:
            self._note_block(response.prompt_feedback)
        for position, candidate in enumerate(response.candidates or ()):
            self._read(position, candidate, events)
        return events

    def close(self, *, whole: bool = False) -> list[Event]:
        """The last events. Raises UpstreamTruncated for a stream without a finish reason.

        `whole` says that all of a unary answer was read: there a missing reason means `stop`.
        """
        if self._block_reason is not None and not self._candidates:
            refusal = f"Request blocked by Gemini: {self._block_reason}"
            return [Finished(0, "content_filter", refusal), TurnEnded(self.usage)]
        if not whole and not self._complete:
            raise UpstreamTruncated("upstream stream ended before completion")
        if not self._candidates:
            self._candidates[0] = _CandidateState()
        events: list[Event] = [self._finish(i, state) for i, state in sorted(self._candidates.items())]
        return [*events, TurnEnded(self.usage)]

    @property
    def _complete(self) -> bool:
        return bool(self._candidates) and all(c.finish is not None for c in self._candidates.values())

    def _note_block(self, feedback: PromptFeedback) -> None:
        if feedback.block_reason or feedback.block_reason_message:
            self._block_reason = feedback.block_reason_message or str(feedback.block_reason)

    def _read(self, position: int, candidate: Candidate, events: list[Event]) -> None:
        index = position if candidate.index is None else candidate.index
        state = self._candidates.get(index)
        if state is None:
            state = self._candidates[index] = _CandidateState()
        if candidate.content is not None:
            for part in candidate.content.parts or ():
                event = self._part(index, part, state)
                if event is not None:
                    events.append(event)
        if candidate.finish_reason is not None:
            state.finish = _name(candidate.finish_reason)
            state.blocked += [str(r.category) for r in candidate.safety_ratings or () if r.blocked]
        if candidate.grounding_metadata:
            events.append(Citations(index, candidate.grounding_metadata))

    def _part(self, index: int, part: Part, state: _CandidateState) -> Event | None:
        """One part's event; None for what nobody is told (empty text, end markers, unknown kinds)."""
        if part.text is not None:
            if part.thought:
                return ThoughtDelta(index, part.text) if part.text else None
            state.signature = part.thought_signature or state.signature
            if not part.text:
                return None
            state.said = True
            return TextDelta(index, part.text)
        if part.function_call is not None:
            return self._call(index, part, state) if part.function_call.name else None
        if part.inline_data is not None:
            if part.thought:  # an interim image (translation.md C.3)
                return None
            state.said = True
            return MediaPart(index, part.inline_data.mime_type, part.inline_data.data)
        if part.executable_code is not None:
            return CodePart(index, source=part.executable_code.code)
        if part.code_execution_result is not None:
            result = part.code_execution_result
            return CodePart(index, output=result.output, failed=result.outcome not in _CODE_OK)
        return None

    def _call(self, index: int, part: Part, state: _CandidateState) -> ToolCall:
        call = part.function_call
        assert call is not None  # noqa: S101 - only the type checker needs to be told
        call_id = call.id if call.id and call.id not in state.call_ids else self._new_id()
        state.call_ids.add(call_id)
        arguments = _compact(call.args)
        return ToolCall(index, call_id, call.name, arguments, part.thought_signature)

    def _finish(self, index: int, state: _CandidateState) -> Finished:
        cause = state.finish or "STOP"
        reason = REASONS.get(cause, "stop")
        if cause in _UNKNOWN_CAUSE and not state.said:
            reason = "content_filter"
        if reason == "content_filter" and not state.said:
            told = ", ".join([cause, *state.blocked])
            return Finished(index, reason, f"Answer blocked by Gemini: {told}", state.signature)
        if state.call_ids and reason == "stop":
            reason = "tool_calls"
        return Finished(index, reason, None, state.signature)


def _compact(args: msgspec.Raw) -> str:
    """The JSON object as it came, numbers untouched, without the blanks of a pretty printer."""
    if not args or bytes(args) == b"null":
        return "{}"
    return msgspec.json.format(bytes(args), indent=-1).decode()


def _name(reason: str | int) -> str:
    return reason if isinstance(reason, str) else _NUMBERED.get(reason, "FINISH_REASON_UNSPECIFIED")
