"""Decides what follows a failed attempt while nothing was sent to the client.

Three failures are tried again: those that pass by themselves (`policy.retry`), refusals that another request avoids
(`gemini.remedies`), and answers without content. What still fails goes to the next model of the request's fallback
plan, if there is one (`policy.fallback`).
"""

import asyncio
import random
from collections.abc import Collection, Sequence
from time import monotonic
from typing import TYPE_CHECKING

from gateway.errors import (
    GatewayError,
    NoUsableKey,
    UnusableAnswer,
    UpstreamDropped,
    UpstreamError,
    forget_frames,
)
from gateway.exchange.calls.accounting import CallAccounting, Target
from gateway.exchange.calls.call_state import CallState
from gateway.exchange.context import RequestContext
from gateway.exchange.offload import offload
from gateway.gemini.call import GeminiCall
from gateway.gemini.schemas.schema_references import SchemaTooLarge
from gateway.gemini.wire import GenerateContentRequest
from gateway.policy.bounded import BoundedMapping
from gateway.policy.models.fallback import ModelBreaker, passes_on
from gateway.policy.models.learned_refusals import LearnedRefusals
from gateway.policy.retry import Fail, RetryBudget, RetryConfig, judge

if TYPE_CHECKING:
    from gateway.gemini.remedies import Remedy

_MOST_REMEDIES = 2
"""Remedies for one call."""
_MOST_DROPPED = 2
"""Requests that are repeated at once because a pooled connection had closed."""
_MAX_CLIENTS = 10_000
"""Retry budgets. Keys are chosen by clients where clients with a Gemini key of their own are served."""
_INLINING = "json_schema"
"""The lasting remedy that inlines references, which takes time of its own."""


class Recovery:
    """Retries, remedies and fallbacks.

    Each client has a retry budget and breakers of models of its own: a client can make Google fail, with a prompt that
    ends in a 500 for instance.
    """

    def __init__(self, config: RetryConfig, accounting: CallAccounting, *, strict: bool) -> None:
        self._config = config
        self._accounting = accounting
        self._strict = strict
        self._budgets: BoundedMapping[str, RetryBudget] = BoundedMapping(_MAX_CLIENTS)
        """Of clients whose calls have failed."""
        self.refusals = LearnedRefusals()
        """Features that models have refused."""
        self._breaker = ModelBreaker()

    async def prepare(self, call: GeminiCall, context: RequestContext) -> GeminiCall:
        """Return the call without what its model is known to refuse. Raises SchemaTooLarge with the client's path."""
        learned = self.refusals.of(call.model, context.client.scope, monotonic())
        if not learned:
            return call
        heavy = call.heavy or _INLINING in learned
        request, fields = await offload(heavy, _prepared, call, learned)
        context.report.adjust(fields, call.origins)
        return call.with_request(request) if fields else call

    async def begin(self, state: CallState) -> None:
        """Skip models that have failed repeatedly, while the fallback plan has others."""
        client = state.context.client.scope
        while self._breaker.cooling_down(client, state.call.model, monotonic()):
            if not await self._fall_back(state, "cooling_down"):
                break

    async def after(self, error: GatewayError, state: CallState) -> None:
        """Make the call ready for another attempt, or raise the error for the client."""
        forget_frames(error)
        if state.is_hedge:  # its failure is no reason for a third attempt
            raise error
        report = state.report
        report.upstream_status = error.upstream_status or report.upstream_status
        if error.upstream_status is not None:  # Google names its own field, the client gets its own
            error.param = state.call.origins.path(error.param)
        if await self._remedied(error, state):
            return
        if isinstance(error, UnusableAnswer):
            state.accept_empty = True
            return
        try:
            await self.pause(error, state.failures, state.context, state.target)
        except GatewayError as last:
            # the client is told the requested model's own error
            state.first_error = state.first_error or forget_frames(last)
            if not await self._passed_on(last, state):
                raise state.first_error from None

    async def pause(
        self, error: GatewayError, failures: list[type[GatewayError]], context: RequestContext, target: Target
    ) -> None:
        """Wait before another attempt, or raise the error for the client. Adds the error's kind to the failures."""
        failures.append(type(error))
        same = failures.count(type(error))
        if isinstance(error, UpstreamDropped) and same <= (1 if target.once else _MOST_DROPPED):
            return
        elsewhere, error = self._accounting.probe_pool(error, context.client, target)
        jitter = random.random()  # noqa: S311
        budget = self._budgets.setdefault(context.client.scope, RetryBudget())
        verdict = judge(
            error, len(failures), budget, self._config, jitter,
            same=same, elsewhere=elsewhere, once=target.once,
        )  # fmt: skip
        if isinstance(verdict, Fail):
            try:
                raise verdict.error
            finally:
                del error, verdict  # the error's traceback refers to them
        await asyncio.sleep(verdict.after)

    def answered(self, context: RequestContext, model: str) -> None:
        """Note that a call was answered."""
        context.report.upstream_status = 200
        client = context.client.scope
        budget = self._budgets.get(client) if self._budgets.total else None
        if budget is not None:  # another one is full
            budget.earn()
        self._breaker.succeeded(client, model)

    def succeeded(self, state: CallState) -> None:
        """Note that a call was answered. Its remedies have worked, so they are remembered."""
        model = state.call.model
        self.answered(state.context, model)
        if state.reader.unknown_reason:
            state.report.unknown_reason = state.reader.unknown_reason
        if state.reader.failure:
            state.report.adjusted.append(f"finish_reason={state.reader.failure}")
        if state.reader.citations_left_out:
            state.report.notes = [*(state.report.notes or ()), "citations"]
        if not state.remedies:
            return
        from gateway.gemini import remedies

        for feature in state.remedies:
            lasting = remedies.BY_FEATURE[feature].lasting
            if lasting != "no":
                client = state.context.client.scope
                shared = lasting == "model" and remedies.concerns_all(state.call.request)
                self.refusals.learn(model, feature, client, monotonic(), shared=shared)

    async def _passed_on(self, error: GatewayError, state: CallState) -> bool:
        """Return whether the next model of the plan is asked from now on."""
        if state.choice.fallbacks is None or not passes_on(error):
            return False
        if isinstance(error, UpstreamError) and not isinstance(error, NoUsableKey):
            self._breaker.failed(state.context.client.scope, state.call.model, monotonic())
        if not await self._fall_back(state, error.code):
            return False
        await self.begin(state)
        return True

    async def _fall_back(self, state: CallState, why: str | None) -> bool:
        """Ask the next model of the plan from now on. Return False when no other can be asked."""
        plan, report = state.choice.fallbacks, state.report
        substitute = await plan.next(state.next_fallback) if plan is not None else None
        if plan is None or substitute is None:
            return False
        known = {*plan.notes, *report.adjusted}
        report.adjusted += [name for name in dict.fromkeys([*substitute.notes, "model"]) if name not in known]
        report.fallbacks = [*(report.fallbacks or ()), f"{state.call.model} {why}"]
        call = await self.prepare(substitute.call.for_choice(state.choice.number), state.context)
        state.next_fallback, state.is_fallback = substitute.position, True
        memory, expected = state.context.memory, call.expected_size
        memory.take_encoded(expected)
        await offload(call.heavy, state.ask, call)
        memory.correct_encoded(expected, len(call.encode()))
        return True

    async def _remedied(self, error: GatewayError, state: CallState) -> bool:
        """Ask another request from now on that avoids this refusal. Return False when there is none."""
        if len(state.remedies) >= _MOST_REMEDIES:
            return False
        try:
            from gateway.gemini import remedies  # 0.3 MB of memory and 4 ms, for the first refusal
        except OSError:  # no descriptor is free to read it
            return False
        rows = [row for row in remedies.matching(error, state.remedies) if row.harmless or not self._strict]
        if not rows:
            return False
        call, memory = state.call, state.context.memory
        expected = len(call.encoded)
        memory.take_encoded(expected)
        repaired = await offload(True, _repaired, rows, call, error)  # it may inline schemas
        memory.correct_encoded(expected, len(repaired[1].encode()) if repaired is not None else 0)
        if repaired is None:
            return False
        remedy, state.call = repaired
        state.remedies.append(remedy.feature)
        state.report.adjust(remedy.fields, call.origins, remedy.detail)
        return True


def _prepared(call: GeminiCall, learned: Collection[str]) -> tuple[GenerateContentRequest, list[str]]:
    """Return the request without what its model refuses, and Gemini's fields that it no longer honours."""
    from gateway.gemini import remedies

    try:
        return remedies.prepare(call.request, learned)
    except SchemaTooLarge as error:
        raise _at_client(error, call) from None


def _repaired(
    rows: "Sequence[Remedy]", call: GeminiCall, error: GatewayError
) -> "tuple[Remedy, GeminiCall] | None":
    """Return the first remedy that changes the call, and the changed call, encoded already when it is heavy."""
    for row in rows:
        try:
            request = row.apply(call.request, error)
        except SchemaTooLarge as too_large:
            raise _at_client(too_large, call) from None
        if request is not None:
            changed = call.with_request(request)
            if call.heavy:
                changed.encode()
            return row, changed
    return None


def _at_client(error: SchemaTooLarge, call: GeminiCall) -> SchemaTooLarge:
    """Return the error with the client's path in place of Gemini's."""
    at = error.param or ""
    return error.at(call.origins.path(at) or at)
