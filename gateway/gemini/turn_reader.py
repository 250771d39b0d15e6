"""Gemini's answer, whole or in chunks, read into the events of a turn.

Every dialect relies on what is decided here: thought or text, calls and their ids, the finish reason `tool_calls` that
Gemini does not have, cumulative token counts, blocked prompts, and streams that end early. The fields are documented at
https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse.
"""

from collections import defaultdict
from collections.abc import Callable

from msgspec import Raw

from gateway.errors import UnusableAnswer, UpstreamTruncated
from gateway.gemini.call_names import NO_CALLS, CallRules, compact
from gateway.gemini.candidate_state import CandidateState
from gateway.gemini.errors import from_status
from gateway.gemini.events import (
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
from gateway.gemini.finish_reasons import (
    BROKEN,
    COMPLETE,
    KNOWN,
    MAX_REASON,
    REASONS,
    UNKNOWN_CAUSE,
    reason_name,
)
from gateway.gemini.grounding import tool_uses
from gateway.gemini.joined_text import MOST_PIECES
from gateway.gemini.many_parts import MANY_PARTS, joined
from gateway.gemini.plain_answer import PlainAnswer, events_of, named
from gateway.gemini.plain_event import PlainEvent, PlainTexts
from gateway.gemini.server_parts import ServerParts, is_server_part
from gateway.gemini.server_runs import RunKeeping, RunRecorder
from gateway.gemini.stop_sequences import StopCutter
from gateway.gemini.thought_signatures import SignatureKeys, Signed
from gateway.gemini.usage import (
    NO_USAGE,
    TokenCounts,
    continued_counts,
    is_whole,
    merge,
    merge_all,
    token_counts,
)
from gateway.gemini.wire import (
    NO_JSON,
    Blob,
    Candidate,
    FunctionCall,
    GenerateContentResponse,
    Part,
    PromptFeedback,
)

_MOST_CONTINUED = 40
"""Calls that continue an answer. A million tokens are 32 of the shortest ones."""
MOST_CANDIDATES = 8
"""Gemini's limit of candidateCount (https://ai.google.dev/api/generate-content#generationconfig)."""


class TurnReader:
    """Reader of one answer.

    `new_id` makes an id for a call that came without one. `rules` turn calls back into the client's. `keyring` makes
    the store keys of `signed` parts. `base` is added to every candidate's index; `most` is the number of candidates
    that the answer may have, and others are left out.
    """

    __slots__ = (
        "_base", "_block_reason", "_candidates", "_continuation", "_counts", "_cutter", "_earlier", "_ends_counted",
        "_is_whole", "_keyring", "_most", "_new_id", "_resumed", "_rules", "_usage", "begun", "citations_left_out",
        "failure", "grounding_bytes", "model", "runs", "signed", "takes_texts", "unknown_reason", "version",
    )  # fmt: skip

    def __init__(
        self,
        new_id: Callable[[], str],
        rules: CallRules = NO_CALLS,
        keyring: SignatureKeys | None = None,
        base: int = 0,
        most: int = 1,
    ) -> None:
        self._new_id = new_id
        self._rules = rules
        self._cutter = StopCutter(rules.stops) if rules.stops else None
        self._keyring = keyring
        self._base = base
        self._most = most
        self.unknown_reason = ""
        """A finish reason that this version does not know, which is `stop` for the client."""
        self.runs: RunKeeping = "none"
        """Runs of server parts that are kept, for clients that send calls and texts back without them."""
        self.failure = ""
        """A finish reason for which the answer is not complete, or not all that was asked."""
        self.citations_left_out = 0
        """Citations that the client does not get, because there are too many."""
        self.takes_texts = self._cutter is None
        """Whether `add_text` and `add_texts` can read plain events: nothing cuts the text."""
        self.begun = False
        """Whether a chunk of the answer has arrived."""
        self._ends_counted = False
        """Whether the last chunk carried counts."""
        self._is_whole = False
        """Whether a unary answer was read."""
        self._candidates: defaultdict[int, CandidateState] = defaultdict(CandidateState)
        self._usage = NO_USAGE
        """Merged so far."""
        self._counts: TokenCounts | None = None
        """The counts of `_usage` and of all grounding, once they are asked for."""
        self.signed: list[Signed] = []
        """Signatures that are not stored yet. The caller stores them and clears the list."""
        self.grounding_bytes = 0
        """Bytes of the grounding metadata, which are read at the end."""
        self.version: str | None = None
        """`modelVersion` of the answer."""
        self.model: str | None = None
        """The requested model, for answers that name none."""
        self._block_reason: str | None = None
        self._continuation: str | None = None
        """`continuationToken` of the last candidate that ended."""
        self._resumed: str | None = None
        """The token with which the answer was continued last."""
        self._earlier: list[TokenCounts] = []
        """Tokens of the calls whose answer is continued."""

    def feed(self, response: GenerateContentResponse) -> list[Event]:
        """Return the events of one chunk. Raises GatewayError for an error object inside a 200."""
        if response.error is not None:
            raise from_status(response.error.code, response.error)
        events: list[Event] = []
        if not self.begun:
            events.append(self.begin(response.model_version, response.response_id))
        if response.usage_metadata is not None:
            self._usage = merge(self._usage, response.usage_metadata)
            self._counts = None
        if response.prompt_feedback is not None:
            self._note_block(response.prompt_feedback)
        for position, candidate in enumerate(response.candidates or ()):
            self._read(position, candidate, events)
        self._ends_counted = response.usage_metadata is not None
        return events if self._cutter is None else self._cutter.cut(events)

    def begin(self, version: str | None, response_id: str | None) -> TurnStarted:
        """Return the first event of the answer."""
        self.begun, self.version = True, version
        return TurnStarted(response_id, named(version, self.model))

    def add_text(self, plain: PlainEvent) -> tuple[int, str]:
        """Read a plain event, as `feed` would, and return the index of its candidate, and its text."""
        index, candidate, usage = self._base, plain.candidates[0], plain.usage_metadata
        state = self._candidates[index]
        state.has_content = True
        text, pieces = candidate.content.parts[0].text, state.text.pieces
        pieces.append(text)
        if len(pieces) >= MOST_PIECES:
            state.text.join()
        if usage is None:
            self._ends_counted = False
        else:
            self._usage, self._counts, self._ends_counted = merge(self._usage, usage), None, True
        if candidate.finish_reason is not None:
            state.finish, state.message, self._continuation = candidate.finish_reason, None, None
        return index, text

    def add_texts(self, plain: PlainTexts) -> int:
        """Read some plain events, as `feed` would, and return the index of their candidate."""
        index = self._base
        state = self._candidates[index]
        state.has_content = True
        pieces = state.text.pieces
        pieces += plain.texts
        if len(pieces) >= MOST_PIECES:
            state.text.join()
        if plain.usages:
            self._usage = merge_all(self._usage, plain.usages)
            self._counts = None
        self._ends_counted = plain.ends_counted
        if plain.finish is not None:
            state.finish, state.message, self._continuation = plain.finish, None, None
        return index

    @property
    def takes_answer(self) -> bool:
        """Whether `read_answer` can read a plain answer: nothing was read before, and nothing cuts its text."""
        return not self.begun and self._cutter is None

    def read_answer(self, answer: PlainAnswer) -> list[Event]:
        """Return all events of a plain answer, as `feed` and `close` would."""
        state = self._candidates[self._base]
        state.has_content, state.finish = True, answer.candidates[0].finish_reason
        self.begun, self._is_whole, self.version = True, True, answer.model_version
        if answer.usage_metadata is not None:
            self._usage, self._ends_counted = answer.usage_metadata, True
        events, self._counts, state.signature = events_of(answer, self._base, self.model)
        return events

    def close(self, *, whole: bool = False, accept_empty: bool = False) -> list[Event]:
        """Return the last events.

        Raises UpstreamTruncated for a stream without a finish reason; in a unary answer (`whole`) a missing reason
        means `stop`. Raises UnusableAnswer for an empty answer, unless `accept_empty`.
        """
        events = self._last_events(whole=whole, accept_empty=accept_empty)
        return events if self._cutter is None else self._cutter.cut(events)

    def _last_events(self, *, whole: bool, accept_empty: bool) -> list[Event]:
        self._is_whole = whole
        if self._block_reason is not None and not self._candidates:
            refusal = f"Request blocked by Gemini: {self._block_reason}"
            return [Finished(self._base, "content_filter", refusal), self._ended()]
        if not whole and not self._all_finished:
            raise UpstreamTruncated("The upstream stream ended before completion.")
        if not accept_empty:
            self._check_not_empty()
        if not self._candidates:
            self._candidates[self._base] = CandidateState()
        events: list[Event] = []
        for index, state in sorted(self._candidates.items()):
            if state.has_sources:
                cited, left_out = state.cited(index)
                self.citations_left_out += left_out
                events.append(cited)
            events.append(self._finish(index, state))
        return [*events, self._ended()]

    def _ended(self) -> TurnEnded:
        counts = continued_counts([*self._earlier, self.counts]) if self._earlier else self.counts
        return TurnEnded(counts, self._usage.service_tier)

    @property
    def continuation(self) -> str | None:
        """The token with which another call continues the answer, or None.

        Gemini 4 ends a call at its own limit while the limit of the request is not reached
        (https://ai.google.dev/gemini-api/docs/generate-content/long-decode).
        """
        if (
            self._continuation is None
            or self._continuation == self._resumed
            or len(self._earlier) >= _MOST_CONTINUED
        ):
            return None
        states = list(self._candidates.values())
        cut = self._cutter is not None and self._cutter.is_over
        goes_on = len(states) == 1 and states[0].finish == "CONTINUATION" and not cut
        return self._continuation if goes_on else None

    def resume(self) -> None:
        """Expect the answer of the call that continues this one. Its counts begin anew."""
        self._earlier.append(self.counts)
        self._resumed, self._continuation = self._continuation, None
        self._usage, self._counts, self._ends_counted = NO_USAGE, None, False
        for state in self._candidates.values():
            state.finish = None

    @property
    def tier(self) -> str | int | None:
        """The tier of service that Google names."""
        return self._usage.service_tier

    @property
    def counts(self) -> TokenCounts:
        """Tokens, Google searches and uses of Maps so far."""
        if self._counts is None:
            grounding = [raw for state in self._candidates.values() for raw in state.grounding]
            uses = tool_uses(grounding).without(self._earlier) if grounding else ()
            self._counts = token_counts(self._usage, *uses)
        return self._counts

    @property
    def is_counted(self) -> bool:
        """Whether Google has counted the whole answer: with the end of its last candidate, or after it."""
        if not self._ends_counted or not is_whole(self._usage):
            return False
        return self._is_whole or self._all_finished or (bool(self._block_reason) and not self._candidates)

    @property
    def is_complete(self) -> bool:
        """Whether the last candidate ended by itself or at its token limit."""
        states = list(self._candidates.values())
        return bool(states) and states[-1].finish in ("STOP", "MAX_TOKENS")

    @property
    def _all_finished(self) -> bool:
        for state in self._candidates.values():
            if state.finish is None:
                return False
        return bool(self._candidates)

    def _check_not_empty(self) -> None:
        """Raise UnusableAnswer for an empty answer that was neither filtered nor cut off."""
        states = self._candidates.values()
        for state in states:
            if not state.is_empty:
                return
        causes = [state.finish or "STOP" for state in states]
        if all(cause == "STOP" or cause in BROKEN for cause in causes):
            raise UnusableAnswer(causes[0] if causes else "no candidate")

    def _note_block(self, feedback: PromptFeedback) -> None:
        if feedback.block_reason or feedback.block_reason_message:
            self._block_reason = feedback.block_reason_message or str(feedback.block_reason)

    def _read(self, position: int, candidate: Candidate, events: list[Event]) -> None:
        index = candidate.index
        if index is None or not 0 <= index < self._most:  # no index that was asked for: the order tells
            index = position
            if index >= self._most:
                return
        index += self._base
        state = self._candidates[index]
        if candidate.content is not None:
            parts = candidate.content.parts or ()
            for part in parts if len(parts) <= MANY_PARTS else joined(parts):
                if part.text and not part.thought and part.thought_signature is None:  # most parts are this
                    state.has_content = True
                    pieces = state.text.pieces
                    pieces.append(part.text)
                    if len(pieces) >= MOST_PIECES:
                        state.text.join()
                    events.append(TextDelta(index, part.text))
                    continue
                event = self._part(index, part, state)
                if event is not None:
                    events.append(event)
        if candidate.logprobs_result is not None:
            _attach(candidate, index, events)
        if candidate.finish_reason is not None:
            state.finish = reason_name(candidate.finish_reason)
            state.message = candidate.finish_message
            self._continuation = candidate.continuation_token
            state.blocked += tuple(str(r.category) for r in candidate.safety_ratings or () if r.blocked)
        if candidate.grounding_metadata:
            state.grounding += (candidate.grounding_metadata,)
            self.grounding_bytes += len(candidate.grounding_metadata)
            self._counts = None
        if candidate.citation_metadata is not None:
            state.citations += (candidate.citation_metadata,)
        if candidate.url_context_metadata:
            state.url_context = candidate.url_context_metadata

    def _part(self, index: int, part: Part, state: CandidateState) -> Event | None:
        """Return a part's event, or None for parts without one: empty text, end markers, unknown kinds."""
        if part.text is not None:
            if part.thought:
                return ThoughtDelta(index, part.text) if part.text else None
            state.signature = part.thought_signature or state.signature
            if not part.text:
                return None
            state.has_content = True
            state.text.add(part.text)
            return TextDelta(index, part.text)
        if part.function_call is not None:
            return self._call(index, part.function_call, part.thought_signature, state)
        if part.inline_data is not None:
            return self._media(index, part.inline_data, part, state)
        if is_server_part(part):
            state.has_content = state.has_content or part.executable_code is not None
            return self._server_part(index, part, state)
        if part.file_data is not None:
            state.has_content = True
            return FilePart(index, part.file_data.file_uri, part.file_data.mime_type)
        return None

    def _server_part(self, index: int, part: Part, state: CandidateState) -> CodePart | ServerTool:
        if state.server is None:
            keyring = (
                self._keyring if self.runs != "texts" else None
            )  # there is no id under which it comes back
            state.server = ServerParts(index, self._new_id, keyring, self.signed)
        at = len(state.text)
        if self.runs != "none":
            state.runs = state.runs or RunRecorder()
            state.runs.add(part, at)
        return state.server.read(part, at)

    def _keep_run(self, state: CandidateState) -> Raw:
        """Store the parts of an answer without calls under its text; return them as the client is given them."""
        if state.runs is None or self.runs != "texts":
            return NO_JSON
        if self._keyring is not None and not state.call_ids and (text := state.runs.shown(str(state.text))):
            self.signed.append(Signed((self._keyring.answer(text),), state.runs.whole()))
        return state.runs.given() or NO_JSON

    def _call(
        self, index: int, call: FunctionCall, signature: str | None, state: CandidateState
    ) -> ToolCall | None:
        if not call.name:
            return None
        if self._rules.single and state.call_ids:
            return None  # of parallel calls only the first has a thought signature
        call_id = call.id if call.id and call.id not in state.call_ids else self._new_id()
        state.call_ids[call_id] = None
        name, arguments = self._rules.own_name(call.name), compact(call.args)
        if signature and self._keyring is not None:
            self.signed.append(Signed(self._keyring.call(call_id, name, arguments), signature))
        if state.runs is not None and self._keyring is not None and (run := state.runs.take()) is not None:
            self.signed.append(Signed((self._keyring.before_call(call_id),), run))
        return ToolCall(index, call_id, name, arguments, signature)

    def _media(self, index: int, blob: Blob, part: Part, state: CandidateState) -> MediaPart | None:
        if part.thought:  # a draft that image models make before the final image
            return None
        state.has_content = True
        if part.thought_signature and self._keyring is not None:
            self.signed.append(Signed(self._keyring.image(blob.data), part.thought_signature))
        return MediaPart(index, blob.mime_type, blob.data)

    def _finish(self, index: int, state: CandidateState) -> Finished:
        cause = state.finish or "STOP"
        reason = REASONS.get(cause, "stop")
        if cause not in KNOWN:
            cause = self.unknown_reason = cause[:MAX_REASON]
        failure = None if cause in COMPLETE else cause
        if failure and cause not in REASONS:
            self.failure = failure
        message = state.message if failure else None
        if cause in UNKNOWN_CAUSE and state.is_empty:
            reason = "content_filter"
        if reason == "content_filter" and state.is_empty:
            causes = ", ".join([cause, *state.blocked])
            refusal = f"Answer blocked by Gemini: {causes}"
            return Finished(index, reason, refusal, state.signature, message, failure)
        if state.call_ids and reason == "stop":
            reason = "tool_calls"
        return Finished(
            index, reason, None, state.signature, message, failure, server_parts=self._keep_run(state)
        )


def _attach(candidate: Candidate, index: int, events: list[Event]) -> None:
    """Add log-probabilities to the text of the same chunk, or as an event without text."""
    last = events[-1] if events else None
    if isinstance(last, TextDelta) and last.index == index:
        events[-1] = TextDelta(index, last.text, candidate.logprobs_result)
    else:
        events.append(TextDelta(index, "", candidate.logprobs_result))
