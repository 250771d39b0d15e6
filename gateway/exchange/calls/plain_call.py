"""The short way of the commonest call: whole, and answered plainly at the first attempt.

`Exchange` carries all other calls. tests/exchange/calls/test_plain_call.py and test_plain_ways.py hold both ways equal.
"""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from gateway.errors import GatewayError
from gateway.exchange.calls.accounting import CallAccounting
from gateway.exchange.calls.attempt import Attempt, open_attempt
from gateway.exchange.calls.call_state import CallState, new_target
from gateway.exchange.calls.fallback import Choice
from gateway.exchange.calls.recovery import Recovery
from gateway.exchange.context import RequestContext
from gateway.exchange.offload import HEAVY_ANSWER
from gateway.gemini.events import Event
from gateway.gemini.plain_answer import PlainAnswer, counts_of, events_of, read_answer
from gateway.gemini.turn_reader import TurnReader
from gateway.gemini.usage import TokenCounts
from gateway.upstream.client import GeminiClient

NewReader = Callable[[int], TurnReader]
"""Makes the reader of one attempt at a choice."""
Write = Callable[[PlainAnswer, TokenCounts], bytes | None]
"""Returns the client's answer for a plain one of Gemini's; None where that takes its events."""


class LongWay(Protocol):
    """Carries a call on (`Exchange._complete_with_retry`)."""

    def __call__(
        self,
        state: CallState,
        number: int,
        new: NewReader,
        first: bytes | None = None,
        opened: Attempt | None = None,
    ) -> Coroutine[Any, Any, list[Event]]: ...


def is_plain(choice: Choice, context: RequestContext, accounting: CallAccounting) -> bool:
    """Return whether nothing is to be done for a call but to account for it and to send it, if that succeeds."""
    return choice.is_plain and not (choice.call.stream or context.cache or context.trace is not None)


class PlainCalls:
    """Makes the first attempt at plain calls. What is not answered plainly goes the long way."""

    def __init__(
        self, upstream: GeminiClient, accounting: CallAccounting, recovery: Recovery, long_way: LongWay
    ) -> None:
        self._upstream = upstream
        self._accounting = accounting
        self._recovery = recovery
        self._long_way = long_way

    def complete(
        self, choice: Choice, context: RequestContext, new: NewReader, write: Write
    ) -> Coroutine[Any, Any, list[Event] | bytes]:
        """Return what `write` makes of a plain answer, or the events of any. Raises GatewayError."""
        if context.client.id or self._accounting.ledger is not None:
            return self._accounted(choice, context, new, write)
        return self._passed_through(choice, context, new, write)

    async def _passed_through(
        self, choice: Choice, context: RequestContext, new: NewReader, write: Write
    ) -> list[Event] | bytes:
        """Complete a call that nothing but the log and the metrics count."""
        accounting = self._accounting
        try:
            data = await self._upstream.send(choice.call, context.client.key, context.memory)
        except BaseException:  # noqa: BLE001 - it is raised again where attempts are counted
            state = CallState(choice, context, accounting)
            try:
                async with open_attempt(accounting, context, state.target):
                    raise
            except GatewayError as error:
                await self._recovery.after(error, state)
            return await self._long_way(state, 0, new)
        answer = _plain(data)
        if answer is None:
            return await self._long_way(CallState(choice, context, accounting), 0, new, data)
        counts = counts_of(answer)
        report, model = context.report, choice.call.model
        report.attempts += 1
        report.answer_bytes += len(data)
        report.add_tokens(counts)
        accounting.statistics.called(model)
        accounting.note_version(model, answer.model_version, report)
        self._recovery.answered(context, model)
        return write(answer, counts) or events_of(answer, counts=counts)[0]

    async def _accounted(
        self, choice: Choice, context: RequestContext, new: NewReader, write: Write
    ) -> list[Event] | bytes:
        """Complete a call with limits, a key of the pool, or a row in the ledger."""
        call, accounting = choice.call, self._accounting
        target = new_target(call, choice, context, accounting)
        attempt = Attempt(accounting, context, target)
        counts = TokenCounts()
        try:
            async with attempt:
                data = await self._upstream.send(call, attempt.key, context.memory)
                if (answer := _plain(data)) is not None:
                    counts = counts_of(answer)
                    attempt.read_plain(answer, counts)
                    context.report.answer_bytes += len(data)
                    self._recovery.answered(context, call.model)
                else:
                    attempt.keep_open()
        except GatewayError as error:
            state = CallState(choice, context, accounting, target)
            await self._recovery.after(error, state)
            return await self._long_way(state, 0, new)
        if answer is None:
            return await self._long_way(CallState(choice, context, accounting, target), 0, new, data, attempt)
        accounting.note_version(call.model, answer.model_version, context.report)
        return write(answer, counts) or events_of(answer, counts=counts)[0]


def _plain(data: bytes) -> PlainAnswer | None:
    """Return a plain answer; None for any other."""
    return read_answer(data) if len(data) <= HEAVY_ANSWER else None
