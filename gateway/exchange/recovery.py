"""What becomes of a failed attempt, while nothing was said yet: adjusted, repeated, asked of another model, or told.

Three things are tried again: failures that pass (`policy.retry`), refusals with a remedy (`translate.adjust`), and
answers that hold nothing. What still fails goes to the next model of its chain, where there is one (`policy.fallback`).
"""

import asyncio
import random
from time import monotonic

from msgspec import structs

from gateway.errors import GatewayError, NoUsableKey, UnusableAnswer, UpstreamError
from gateway.exchange.attempt import CallAccounting
from gateway.exchange.call_state import CallState
from gateway.gemini import remedies as adjust
from gateway.gemini.wire import GeminiCall
from gateway.observability.request_log import RequestLog
from gateway.policy.access import Client
from gateway.policy.fallback import ModelBreaker, passes_on
from gateway.policy.learned_refusals import LearnedRefusals
from gateway.policy.retry import Fail, RetryBudget, RetryConfig, judge

_MOST_REMEDIES = 2
"""Adjustments of one request (translation.md J)."""


class Recovery:
    """The retry budget and the learnt refusals are shared by all calls."""

    def __init__(self, config: RetryConfig, accounts: CallAccounting, *, strict: bool) -> None:
        self._retry = config
        self._accounts = accounts
        self._strict = strict
        self._budget = RetryBudget()
        self._refusals = LearnedRefusals()
        self._standing = ModelBreaker()

    def prepare(self, call: GeminiCall, record: RequestLog) -> GeminiCall:
        """Return the call without what the model is known to refuse."""
        learned = self._refusals.of(call.model, monotonic())
        if not learned:
            return call
        request, fields = adjust.prepare(call.request, learned)
        record.adjusted += fields
        return structs.replace(call, request=request) if fields else call

    async def again(self, error: GatewayError, trail: CallState) -> None:
        """Make ready for another attempt, or raise the error."""
        if trail.beside:  # its failure is no reason for a third
            raise error
        trail.record.upstream_status = error.upstream_status or trail.record.upstream_status
        if self._remedied(error, trail):
            return
        if isinstance(error, UnusableAnswer):
            trail.settled = True
            return
        trail.failures += 1
        call = trail.call
        try:
            await self.pause(error, trail.failures, trail.client, call.model, call.project)
        except GatewayError as last:
            trail.error = trail.error or last  # of a chain, the asked model's own is told
            if not await self._passed_on(last, trail):
                raise trail.error from None

    async def begin(self, trail: CallState) -> None:
        """Leave out models that fail and fail, where there are others to ask."""
        while self._standing.cooling_down(trail.call.model, monotonic()):
            if not await self._next(trail, "resting"):
                break

    async def _passed_on(self, error: GatewayError, trail: CallState) -> bool:
        """Whether the next model of the chain is asked from now on."""
        if trail.call.instead is None or not passes_on(error):
            return False
        if isinstance(error, UpstreamError) and not isinstance(error, NoUsableKey):
            self._standing.failed(trail.call.model, monotonic())
        found = await self._next(trail, error.code)
        if found:
            await self.begin(trail)
        return found

    async def _next(self, trail: CallState, why: str | None) -> bool:
        """Go on with the next model; false when there is none that can be asked so."""
        call = await trail.call.instead() if trail.call.instead is not None else None
        if call is None:
            return False
        record = trail.record
        record.fallbacks = [*(record.fallbacks or ()), f"{trail.call.model} {why}"]
        call = self.prepare(call, record)
        trail.other = True
        trail.ask(call, self._accounts.size(call, trail.client))
        return True

    async def pause(
        self, error: GatewayError, failures: int, client: Client, model: str, project: str
    ) -> None:
        """Wait before another attempt, or raise the error."""
        elsewhere, error = self._accounts.elsewhere(error, client, model, project)
        jitter = random.random()  # noqa: S311
        verdict = judge(error, failures, self._budget, self._retry, jitter, elsewhere=elsewhere)
        if isinstance(verdict, Fail):
            raise verdict.error
        await asyncio.sleep(verdict.after)

    def _remedied(self, error: GatewayError, trail: CallState) -> bool:
        """Change the request so that this refusal cannot come again."""
        if len(trail.remedies) >= _MOST_REMEDIES:
            return False
        remedy = adjust.remedy(error, trail.remedies)
        if remedy is None or (self._strict and not remedy.harmless):
            return False
        request = remedy.apply(trail.call.request, error.message)
        if request is None:
            return False
        trail.call = structs.replace(trail.call, request=request)
        trail.remedies.append(remedy.feature)
        trail.record.adjusted.append(remedy.field)
        if remedy.lasting:
            self._refusals.learn(trail.call.model, remedy.feature, monotonic())
        return True

    def succeeded(self, record: RequestLog, model: str) -> None:
        """A call was answered."""
        record.upstream_status = 200
        self._budget.earn()
        self._standing.succeeded(model)
