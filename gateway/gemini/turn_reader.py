"""From Gemini's answer, whole or in chunks, to the events of a turn.

The difficult things are settled here once for every dialect: thought or text, calls and their ids, STOP that
means `tool_calls` because a call came earlier, counts that arrive cumulatively, blocked prompts, streams that
end early (translation.md C.2, C.3, C.9, D.2, D.6).
"""

from collections.abc import Callable

import msgspec

from gateway.errors import UnusableAnswer, UpstreamTruncated
from gateway.gemini import errors as failure
from gateway.gemini.call_names import NO_CALLS, CallRules
from gateway.gemini.events import (
    Citations,
    CodePart,
    Event,
    FilePart,
    Finished,
    MediaPart,
    Reason,
    TextDelta,
    ThoughtDelta,
    ToolCall,
    TurnEnded,
    TurnStarted,
)
from gateway.gemini.grounding import Citation, of_grounding, of_recitation, searches
from gateway.gemini.thought_signatures import SignatureKeys, Signed
from gateway.gemini.usage import merge, token_counts
from gateway.gemini.wire import (
    NO_JSON,
    Candidate,
    CitationMetadata,
    GenerateContentResponse,
    Part,
    PromptFeedback,
    UsageMetadata,
    decode_grounding,
)

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

_BROKEN = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MALFORMED_RESPONSE",
        "MISSING_THOUGHT_SIGNATURE",
    }
)
"""The model stumbled: worth another attempt while nothing was said (translation.md C.2)."""

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

    __slots__ = ("blocked", "call_ids", "citations", "finish", "grounding", "message", "said", "signature",
                 "texts", "url_context")  # fmt: skip

    def __init__(self) -> None:
        self.said = False
        self.texts: list[str] = []
        self.call_ids: set[str] = set()
        self.finish: str | None = None
        self.message: str | None = None
        self.signature: str | None = None
        self.blocked: list[str] = []
        self.grounding: list[msgspec.Raw] = []
        self.citations: list[CitationMetadata] = []
        self.url_context = NO_JSON


class TurnReader:
    """Gemini chunks to events.

    `new_id` makes an id for a call that came without one; `rules` turn calls back into the client's; `keyring`
    makes the keys under which `signed` parts are to be stored; `base` is added to every candidate's index.
    """

    def __init__(
        self,
        new_id: Callable[[], str],
        rules: CallRules = NO_CALLS,
        keyring: SignatureKeys | None = None,
        base: int = 0,
    ) -> None:
        self._new_id = new_id
        self._rules = rules
        self._keyring = keyring
        self._base = base
        self._started = False
        self._candidates: dict[int, _CandidateState] = {}
        self.usage = UsageMetadata()
        """Merged counts so far."""
        self.signed: list[Signed] = []
        """Signatures that came and are not stored yet; whoever stores them clears the list."""
        self.model: str | None = None
        """The model that was asked, of an answer that names none."""
        self._block_reason: str | None = None

    def feed(self, response: GenerateContentResponse) -> list[Event]:
        """The events of one chunk. Raises GatewayError for an error told inside a 200 (translation.md D.8)."""
        if response.error is not None:
            raise failure.from_status(response.error.code, response.error)
        events: list[Event] = []
        if not self._started:
            self._started = True
            events.append(TurnStarted(response.response_id, response.model_version or self.model))
        if response.usage_metadata is not None:
            self.usage = merge(self.usage, response.usage_metadata)
        if response.prompt_feedback is not None:
            self._note_block(response.prompt_feedback)
        for position, candidate in enumerate(response.candidates or ()):
            self._read(position, candidate, events)
        return events

    def close(self, *, whole: bool = False, settle: bool = False) -> list[Event]:
        """The last events. Raises UpstreamTruncated for a stream without a finish reason.

        `whole` says that all of a unary answer was read: there a missing reason means `stop`. An answer without
        anything in it raises UnusableAnswer, unless `settle` says that it is to be taken as it is.
        """
        if self._block_reason is not None and not self._candidates:
            refusal = f"Request blocked by Gemini: {self._block_reason}"
            return [Finished(self._base, "content_filter", refusal), self._ended()]
        if not whole and not self._complete:
            raise UpstreamTruncated("upstream stream ended before completion")
        if not settle:
            self._insist()
        if not self._candidates:
            self._candidates[self._base] = _CandidateState()
        events: list[Event] = []
        for index, state in sorted(self._candidates.items()):
            if state.grounding or state.citations or state.url_context:
                events.append(_citations(index, state))
            events.append(self._finish(index, state))
        return [*events, self._ended()]

    def _ended(self) -> TurnEnded:
        return TurnEnded(token_counts(self.usage), self.usage.service_tier)

    @property
    def searches(self) -> int:
        """Google searches so far."""
        found = [raw for state in self._candidates.values() for raw in state.grounding]
        return searches(found) if found else 0

    @property
    def _complete(self) -> bool:
        return bool(self._candidates) and all(c.finish is not None for c in self._candidates.values())

    def _insist(self) -> None:
        """Raise UnusableAnswer for an answer that holds nothing, for no reason of the client's."""
        states = self._candidates.values()
        for state in states:
            if state.said or state.call_ids:
                return
        causes = [state.finish or "STOP" for state in states]
        if all(cause == "STOP" or cause in _BROKEN for cause in causes):
            raise UnusableAnswer(causes[0] if causes else "no candidate")

    def _note_block(self, feedback: PromptFeedback) -> None:
        if feedback.block_reason or feedback.block_reason_message:
            self._block_reason = feedback.block_reason_message or str(feedback.block_reason)

    def _read(self, position: int, candidate: Candidate, events: list[Event]) -> None:
        index = self._base + (position if candidate.index is None else candidate.index)
        state = self._candidates.get(index)
        if state is None:
            state = self._candidates[index] = _CandidateState()
        if candidate.content is not None:
            for part in candidate.content.parts or ():
                if part.text and not part.thought and part.thought_signature is None:  # most parts are this
                    state.said = True
                    state.texts.append(part.text)
                    events.append(TextDelta(index, part.text))
                    continue
                event = self._part(index, part, state)
                if event is not None:
                    events.append(event)
        if candidate.logprobs_result is not None:
            _attach(candidate, index, events)
        if candidate.finish_reason is not None:
            state.finish = _name(candidate.finish_reason)
            state.message = candidate.finish_message
            state.blocked += [str(r.category) for r in candidate.safety_ratings or () if r.blocked]
        if candidate.grounding_metadata:
            state.grounding.append(candidate.grounding_metadata)
        if candidate.citation_metadata is not None:
            state.citations.append(candidate.citation_metadata)
        if candidate.url_context_metadata:
            state.url_context = candidate.url_context_metadata

    def _part(self, index: int, part: Part, state: _CandidateState) -> Event | None:
        """One part's event; None for what nobody is told (empty text, end markers, unknown kinds)."""
        if part.text is not None:
            if part.thought:
                return ThoughtDelta(index, part.text) if part.text else None
            state.signature = part.thought_signature or state.signature
            if not part.text:
                return None
            state.said = True
            state.texts.append(part.text)
            return TextDelta(index, part.text)
        if part.function_call is not None:
            return self._call(index, part, state) if part.function_call.name else None
        if part.inline_data is not None:
            return self._media(index, part, state)
        if part.executable_code is not None:
            state.said = True
            return CodePart(index, source=part.executable_code.code, at=sum(map(len, state.texts)))
        if part.code_execution_result is not None:
            result = part.code_execution_result
            failed = result.outcome not in _CODE_OK
            return CodePart(index, output=result.output, failed=failed, at=sum(map(len, state.texts)))
        if part.file_data is not None:
            state.said = True
            return FilePart(index, part.file_data.file_uri, part.file_data.mime_type)
        return None

    def _call(self, index: int, part: Part, state: _CandidateState) -> ToolCall | None:
        call = part.function_call
        assert call is not None  # noqa: S101 - only the type checker needs to be told
        if self._rules.single and state.call_ids:
            return (
                None  # `parallel_tool_calls: false`; the signature sits on the first (translation.md A.5.4)
            )
        call_id = call.id if call.id and call.id not in state.call_ids else self._new_id()
        state.call_ids.add(call_id)
        name, arguments = self._rules.own_name(call.name), _compact(call.args)
        if part.thought_signature and self._keyring is not None:
            self.signed.append(Signed(self._keyring.call(call_id, name, arguments), part.thought_signature))
        return ToolCall(index, call_id, name, arguments, part.thought_signature)

    def _media(self, index: int, part: Part, state: _CandidateState) -> MediaPart | None:
        blob = part.inline_data
        assert blob is not None  # noqa: S101 - only the type checker needs to be told
        if part.thought:  # an interim image (translation.md C.3)
            return None
        state.said = True
        if part.thought_signature and self._keyring is not None:
            self.signed.append(Signed(self._keyring.image(blob.data), part.thought_signature))
        return MediaPart(index, blob.mime_type, blob.data)

    def _finish(self, index: int, state: _CandidateState) -> Finished:
        cause = state.finish or "STOP"
        reason = REASONS.get(cause, "stop")
        said = state.said or bool(state.call_ids)
        if cause in _UNKNOWN_CAUSE and not said:
            reason = "content_filter"
        if reason == "content_filter" and not said:
            told = ", ".join([cause, *state.blocked])
            return Finished(index, reason, f"Answer blocked by Gemini: {told}", state.signature)
        if state.call_ids and reason == "stop":
            reason = "tool_calls"
        message = state.message if cause in _BROKEN else None
        return Finished(index, reason, None, state.signature, message)


def _attach(candidate: Candidate, index: int, events: list[Event]) -> None:
    """Log-probabilities go with the text they came with (translation.md C.4)."""
    last = events[-1] if events else None
    if isinstance(last, TextDelta) and last.index == index:
        events[-1] = TextDelta(index, last.text, candidate.logprobs_result)
    else:
        events.append(TextDelta(index, "", candidate.logprobs_result))


def _citations(index: int, state: _CandidateState) -> Citations:
    """Everything cited, in the whole text; the fullest metadata stands for all."""
    text = "".join(state.texts)
    found: list[Citation] = []
    for raw in state.grounding:
        try:
            found += of_grounding(decode_grounding(raw), text)
        except (msgspec.DecodeError, RecursionError):
            continue  # a shape nobody has seen yet costs the annotations, not the answer
    for metadata in state.citations:
        found += of_recitation(metadata, text)
    fullest = max(state.grounding, key=len, default=NO_JSON)
    return Citations(index, list(dict.fromkeys(found)), fullest, state.url_context)


def _compact(args: msgspec.Raw) -> str:
    """The JSON object as it came, numbers untouched, without the blanks of a pretty printer."""
    if not args or bytes(args) == b"null":
        return "{}"
    return msgspec.json.format(bytes(args), indent=-1).decode()


def _name(reason: str | int) -> str:
    return reason if isinstance(reason, str) else _NUMBERED.get(reason, "FINISH_REASON_UNSPECIFIED")
