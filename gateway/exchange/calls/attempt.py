"""Lease a key for one upstream call, record the call in the ledger, and report its outcome to the key pool."""

import asyncio
import random
from collections.abc import Awaitable, Sequence
from math import ceil
from time import monotonic, time, time_ns
from types import TracebackType
from typing import Self

from msgspec import structs

from gateway.errors import BudgetExceeded, GatewayError, RateLimited, UnusableAnswer, UpstreamError, scrub
from gateway.exchange.calls.accounting import CallAccounting, LedgerWriter, Target, limit_reached
from gateway.exchange.calls.cost import UNKNOWN_COST, tier
from gateway.exchange.context import RequestContext
from gateway.exchange.ids import unique
from gateway.gemini.plain_answer import PlainAnswer
from gateway.gemini.turn_reader import TurnReader
from gateway.gemini.usage import TokenCounts, is_whole
from gateway.observability.request_log import UpstreamCall
from gateway.policy.clients.rate_limits import Taken, Window
from gateway.policy.ledger import Intent, Outcome, Settlement
from gateway.policy.models.pricing import Tier
from gateway.policy.pool import call_outcome
from gateway.policy.pool.google_quota import cause
from gateway.policy.pool.keypool import Lease
from gateway.policy.pool.vertex_key import VertexKey

_OK = 200
_CANCELLED_STATUS = 499
"""Status in the ledger of a call whose client has left."""
_CLIENT_GONE = (asyncio.CancelledError, GeneratorExit, ConnectionError)
"""A write to a closed connection raises ConnectionError; those of calls of Gemini are GatewayErrors."""
_MOST_SAID = 300
"""Characters of Google's words that are kept for operators."""
_NOTHING = TokenCounts()


def open_attempt(accounting: CallAccounting, context: RequestContext, target: Target) -> "Attempt":
    """Return an attempt, to be entered by `async with`. The target's `tried` gets the project that is asked."""
    kind = Attempt if context.trace is None else _TracedAttempt
    return kind(accounting, context, target)


class Attempt:
    """One upstream call. Entering raises GatewayError when the call may not be made; leaving settles everything."""

    counts: TokenCounts | None = None
    """Google's token counts, once they are known."""
    is_counted = False
    """Whether `counts` are those of the whole call."""
    is_answered = False
    """Whether a part of the answer has arrived: a refusal after it does not make the call free."""
    version = ""
    """`modelVersion` of the answer."""
    tier: Tier | None = None
    """The tier of service that Google names."""
    status = 200
    """Google's status, where no error has one."""
    _failure: GatewayError | None = None
    _lease: Lease | None = None
    _intent = ""
    """The id of the call in the ledger."""
    _limits: Sequence[Window] = ()
    """The client's limits in which the estimated prompt was counted."""
    _estimate = 0
    """Tokens of that prompt."""
    _stays_open = False
    """The next one who leaves it does not end it."""
    _began = 0.0
    _at = 0.0
    """Unix seconds of its beginning: the price of that time applies."""

    def __init__(self, accounting: CallAccounting, context: RequestContext, target: Target) -> None:
        self.key = context.client.key
        self._accounting = accounting
        self._client = context.client
        self._context = context
        self._report = context.report
        self._target = target

    @property
    def project(self) -> str:
        """The project whose key was leased; "" for a client's own key."""
        return self._lease.project if self._lease is not None else ""

    def answered(self, status: int) -> None:
        """Note Google's status of a call that is passed on."""
        self.status = self._report.upstream_status = status

    def count(
        self,
        counts: TokenCounts,
        *,
        whole: bool = True,
        version: str | None = None,
        service_tier: object = None,
    ) -> None:
        """Note Google's counts, of the whole call or only up to now, with the model and the tier that it names."""
        self.counts, self.is_counted, self.is_answered = counts, whole, True
        self.version, self.tier = version or "", tier(service_tier)

    def read(self, reader: TurnReader) -> None:
        """Note the counts of an answer, also of one that fails or ends early."""
        self.counts, self.is_counted, self.is_answered = reader.counts, reader.is_counted, reader.begun
        self.version = reader.version or ""
        if (service_tier := reader.tier) is not None:
            self.tier = tier(service_tier)

    def read_plain(self, answer: PlainAnswer, counts: TokenCounts) -> None:
        """Note the counts of a plain answer, as `read` would."""
        usage = answer.usage_metadata
        self.counts, self.is_answered = counts, True
        self.version = answer.model_version or ""
        if usage is not None:
            self.is_counted = is_whole(usage)
            if usage.service_tier is not None:
                self.tier = tier(usage.service_tier)

    def keep_open(self) -> None:
        """Let it go on when it is left now. It is entered once more, for another part of its work."""
        self._stays_open = True

    def fail(self, error: GatewayError) -> None:
        """Note an error inside an answer that is passed on as it is."""
        self._failure = error

    async def __aenter__(self) -> Self:
        if self._stays_open:
            self._stays_open = False
            return self
        ledger, client = self._accounting.ledger, self._client
        if not client.id and ledger is None:
            self._count()
            return self
        self._began, self._at = monotonic(), self._accounting.today()
        if client.id:
            if client.rules.models:
                client.rules.check(self._target.model)
            if limits := client.rules.token_limits:
                counters, prompt = self._accounting.counters, self._target.cost.prompt
                local = counters.local
                self._count_prompt(
                    local.take_now(client.id, limits, prompt, time())
                    if local is not None
                    else await counters.take(client.id, limits, prompt, time()),
                    limits,
                    prompt,
                )
            try:
                self._lease_key()
            except BaseException:
                await self._correct_tokens(0)
                raise
        if ledger is not None:
            try:
                await self._begin(ledger)
            except BaseException as error:
                await self._not_begun(error)
                raise
        self._count()
        return self

    def _count(self) -> None:
        self._report.attempts += 1
        self._accounting.statistics.called(self._target.model)

    async def __aexit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._stays_open:
            return
        if error is None and self._failure is None:
            if self._lease is None and not self._intent:  # a client with a Gemini key of its own
                if self.counts is not None:
                    self._add_tokens(self.counts)
                return
            if self.is_counted and self.counts is not None and self._accounting.counters.local is not None:
                await self._succeed(self.counts)
                return
        failed = error if isinstance(error, GatewayError) else self._failure if error is None else None
        if failed is not None:
            why = cause(failed)
            self._report.failures.append(why)
            if isinstance(failed, UpstreamError) and failed.detail:
                self._report.cause = failed.detail
            self._accounting.statistics.failed(self._target.model, why)
        cancelled = isinstance(error, _CLIENT_GONE)
        spent = self.counts if self.counts is not None else _NOTHING
        if cancelled and not self.is_counted:  # at least the prompt, as estimated
            spent = structs.replace(spent, prompt=max(spent.prompt, self._target.cost.prompt))
        most = None if self.is_counted or self._is_told(error) else self._most()
        total = spent.total
        if (self.counts is not None and error is None) or total:
            self._add_tokens(spent)
        if self._lease is None and not self._intent:
            return
        self._report_to_pool(
            failed, cancelled=cancelled, crashed=error is not None and failed is None, tokens=total
        )
        try:
            if cancelled:
                self._note(spent, most)
            elif self._intent and self._accounting.ledger is not None:
                outcome: Outcome = "ok" if error is None and failed is None else "error"
                status = (
                    200 if outcome == "ok" else (failed.upstream_status or failed.status if failed else 500)
                )
                # queued before it waits, so that a client that leaves now leaves no open row
                await self._accounting.ledger.settle(self._settlement(outcome, status, spent, most))
        finally:
            if self._limits:
                # an answer without Google's counts is as long as estimated
                is_known = most is None or (error is not None and not self.is_answered)
                used = total if is_known else max(total, self._target.cost.prompt)
                correction = self._correct_tokens(used)
                await (
                    correction if self._accounting.counters.local is not None else asyncio.shield(correction)
                )

    def _succeed(self, spent: TokenCounts) -> Awaitable[object]:
        """Settle everything after a success whose counts are known. Return what to await for the ledger's row."""
        self._add_tokens(spent)
        accounting, total = self._accounting, spent.total
        if self._lease is not None:
            self._target.too_large = False
            accounting.pool.settle(self._lease, call_outcome.Ok(total), time(), 0.0)
        if self._limits and (local := accounting.counters.local) is not None:
            local.correct_now(self._client.id, self._limits, total - self._estimate, time())
        if self._intent and accounting.ledger is not None:
            # queued before it waits, so that a client that leaves now leaves no open row
            return accounting.ledger.settle(self._settlement("ok", _OK, spent, None))
        return _no_wait()

    def _add_tokens(self, spent: TokenCounts) -> None:
        self._report.add_tokens(spent)
        if self._context.hooks is not None:
            self._report.micros += self._micros(spent)

    def _is_told(self, error: BaseException | None) -> bool:
        """Return whether Google has said what the call costs.

        It does not bill for what it refuses (https://ai.google.dev/gemini-api/docs/billing), nor for what it never got.
        """
        if not self._client.id:
            return True
        status = self.status
        if isinstance(error, GatewayError):
            if not error.sent:
                return True
            status = error.upstream_status or status
        return status >= 400 and not self.is_answered

    def _most(self) -> TokenCounts:
        """Return the most tokens that the call can have cost."""
        target = self._target
        if target.call is not None and target.cost is UNKNOWN_COST:
            return self._accounting.ceiling(target.call).most
        return target.cost.most

    def _lease_key(self) -> None:
        """Take a key. Raises PoolExhausted or NoUsableKey.

        With a pinned project, raises NotFound if it is gone, and Forbidden if it does not serve the model.
        """
        target = self._target
        self._lease = lease = self._accounting.pool.acquire(
            target.model,
            time(),
            affinity=target.affinity,
            only=target.project,
            tried=target.tried,
            tokens=target.prompt,
            client=self._client.id,
            feature=target.feature,
            gemini_only=target.gemini_only,
        )
        self.key = lease.key
        target.tried.append(lease.project)
        self._report.project = lease.project
        self._report.api = "vertex" if isinstance(lease.key, VertexKey) else None

    def _count_prompt(self, taken: Taken, limits: Sequence[Window], prompt: int) -> None:
        """Note that the estimated prompt was counted in the client's limits. Raises RateLimited if it was not."""
        self._report.limits += taken.states
        if taken.blocked is not None:
            raise limit_reached(taken.blocked, taken)
        self._limits, self._estimate = limits, prompt

    async def _correct_tokens(self, total: int) -> None:
        """Replace the estimate by the tokens that were used."""
        if self._limits:
            change, counters = total - self._estimate, self._accounting.counters
            await counters.correct(self._client.id, self._limits, change, time())

    def _begin(self, ledger: LedgerWriter) -> Awaitable[object]:
        """Record the call and reserve the most it can cost. Awaiting raises BudgetExceeded or LedgerUnavailable."""
        self._intent = unique("")
        client, target = self._client, self._target
        budgets = client.rules.budgets
        most = target.cost.most if budgets else _NOTHING
        micros = self._ceiling(most) if budgets else 0
        intent = Intent(
            self._intent, time(), self._context.request_id, client.id, self._report.project or "", target.model,
            self._context.surface, micros, most.total, budgets,
        )  # fmt: skip
        return ledger.begin(intent)

    async def _not_begun(self, error: BaseException) -> None:
        """Undo what was taken for a call that may not be made."""
        # the writer may still have it in its queue and write it later
        gone = isinstance(error, _CLIENT_GONE)
        if isinstance(error, BudgetExceeded):
            self._accounting.statistics.refused(self._client.id, error.budget, time())
        self._note(_NOTHING, None, _CANCELLED_STATUS if gone else getattr(error, "status", 500))
        self._report_to_pool(None, cancelled=True, crashed=False, tokens=0)
        await self._correct_tokens(0)

    def _report_to_pool(
        self, failed: GatewayError | None, *, cancelled: bool, crashed: bool, tokens: int
    ) -> None:
        """Settle the lease. An answer that cannot be used is no fault of the key."""
        if self._lease is None:
            return
        if failed is None and not (cancelled or crashed):
            self._target.too_large = False
            self._accounting.pool.settle(self._lease, call_outcome.Ok(tokens), time(), 0.0)
            return
        result: call_outcome.Outcome
        if cancelled:
            result = call_outcome.Cancelled()
        elif crashed:
            result = call_outcome.Broken()
        else:
            result = call_outcome.outcome(
                None if isinstance(failed, UnusableAnswer) else failed,
                tokens,
                own_deadline=self._target.own_deadline,
                most_prompt=self._most().prompt if isinstance(failed, RateLimited) else 0,
            )
            self._target.too_large = isinstance(result, call_outcome.Limited) and result.too_large
        jitter = random.random()  # noqa: S311
        said = scrub(failed.message[:_MOST_SAID]) if failed is not None and failed.upstream_status else ""
        updates = self._accounting.pool.settle(self._lease, result, time(), jitter, said)
        if updates:
            self._accounting.on_pool_update(updates)

    def _note(self, spent: TokenCounts, most: TokenCounts | None, status: int = _CANCELLED_STATUS) -> None:
        """Settle the ledger's row without waiting for it."""
        if self._intent and self._accounting.ledger is not None:
            outcome: Outcome = "cancelled" if status == _CANCELLED_STATUS else "error"
            self._accounting.ledger.note(self._settlement(outcome, status, spent, most))

    def _settlement(
        self, outcome: Outcome, status: int, spent: TokenCounts, most: TokenCounts | None
    ) -> Settlement:
        """Return the row's end. `most` is charged where Google has not said what the call costs; None where it has."""
        prices, rules, model = self._accounting.prices, self._client.rules, self._target.model
        micros = self._micros(spent)
        if most is not None:
            spent, micros = _at_least(spent, most), max(micros, self._ceiling(most))
        is_exact = (most is None or not most.total) and (self.is_counted or outcome != "cancelled")
        self._accounting.statistics.charged(self._client.id, model, micros)
        return Settlement(
            self._intent, time(), outcome, status, spent, micros, prices.version, is_exact,
            int(self._report.first_byte_ms or 0), int((monotonic() - self._began) * 1000),
            bool(rules.dollars or rules.tokens), self._client.id,
        )  # fmt: skip

    def _ceiling(self, most: TokenCounts) -> int:
        """Return the most that so many tokens cost. Searches of a batch cost what others do."""
        target, prices, at = self._target, self._accounting.prices, self._at
        micros = target.price_factor * prices.ceiling(target.model, most, at)
        if target.tier != "batch":
            return micros
        tokens = target.price_factor * prices.ceiling(target.model, structs.replace(most, searches=0), at)
        return micros - tokens + ceil(tokens * prices.of(target.model, at).factors.batch)

    def _micros(self, spent: TokenCounts) -> int:
        """Return the cost of the tokens, in the tier that Google names.

        Where it names none, in the one that was asked for: priority is served as standard when it is full, and flex
        only as flex (https://ai.google.dev/gemini-api/docs/priority-inference, .../flex-inference). A tier that is not
        understood costs the most.
        """
        prices, target, at = self._accounting.prices, self._target, self._at or self._accounting.today()
        if self.tier is None and target.price_factor != 1:
            return target.price_factor * prices.micros(target.model, spent, at, self.version)
        service_tier = self.tier or target.tier or "standard"
        return prices.micros(target.model, spent, at, self.version, service_tier)


async def _no_wait() -> None:
    """Stand for a wait where there is no ledger."""


def _at_least(counts: TokenCounts, most: TokenCounts) -> TokenCounts:
    """Return counts of which none is smaller than its upper bound. Tool use is a part of the bound of the prompt."""
    return structs.replace(
        counts,
        prompt=max(counts.prompt, most.prompt - counts.tool_use),
        completion=max(counts.completion, most.completion - counts.thoughts),
        searches=max(counts.searches, most.searches),
    )


class Turn(Attempt):
    """One more turn of a session: it goes over a connection that is open, so that no key is leased for it."""

    def _lease_key(self) -> None:
        """Lease nothing."""


class _TracedAttempt(Attempt):
    """An attempt that is added to the request's trace: from when the call may be made to the end of its answer."""

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._called = time_ns()
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        project = self._lease.project if self._lease is not None else None
        end = self._end(error)
        call = UpstreamCall(self._target.model, project, self._called, time_ns(), *end)
        self._report.calls.append(call)
        await super().__aexit__(kind, error, trace)

    def _end(self, failed: BaseException | None) -> tuple[Outcome, int | None, str | None]:
        """Return the outcome, Google's status, and the code of an error.

        The code is the gateway's, the name of an exception's class, or Google's status as text.
        """
        if isinstance(failed, _CLIENT_GONE):
            return "cancelled", None, None
        if isinstance(failed, GatewayError):
            return "error", failed.upstream_status, failed.code
        if failed is not None:
            return "error", None, type(failed).__name__
        return ("ok", self.status, None) if self.status < 400 else ("error", self.status, str(self.status))
