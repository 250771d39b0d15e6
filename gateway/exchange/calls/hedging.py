"""A second attempt on another project, beside a first one that is silent for unusually long.

`gateway.policy.hedging` decides when and how often; `race` lets the first answer win.
"""

from collections.abc import Callable, Coroutine
from time import monotonic, time
from typing import Any, TypeVar

from gateway.exchange.calls.accounting import CallAccounting
from gateway.exchange.calls.call_state import CallState
from gateway.exchange.calls.race import Race
from gateway.policy.hedging import Hedge, may_be_doubled

T = TypeVar("T")


class Hedging:
    """Runs calls with a second attempt where the operator allows it."""

    def __init__(self, hedge: Hedge, accounting: CallAccounting) -> None:
        self._hedge = hedge
        self._accounting = accounting

    async def run(self, state: CallState, attempt: Callable[[CallState], Coroutine[Any, Any, T]]) -> T:
        """Run a call's attempts, and after unusual silence one more beside them."""
        call = state.call
        if not (state.context.client.id and may_be_doubled(call)):
            return await attempt(state)
        race = state.race = Race[T]()

        def second() -> Coroutine[Any, Any, T] | None:
            if not self._worthwhile(state) or not self._hedge.spend():
                return None
            state.report.hedge = "lost"
            return attempt(state.beside())

        return await race.run(attempt(state), self._hedge.delay(call.model, streamed=call.stream), second)

    def answered(self, state: CallState) -> None:
        """Let an attempt win whose first bytes have arrived."""
        if state.race is None or state.race.decided:
            return
        state.race.decide()
        silence = monotonic() - state.began
        self._hedge.observe(state.call.model, silence, streamed=state.call.stream)
        state.report.project = state.target.tried[-1]
        if state.is_hedge:
            state.report.hedge = "won"
            state.is_hedge = False  # it is alone from now on and may be tried again as any other

    def _worthwhile(self, state: CallState) -> bool:
        """Return whether nothing has gone wrong so far, and another project can be asked."""
        troubled = state.failures or state.remedies or state.accept_empty or state.is_fallback
        target = state.target
        if troubled or target.project:
            return False
        return self._accounting.pool.others(
            target.model,
            target.tried,
            time(),
            tokens=target.prompt,
            client=state.context.client.id,
            gemini_only=target.gemini_only,
        )
