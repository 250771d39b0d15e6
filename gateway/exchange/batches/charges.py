"""The cost of a part of a batch: reserved before it is submitted, charged when its answers are read.

Each submission of a part is a row of the ledger, at the batch price.
"""

import math
from collections.abc import Iterable
from time import time

from msgspec import Struct, structs

from gateway.errors import UpstreamError
from gateway.exchange.calls.accounting import CallAccounting
from gateway.exchange.context import RequestContext
from gateway.gemini.stream_translator import decode
from gateway.gemini.turn_reader import TurnReader
from gateway.gemini.usage import TokenCounts
from gateway.policy.clients.kept_batches import Part
from gateway.policy.ledger import MOST_AMOUNT, Intent, Outcome, Settlement

_NOTHING = TokenCounts()


class Spent(Struct):
    """Tokens and cost of the answers to a part, summed while they are read."""

    counts: TokenCounts = _NOTHING
    micros: int = 0
    uncounted: int = 0
    """Answers whose tokens Google has not counted."""


class Charges:
    """Reservations and charges of parts."""

    def __init__(self, accounting: CallAccounting) -> None:
        self._accounting = accounting

    def most(self, model: str, counts: Iterable[TokenCounts]) -> tuple[int, int]:
        """Return the most that requests of a model cost in a batch: millionths of a US dollar, and tokens."""
        prices, at = self._accounting.prices, self._accounting.today()
        factor = prices.of(model, at).factors.batch
        micros, tokens = 0.0, 0
        for most in counts:
            # searches cost the same in a batch
            micros += prices.ceiling(model, most, at) * (1.0 if most.searches else factor)
            tokens += most.total
        return min(MOST_AMOUNT, math.ceil(micros)), min(MOST_AMOUNT, tokens)

    async def reserve(self, part: Part, context: RequestContext) -> None:
        """Begin the row of a submission. Raises BudgetExceeded and LedgerUnavailable."""
        ledger, client = self._accounting.ledger, context.client
        if ledger is None:
            return
        budgets = client.rules.budgets
        micros, tokens = (part.micros, part.tokens) if budgets else (0, 0)
        intent = Intent(
            part.intent, time(), context.request_id, client.id, part.project, part.model, "batch", micros, tokens,
            budgets,
        )  # fmt: skip
        await ledger.begin(intent)

    async def release(self, part: Part, context: RequestContext, status: int) -> None:
        """End the row of a submission that costs nothing, and release its reservation."""
        await self._settle(part, context, "error", status, Spent())

    async def charge(self, part: Part, context: RequestContext, spent: Spent) -> None:
        """End the row of a part whose answers were read."""
        if spent.uncounted and part.calls:  # as much of the reservation as they are of all requests
            spent.micros += part.micros * min(spent.uncounted, part.calls) // part.calls
        status = 200 if part.succeeded or not part.failed else 500
        await self._settle(part, context, "ok" if status == 200 else "error", status, spent)

    async def _settle(
        self, part: Part, context: RequestContext, outcome: Outcome, status: int, spent: Spent
    ) -> None:
        accounting, rules = self._accounting, context.client.rules
        if accounting.ledger is None or not part.intent:
            return
        accounting.statistics.charged(context.client.id, part.model, spent.micros)
        settlement = Settlement(
            part.intent, time(), outcome, status, spent.counts, spent.micros, accounting.prices.version,
            not spent.uncounted, 0, 0, bool(rules.dollars or rules.tokens), context.client.id,
        )  # fmt: skip
        await accounting.ledger.settle(settlement)

    def add(self, spent: Spent, part: Part, answer: bytes) -> None:
        """Add one answer of a model. One that cannot be read counts as uncounted."""
        reader = TurnReader(str, most=8)
        try:
            response = decode(answer)
            reader.feed(response)
        except UpstreamError:
            spent.uncounted += 1
            return
        if response.usage_metadata is None:
            spent.uncounted += 1
            return
        counts = reader.counts
        spent.counts = _sum(spent.counts, counts)
        spent.micros += self._accounting.prices.micros(
            part.model, counts, self._accounting.today(), reader.version or "", "batch"
        )


def _sum(first: TokenCounts, second: TokenCounts) -> TokenCounts:
    pairs = zip(structs.astuple(first), structs.astuple(second), strict=True)
    return TokenCounts(*(left + right for left, right in pairs))
