"""One upstream call's books: a key to make it with, its rows in the ledger, and what its end teaches the pool.

A client with a Gemini key of its own is passed through: its calls touch no pool, and the ledger, where there is one,
names no client for them.
"""

import asyncio
import random
from collections.abc import Callable
from time import monotonic, time, time_ns
from types import TracebackType
from typing import Protocol, Self

from msgspec import Struct, structs

from gateway.errors import GatewayError, RateLimited, UnusableAnswer
from gateway.exchange.ids import unique
from gateway.gemini.capabilities import CapabilityTable
from gateway.gemini.usage import TokenCounts, token_counts
from gateway.gemini.wire import GeminiCall, UsageMetadata, encode_json
from gateway.observability.request_log import Call, RequestLog
from gateway.observability.statistics import Statistics
from gateway.policy import call_outcome
from gateway.policy.access import Client
from gateway.policy.google_quota import cause
from gateway.policy.keypool import KeyPool, Lease, PoolUpdate
from gateway.policy.ledger import Intent, Outcome, Settlement
from gateway.policy.pricing import Prices
from gateway.policy.rate_limits import Window, windows
from gateway.store.rate_counters import Counters, MemoryCounters

_BYTES_A_TOKEN = 4
_MOST_PROMPT = 2**21
"""Tokens; no model reads more."""
_MOST_OUTPUT = 65_536
"""Tokens that a model may write, where the table does not say."""


class LedgerWriter(Protocol):
    """Where attempts are written down (`store.ledger.Ledger`)."""

    async def begin(self, intent: Intent) -> None: ...
    async def settle(self, settlement: Settlement) -> None: ...
    def note(self, settlement: Settlement) -> None: ...


class CostEstimate(Struct, frozen=True):
    """What a call may bring, before it is made."""

    bytes: int = 0
    output: int = 0
    """Most tokens of the answer."""

    @property
    def prompt(self) -> int:
        """Tokens, roughly."""
        return min(_MOST_PROMPT, -(-self.bytes // _BYTES_A_TOKEN))

    @property
    def most(self) -> TokenCounts:
        """Tokens at most, for a budget: no language needs as many as one for two bytes of JSON."""
        return TokenCounts(prompt=min(_MOST_PROMPT, -(-self.bytes // 2)), completion=self.output)


_UNSIZED = CostEstimate()


class CallAccounting:
    """What attempts share: pool, ledger, prices and the clients' counts."""

    def __init__(
        self, pool: KeyPool, prices: Prices, capability_table: CapabilityTable, totals: Statistics
    ) -> None:
        self.pool = pool
        self.prices = prices
        self.totals = totals
        self._families = capability_table
        self.ledger: LedgerWriter | None = None
        """Set at the start, where there is one."""
        self.counters: Counters = MemoryCounters()
        self.learnt: Callable[[list[PoolUpdate]], None] = lambda _: None
        """Told of what the pool learns, for the store and other machines."""

    def size(self, call: GeminiCall, client: Client) -> CostEstimate:
        """What a call may bring at most; an answer is as long as was asked, or as the model can write.

        Nothing for a client of whom it does not matter: it costs an encoding.
        """
        rules = client.rules
        limited = rules.tokens_per_minute is not None or rules.tokens_per_day is not None
        if not client.id or not (limited or rules.dollars or rules.tokens):
            return _UNSIZED
        request = call.request
        config = request.generation_config
        output = config.max_output_tokens if config is not None else None
        read = (request.system_instruction, request.tools, request.contents)
        most = output or self._families.of(call.model).output_tokens or _MOST_OUTPUT
        return CostEstimate(len(encode_json(read)), most)

    def elsewhere(
        self, error: GatewayError, client: Client, model: str, project: str = ""
    ) -> tuple[bool, GatewayError]:
        """Whether another key could be asked at once where one was at fault; if none, what the client is told.

        Google's own words about a key of the pool are not for a client: its key is another.
        """
        if not client.id or not isinstance(
            call_outcome.outcome(error), call_outcome.Limited | call_outcome.Rejected
        ):
            return False, error
        if error.upstream_status is None:
            return False, error  # our own limits
        try:
            lease = self.pool.acquire(model, time(), only=project)
        except GatewayError as none_left:
            return False, none_left
        self.pool.settle(lease, call_outcome.Cancelled(), time(), 0.0)
        return True, error

    def attempt(
        self,
        client: Client,
        record: RequestLog,
        model: str,
        tried: list[str],
        affinity: bytes,
        size: CostEstimate,
        project: str = "",
    ) -> "Attempt":
        """Open it with `async with`; `tried` gets the project that is asked. `project`: no other may be."""
        kind = Attempt if record.trace is None else _TracedAttempt
        return kind(self, client, record, model, tried, affinity, size, project)


class Attempt:
    """A context: entering raises GatewayError when the call may not be made, leaving settles everything."""

    def __init__(
        self,
        accounts: CallAccounting,
        client: Client,
        record: RequestLog,
        model: str,
        tried: list[str],
        affinity: bytes,
        size: CostEstimate,
        project: str = "",
    ) -> None:
        self.key = client.key
        self.usage: UsageMetadata | None = None
        """What Google has counted; set by whoever reads the answer."""
        self.searches = 0
        """Google searches, as the answer tells of them; set by the same."""
        self.error: GatewayError | None = None
        """A failure that does not leave the context as an exception."""
        self.status = 200
        """Google's own, where no error tells it."""
        self._accounts = accounts
        self._client = client
        self._record = record
        self._model = model
        self._tried = tried
        self._affinity = affinity
        self._size = size
        self._project = project
        self._lease: Lease | None = None
        self._intent = ""
        self._tokens: list[tuple[Window, int]] = []
        self._began = 0.0

    async def __aenter__(self) -> Self:
        accounts, client = self._accounts, self._client
        if not client.id and accounts.ledger is None:
            self._counted()
            return self
        self._began = monotonic()
        if client.id:
            client.rules.check(self._model)
            await self._take_tokens()
            try:
                self._lend()
            except BaseException:
                await self._give_back(0)
                raise
        if accounts.ledger is not None:
            await self._begin(accounts.ledger)
        self._counted()
        return self

    def _counted(self) -> None:
        self._record.attempts += 1
        self._accounts.totals.called(self._model)

    async def __aexit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        failed = error if isinstance(error, GatewayError) else self.error
        if failed is not None:
            why = cause(failed)
            self._record.failures.append(why)
            self._accounts.totals.failed(self._model, why)
        if self._lease is None and not self._intent:
            return
        cancelled = isinstance(error, asyncio.CancelledError | GeneratorExit)
        spent = token_counts(self.usage) if self.usage is not None else TokenCounts()
        if self.searches:
            spent = structs.replace(spent, searches=self.searches)
        if cancelled:  # who leaves before Google has counted pays for the prompt at least
            spent = structs.replace(spent, prompt=max(spent.prompt, self._size.prompt))
        self._teach(
            failed, cancelled=cancelled, crashed=error is not None and failed is None, tokens=spent.total
        )
        if cancelled:
            self._note(spent)
            if self._tokens:
                await asyncio.shield(self._give_back(spent.total))
            return
        await self._give_back(spent.total)
        if self._intent and self._accounts.ledger is not None:
            outcome: Outcome = "ok" if error is None and failed is None else "error"
            status = 200 if outcome == "ok" else (failed.upstream_status or failed.status if failed else 500)
            await self._accounts.ledger.settle(self._settlement(outcome, status, spent))

    def _lend(self) -> None:
        """A key from the pool. Raises PoolExhausted or NoUsableKey; NotFound for a pinned project that is gone."""
        pool, now = self._accounts.pool, time()
        self._lease = lease = pool.acquire(
            self._model,
            now,
            affinity=self._affinity,
            only=self._project,
            tried=self._tried,
            tokens=self._size.prompt,
        )
        self.key = lease.key
        self._tried.append(lease.project)
        self._record.project = lease.project

    async def _take_tokens(self) -> None:
        """Count what the prompt will bring against the client's limits. Raises RateLimited."""
        limits = windows(self._client.rules, "tokens")
        if not limits:
            return
        wants = [(window, self._size.prompt) for window in limits]
        taken = await self._accounts.counters.take(self._client.id, wants, time())
        self._record.limits += taken.states
        if taken.blocked is not None:
            raise over(taken.blocked, taken.retry_after)
        self._tokens = wants

    async def _give_back(self, total: int) -> None:
        """Put what was really used in place of what was taken."""
        if self._tokens:
            changes = [(window, total - taken) for window, taken in self._tokens]
            await self._accounts.counters.correct(self._client.id, changes, time())

    async def _begin(self, ledger: LedgerWriter) -> None:
        """The intent, with what the call may cost at most reserved. Raises BudgetExceeded, LedgerUnavailable."""
        self._intent = unique("")
        lease, client, size = self._lease, self._client, self._size
        budgets = client.rules.budgets
        most = size.most if budgets else TokenCounts()
        intent = Intent(
            self._intent, time(), self._record.request_id, client.id, lease.project if lease else "", self._model,
            self._record.surface, self._accounts.prices.micros(self._model, most) if budgets else 0, most.total,
            budgets,
        )  # fmt: skip
        try:
            await ledger.begin(intent)
        except BaseException:
            # perhaps it is written all the same, later
            self._note(TokenCounts())
            self._teach(None, cancelled=True, crashed=False, tokens=0)
            await self._give_back(0)
            raise

    def _teach(self, failed: GatewayError | None, *, cancelled: bool, crashed: bool, tokens: int) -> None:
        if self._lease is None:
            return
        end: call_outcome.Outcome
        if cancelled:
            end = call_outcome.Cancelled()
        elif crashed:
            end = call_outcome.Broken()
        else:
            blameless = failed is None or isinstance(failed, UnusableAnswer)
            end = call_outcome.outcome(None if blameless else failed, tokens)
        changes = self._accounts.pool.settle(self._lease, end, time(), random.random())  # noqa: S311 - jitter
        if changes:
            self._accounts.learnt(changes)

    def _note(self, spent: TokenCounts) -> None:
        if self._intent and self._accounts.ledger is not None:
            self._accounts.ledger.note(self._settlement("cancelled", 499, spent))

    def _settlement(self, outcome: Outcome, status: int, spent: TokenCounts) -> Settlement:
        prices = self._accounts.prices
        first = self._record.first_byte_ms
        return Settlement(
            self._intent, time(), outcome, status, spent, prices.micros(self._model, spent), prices.version,
            outcome != "cancelled", int(first or 0), int((monotonic() - self._began) * 1000),
            bool(self._client.rules.dollars or self._client.rules.tokens), self._client.id,
        )  # fmt: skip


class _TracedAttempt(Attempt):
    """One that the request's trace tells of: from when the call may be made to the end of its answer."""

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._called = time_ns()
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._record.trace is not None:
            self._record.trace.calls.append(self._told(error))
        await super().__aexit__(kind, error, trace)

    def _told(self, error: BaseException | None) -> Call:
        project = self._lease.project if self._lease is not None else None
        return Call(self._model, project, self._called, time_ns(), *self._end(error or self.error))

    def _end(self, failed: BaseException | None) -> tuple[Outcome, int | None, str | None]:
        """Outcome, Google's status, and our code for an error."""
        if isinstance(failed, asyncio.CancelledError | GeneratorExit):
            return "cancelled", None, None
        if isinstance(failed, GatewayError):
            return "error", failed.upstream_status, failed.code
        if failed is not None:
            return "error", None, type(failed).__name__
        return ("ok", self.status, None) if self.status < 400 else ("error", self.status, str(self.status))


def over(window: Window, retry_after: float) -> RateLimited:
    """A client's own limit is reached."""
    per = "minute" if window.seconds == 60 else "day"
    return RateLimited(
        f"Rate limit reached for this API key: {window.limit} {window.counted} per {per}.",
        type=window.counted if window.counted == "tokens" else "requests",
        retry_after=retry_after,
        should_retry=False if retry_after > 60 else None,
    )
