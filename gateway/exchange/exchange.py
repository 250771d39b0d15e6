"""Carries one request's calls to Gemini and its answers back: attempts, retries, hedging, response cache.

Thought signatures are stored before the client sees the part that they belong to, so that it cannot send the part
back too early.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from time import time
from typing import Any, TypeVar

from aiohttp import web

from gateway.errors import GatewayError, UnusableAnswer, forget_frames
from gateway.exchange.calls import large_answers
from gateway.exchange.calls.accounting import CallAccounting, Target, target_of
from gateway.exchange.calls.attempt import Attempt, Turn, open_attempt
from gateway.exchange.calls.call_state import CallState
from gateway.exchange.calls.cost import UNKNOWN_COST, CostEstimate
from gateway.exchange.calls.fallback import Choice
from gateway.exchange.calls.hedging import Hedging
from gateway.exchange.calls.kept_answers import keep_answer, kept_answer
from gateway.exchange.calls.plain_call import NewReader, PlainCalls, Write, is_plain
from gateway.exchange.calls.prefix_caches import PrefixCaches
from gateway.exchange.calls.recovery import Recovery
from gateway.exchange.cancellation import of_cancellation
from gateway.exchange.context import RequestContext
from gateway.exchange.files.local_files import LocalFiles
from gateway.exchange.offload import HEAVY_ANSWER, offload
from gateway.exchange.replies.stream_relay import Reply, StreamRelay
from gateway.exchange.report import ExchangeReport
from gateway.exchange.side_by_side import side_by_side
from gateway.gemini.call import GeminiCall
from gateway.gemini.events import Event
from gateway.gemini.resources import decode_count, encode_count
from gateway.gemini.stream_translator import StreamTranslator, readable
from gateway.gemini.thought_signatures import Signed
from gateway.gemini.usage import is_whole, token_counts
from gateway.gemini.wire import UsageMetadata
from gateway.store.state_stores import StateStores
from gateway.upstream.aiohttp_transport import UpstreamSocket
from gateway.upstream.client import Forwarded, GeminiClient

T = TypeVar("T")
NewTranslator = Callable[[int], StreamTranslator]
"""Makes the translator of one attempt at a choice."""


class Exchange:
    """Carries calls through their attempts."""

    def __init__(
        self,
        upstream: GeminiClient,
        accounting: CallAccounting,
        recovery: Recovery,
        hedging: Hedging | None,
        stores: StateStores,
    ) -> None:
        self._upstream = upstream
        self.upstream_is_stuck: Callable[[float], bool] = upstream.is_stuck
        """Returns whether a lookup of the upstream's name has taken so many seconds."""
        self.accounting = accounting
        self._recovery = recovery
        self._hedging = hedging
        self._plain = PlainCalls(upstream, accounting, recovery, self._complete_with_retry)
        self.stores = stores
        self.files: LocalFiles | None = None
        """Files that the gateway keeps. Set by the plugin that keeps them."""
        self.prefixes: PrefixCaches | None = None
        """Caches of long beginnings of prompts. Set by the plugin that makes them."""
        self.refusals = recovery.refusals
        """Features that models have refused; without any, `prepare` changes nothing."""

    async def stored_signatures(self, keys: Sequence[bytes]) -> dict[bytes, str]:
        """Return the thought signatures that are stored under some keys."""
        return await self.stores.signatures.get(keys, time()) if keys else {}

    def prepare(self, call: GeminiCall, context: RequestContext) -> Awaitable[GeminiCall]:
        """Return the call without what its model is known to refuse. Raises SchemaTooLarge with the client's path."""
        return self._recovery.prepare(call, context)

    async def ask_free(self, path: str, key: str, body: bytes | None = None) -> bytes:
        """Return Google's answer to a call that costs nothing, for an operator. Raises GatewayError."""
        return await self._upstream.ask(path, body, key)

    async def ask(
        self,
        path: str,
        body: bytes | None,
        context: RequestContext,
        read: Callable[[bytes], T],
        *,
        usage: Callable[[T], UsageMetadata | None] = lambda _: None,
        model: str = "",
        project: str = "",
        cost: CostEstimate | None = None,
        once: bool = False,
    ) -> T:
        """Return the decoded answer of a call that generates nothing, such as embeddings or a list of models.

        Without a body it is a GET. Retried as any other call. `cost` is the most that it costs: unless it is given, as
        much as the model can write for the body's bytes, and nothing for lists and counts. `once` is that of `Choice`.
        Raises GatewayError.
        """
        failures: list[type[GatewayError]] = []
        report = context.report
        if cost is None:
            is_free = body is None or path.endswith(":countTokens")
            most_output = self.accounting.model_output(model).tokens
            cost = UNKNOWN_COST if is_free else CostEstimate(len(body or b""), most_output)
        target = target_of(path, model, cost, project=project, once=once)
        while True:
            try:
                async with open_attempt(self.accounting, context, target) as attempt:
                    data = await self._upstream.ask(path, body, attempt.key, context.memory)
                    answer = await offload(len(data) > HEAVY_ANSWER, readable, data, read)
                    if (counts := usage(answer)) is not None:
                        is_input_told = counts.prompt_token_count is not None and not cost.output
                        attempt.count(token_counts(counts), whole=is_input_told or is_whole(counts))
                    self._recovery.answered(context, model)
            except GatewayError as error:
                forget_frames(error)
                report.upstream_status = error.upstream_status or report.upstream_status
                if error.upstream_status is not None and error.param != "model":
                    error.param = None  # a field of Google's request, which the client has not seen
                await self._recovery.pause(error, failures, context, target)
                continue
            return answer

    def attempt(self, context: RequestContext, target: Target) -> Attempt:
        """Return an attempt for `forward`, to be entered by `async with`."""
        return open_attempt(self.accounting, context, target)

    def turn(self, context: RequestContext, target: Target) -> Turn:
        """Return one more turn of a session that an attempt has begun, to be entered by `async with`."""
        return Turn(self.accounting, context, target)

    async def websocket(self, path: str, headers: Mapping[str, str], largest: int) -> UpstreamSocket:
        """Open a WebSocket to Google whose messages have at most `largest` bytes. Raises GatewayError."""
        return await self._upstream.websocket(path, headers, largest)

    async def forward(
        self,
        attempt: Attempt,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | AsyncIterator[bytes] | None,
    ) -> Forwarded:
        """Pass a native call on, once. Raises GatewayError when there is no answer; a refusal is an answer."""
        answer = await self._upstream.forward(method, path, headers, body, attempt.key)
        attempt.answered(answer.status)
        return answer

    async def count(self, call: GeminiCall, context: RequestContext) -> int:
        """Return the prompt tokens of a call, by Gemini's countTokens."""
        if call.files and self.files is not None:
            call = await self.files.placed(call, context)
        name = call.path.partition(":")[0]
        expected = call.expected_size if call.heavy else 0
        context.memory.take_encoded(expected)
        body = await offload(call.heavy, encode_count, name, call.request)
        context.memory.correct_encoded(expected, len(body))
        answer = await self.ask(
            f"{name}:countTokens", body, context, decode_count, model=call.model, project=call.project
        )
        return answer.total_tokens

    def answer(
        self, choices: Sequence[Choice], context: RequestContext, new: NewReader, write: Write
    ) -> Coroutine[Any, Any, list[Event] | bytes]:
        """Return what `write` makes of a plain answer, or the events of any. Raises GatewayError."""
        is_usual = self._hedging is None and self.prefixes is None
        if len(choices) == 1 and is_usual and is_plain(choices[0], context, self.accounting):
            return self._plain.complete(choices[0], context, new, write)
        return self.complete(choices, context, new)

    async def complete(
        self, choices: Sequence[Choice], context: RequestContext, new: NewReader
    ) -> list[Event]:
        """Return the events of a whole answer. Raises GatewayError when a choice has none."""
        if len(choices) == 1:
            choice = choices[0]
            if choice.call.heavy:
                await self._encode(choices, context)
            events = await self._complete_choice(choice, 0, context, new)
            if context.hooks is None:
                return events
            return await context.hooks.whole(events, 0, choice.call.model, context)
        await self.accounting.take_calls(context, len(choices))
        await self._encode(choices, context)
        answers = await side_by_side(
            [self._complete_choice(choice, i, context, new) for i, choice in enumerate(choices)]
        )
        if (hooks := context.hooks) is not None:
            answers = [
                await hooks.whole(events, i, choices[i].call.model, context)
                for i, events in enumerate(answers)
            ]
        return [event for events in answers for event in events]

    async def admit(self, choices: Sequence[Choice], context: RequestContext) -> None:
        """Count and encode choices that `complete_choice` then asks for. Raises RateLimited and Overloaded."""
        await self.accounting.take_calls(context, len(choices))
        await self._encode(choices, context)

    async def complete_choice(self, choice: Choice, context: RequestContext, new: NewReader) -> list[Event]:
        """Return the events of one of several answers, whose failure leaves the others alone. Raises GatewayError."""
        events = await self._complete_choice(choice, choice.number, context, new)
        if context.hooks is None:
            return events
        return await context.hooks.whole(events, choice.number, choice.call.model, context)

    async def stream(
        self, choices: Sequence[Choice], context: RequestContext, reply: Reply, new: NewTranslator
    ) -> web.StreamResponse:
        """Relay a stream, of several choices at once. Raises GatewayError only while the reply has not begun."""
        context.report.unsent = len(choices)
        try:
            if len(choices) == 1:
                if choices[0].call.heavy:
                    await self._encode(choices, context)
                await self._stream_one(choices[0], 0, context, reply, new)
            else:
                await self.accounting.take_calls(context, len(choices))
                await self._encode(choices, context)
                await self._stream_choices(choices, context, reply, new)
        except GatewayError as error:
            if not reply.begun:
                raise
            forget_frames(error)
            await self._write_error(error, new, reply, context.report)
        except asyncio.CancelledError as cancelled:
            reason = of_cancellation(cancelled)
            if not reply.begun or reason is None:
                raise
            forget_frames(cancelled)
            await self._write_error(reason, new, reply, context.report)
        return await reply.finish()

    async def _encode(self, choices: Sequence[Choice], context: RequestContext) -> None:
        """Encode the calls of a request one after another, each taken into its memory before. Raises Overloaded.

        A single light call needs none of this: it is encoded when it is sent, and its body's memory covers it.
        """
        longest = 0
        for call in {id(choice.call): choice.call for choice in choices}.values():
            expected = max(longest, call.expected_size)
            context.memory.take_encoded(expected)
            size = len(await offload(call.heavy, call.encode))
            context.memory.correct_encoded(expected, size)
            longest = max(longest, size)

    async def _complete_choice(
        self, choice: Choice, number: int, context: RequestContext, new: NewReader
    ) -> list[Event]:
        """Return the events of one call's answer, kept or new."""
        state = (
            await offload(True, CallState, choice, context, self.accounting)
            if choice.call.heavy
            else CallState(choice, context, self.accounting)
        )
        if state.wanted_key and (messages := await kept_answer(self.stores.answers, state)) is not None:
            reader = new(number)
            state.report.answer_bytes += sum(map(len, messages))
            events = await large_answers.read_whole(reader, messages)
            await self._store_signatures(reader.signed)
            return events
        if choice.fallbacks is not None:
            await self._recovery.begin(state)
        if self._hedging is not None and not choice.once:
            return await self._hedging.run(
                state, lambda attempt: self._complete_with_retry(attempt, number, new)
            )
        return await self._complete_with_retry(state, number, new)

    async def _complete_with_retry(
        self,
        state: CallState,
        number: int,
        new: NewReader,
        first: bytes | None = None,
        opened: Attempt | None = None,
    ) -> list[Event]:
        """Return the events of the first attempt that is answered, and of the calls that continue its answer.

        `first` is the answer to the first attempt, if it is there already, and `opened` that attempt, if it is open.
        """
        reader = new(number)
        events: list[Event] = []
        while True:
            state.begin(reader)
            answer, first = first, None
            opening, opened = opened or open_attempt(self.accounting, state.context, state.target), None
            try:
                async with opening as attempt:
                    try:
                        answer = answer if answer is not None else await self._send(state, attempt)
                        state.report.answer_bytes += len(answer)
                        messages = large_answers.messages_of(answer) if state.call.stream else [answer]
                        if len(answer) <= HEAVY_ANSWER:
                            events += large_answers.read(reader, messages, state.accept_empty)
                        else:
                            events += await large_answers.read_whole(reader, messages, state.accept_empty)
                    finally:
                        attempt.read(reader)
                    self._succeeded(state, attempt)
            except GatewayError as error:
                state.restart()
                await self._after(error, state)
                reader, events = new(number), []
                continue
            state.note_version()
            if reader.signed:
                await self._store_signatures(reader.signed)
            if (token := reader.continuation) is not None:
                state.go_on(token)
                reader.resume()
                continue
            if state.cache_key and not state.is_continued:
                await keep_answer(self.stores.answers, state, messages, reader)
            return events

    async def _send(self, state: CallState, attempt: Attempt) -> bytes:
        """Return the whole answer of one attempt."""
        call = await state.localized(attempt.project, self.files, self.prefixes) or state.call
        answer = await self._upstream.send(call, attempt.key, state.context.memory)
        if self._hedging is not None:
            self._hedging.answered(state)
        return answer

    async def _stream_choices(
        self, choices: Sequence[Choice], context: RequestContext, reply: Reply, new: NewTranslator
    ) -> None:
        """Relay all choices side by side."""
        await side_by_side(
            [self._stream_one(choice, i, context, reply, new) for i, choice in enumerate(choices)]
        )

    async def _stream_one(
        self, choice: Choice, number: int, context: RequestContext, reply: Reply, new: NewTranslator
    ) -> None:
        """Relay one call's stream to its end, kept or new."""
        state = (
            await offload(True, CallState, choice, context, self.accounting)
            if choice.call.heavy
            else CallState(choice, context, self.accounting)
        )
        if state.wanted_key and (messages := await kept_answer(self.stores.answers, state)) is not None:
            translator = state.translator(new(number), number)
            kept = b"".join(b"data: %s\n\n" % message for message in messages)
            if state.hooks is None:
                out = await large_answers.translate(translator, kept) + await large_answers.close(translator)
            else:
                events = await offload(len(kept) > HEAVY_ANSWER, translator.read_whole, kept)
                out = translator.encode(await state.hooks.events(events))
            await self._store_signatures(translator.signed)
            await reply.write(out)
            state.end_of_hooks()
            state.report.sent()
            return
        if choice.fallbacks is not None:
            await self._recovery.begin(state)
        if self._hedging is not None:
            await self._hedging.run(
                state, lambda attempt: self._stream_with_retry(attempt, number, reply, new)
            )
        else:
            await self._stream_with_retry(state, number, reply, new)

    async def _stream_with_retry(
        self, state: CallState, number: int, reply: Reply, new: NewTranslator
    ) -> None:
        """Relay the first attempt that has output."""
        translator = state.translator(new(number), number)
        while True:
            state.begin(translator.reader)
            if state.cache_key and translator.messages is None:
                translator.messages = []
            try:
                async with open_attempt(self.accounting, state.context, state.target) as attempt:
                    try:
                        state.local = await state.localized(attempt.project, self.files, self.prefixes)
                        relay = StreamRelay(state, translator, reply, self._store_signatures)
                        await relay.run(self._upstream, attempt.key, self._hedging)
                    finally:
                        attempt.read(translator.reader)
                    self._succeeded(state, attempt)  # before it ends: many clients leave at the last byte
                    state.note_sent()
            except UnusableAnswer as error:
                if not (state.has_output or state.accept_empty):
                    state.restart()
                    await self._after(error, state)
                    translator = state.translator(new(number), number)
                    continue
                state.accept_empty = True
                await reply.write(await state.encoded(translator, translator.read_empty()))
                self._recovery.succeeded(state)
                state.note_sent()
            except GatewayError as error:
                if state.has_output:
                    raise
                state.restart()
                await self._after(error, state)
                translator = state.translator(new(number), number)
                continue
            if state.end_of_hooks():
                return
            if (token := translator.reader.continuation) is not None:
                state.go_on(token)
                translator.resume()
                continue
            if state.cache_key and not state.is_continued:
                await keep_answer(self.stores.answers, state, translator.messages or [], translator.reader)
            return

    async def _after(self, error: GatewayError, state: CallState) -> None:
        """Make the call ready for another attempt, or raise the error for the client."""
        if state.prefix is not None and state.prefix.refused(error):
            forget_frames(error)
            return
        if state.call.files and self.files is not None and not state.copies_forgotten:
            state.copies_forgotten = await self.files.forgotten(error, state.call, state.context)
            if state.copies_forgotten:
                return
        await self._recovery.after(error, state)

    def _succeeded(self, state: CallState, attempt: Attempt) -> None:
        """Note that an attempt was answered, before it ends."""
        self._recovery.succeeded(state)
        if state.prefix is not None:
            state.prefix.answered(attempt.project)

    async def _store_signatures(self, signed: list[Signed]) -> None:
        """Store signatures under all their keys, and clear the list."""
        if signed:
            signatures = {key: part.signature for part in signed for key in part.keys}
            signed.clear()
            await self.stores.signatures.put(signatures, time())

    async def _write_error(
        self, error: GatewayError, new: NewTranslator, reply: Reply, report: ExchangeReport
    ) -> None:
        """End a stream with an error frame: its status has been sent."""
        report.fail(error)
        await reply.write(new(0).fail(error))
