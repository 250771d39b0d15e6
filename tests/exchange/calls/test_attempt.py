"""One attempt: the key it leases, what it writes into the ledger, and what it tells the pool and the report."""

import asyncio
from contextlib import nullcontext
from time import monotonic, time

import pytest
from msgspec import Struct, field, structs

from gateway.errors import (
    BadRequest,
    Forbidden,
    GatewayError,
    LedgerUnavailable,
    RateLimited,
    UpstreamError,
    UpstreamTimeout,
    UpstreamTruncated,
)
from gateway.exchange.calls.accounting import CallAccounting, Target
from gateway.exchange.calls.attempt import open_attempt
from gateway.exchange.calls.cost import CostEstimate
from gateway.exchange.context import RequestContext
from gateway.exchange.report import ExchangeReport
from gateway.gemini.capabilities import CapabilityTable
from gateway.gemini.usage import token_counts
from gateway.gemini.wire import UsageMetadata
from gateway.observability.request_log import Trace
from gateway.observability.statistics import Statistics
from gateway.policy.clients.access import Client
from gateway.policy.clients.client_rules import Rules
from gateway.policy.ledger import Intent, Settlement
from gateway.policy.models.pricing import Price, Prices
from gateway.policy.pool.keypool import KeyPool
from gateway.policy.pool.projects import PoolConfig, PoolUpdate, Project
from gateway.store.rate_counters import MemoryCounters

MODEL = "gemini-2.5-flash"
USAGE = UsageMetadata(prompt_token_count=10, candidates_token_count=5)


class Ledger(Struct):
    """A ledger that remembers what it was told."""

    begun: list[Intent] = field(default_factory=list)
    settled: list[Settlement] = field(default_factory=list)
    noted: list[Settlement] = field(default_factory=list)
    error: BaseException | None = None

    async def begin(self, intent: Intent) -> None:
        self.begun.append(intent)
        if self.error is not None:
            raise self.error

    async def settle(self, settlement: Settlement) -> None:
        self.settled.append(settlement)

    def note(self, settlement: Settlement) -> None:
        self.noted.append(settlement)


class Setup(Struct):
    ledger: Ledger
    learned: list[PoolUpdate]
    accounting: CallAccounting

    def context(
        self, rules: Rules | None = None, *, own_key: bool = False, traced: bool = False
    ) -> RequestContext:
        issued = Client("", "f", "key_1", "key_1", rules or Rules())
        client = Client("AQ.own", "f", "s") if own_key else issued
        trace = Trace(None, None, 1) if traced else None
        return RequestContext("req_1", "POST", "/", monotonic(), ExchangeReport(), trace, "chat", client)


@pytest.fixture
def setup() -> Setup:
    ledger = Ledger()
    learned: list[PoolUpdate] = []
    pool = KeyPool([Project("a", ("AQ.a",)), Project("b", ("AQ.b",))], PoolConfig())
    accounting = CallAccounting(
        pool, Prices("v", {}), CapabilityTable({}), Statistics(), MemoryCounters(), ledger, learned.extend
    )
    return Setup(ledger, learned, accounting)


async def test_a_success_is_settled_and_nothing_is_learned(setup: Setup) -> None:
    context, target = setup.context(), Target(MODEL)
    async with open_attempt(setup.accounting, context, target) as attempt:
        attempt.count(token_counts(USAGE, 2))
        assert attempt.key in ("AQ.a", "AQ.b")

    (intent,), (settlement,) = setup.ledger.begun, setup.ledger.settled
    assert (intent.client, intent.surface, intent.model) == ("key_1", "chat", MODEL)
    assert target.tried == [intent.project] == [context.report.project]
    assert (settlement.outcome, settlement.status, settlement.counts.total, settlement.counts.searches) == (
        "ok", 200, 15, 2,
    )  # fmt: skip
    assert (context.report.attempts, context.report.failures, setup.learned) == (1, [], [])


async def test_a_failure_is_settled_counted_and_reported_to_the_pool(setup: Setup) -> None:
    context, target = setup.context(), Target(MODEL)
    error = GatewayError(
        "Resource has been exhausted", status=429, code="rate_limit_exceeded", upstream_status=429
    )
    with pytest.raises(GatewayError):
        async with open_attempt(setup.accounting, context, target):
            raise error

    (settlement,) = setup.ledger.settled
    assert (settlement.outcome, settlement.status) == ("error", 429)
    assert len(context.report.failures) == 1
    assert [name for name, _ in setup.accounting.statistics.failures] == [MODEL]


async def test_a_second_attempt_asks_another_project(setup: Setup) -> None:
    target = Target(MODEL)
    for _ in range(2):
        async with open_attempt(setup.accounting, setup.context(), target):
            pass

    assert sorted(target.tried) == ["a", "b"]


@pytest.mark.parametrize(
    ("error", "outcome", "status"),
    [
        (LedgerUnavailable(), "error", 503),
        (OSError("gone"), "error", 500),
        (asyncio.CancelledError(), "cancelled", 499),
    ],
)
async def test_o22_a_call_that_the_ledger_does_not_take_is_no_client_that_left(
    setup: Setup, error: BaseException, outcome: str, status: int
) -> None:
    setup.ledger.error = error
    with pytest.raises(type(error)):
        async with open_attempt(setup.accounting, setup.context(), Target(MODEL)):
            raise AssertionError

    (settlement,) = setup.ledger.noted
    assert (settlement.outcome, settlement.status, settlement.micros) == (outcome, status, 0)
    assert setup.accounting.statistics.calls == {}


async def test_o16_the_cost_of_each_call_is_counted_by_key_and_model(setup: Setup) -> None:
    prices = Prices("v", {MODEL: (Price(0.3, 2.5),)})
    accounting = structs.replace(setup.accounting, prices=prices)
    for _ in range(2):
        async with open_attempt(accounting, setup.context(), Target(MODEL)) as attempt:
            attempt.count(token_counts(USAGE, 0))
    async with open_attempt(accounting, setup.context(own_key=True), Target(MODEL)) as attempt:
        attempt.count(token_counts(USAGE, 0))

    (first, second, own) = [settlement.micros for settlement in setup.ledger.settled]
    assert first == second == own > 0
    assert accounting.statistics.micros == {("key_1", MODEL): 2 * first, ("", MODEL): own}


async def test_if_the_client_leaves_the_reservation_is_charged(setup: Setup) -> None:
    with pytest.raises(asyncio.CancelledError):
        async with open_attempt(setup.accounting, setup.context(), Target(MODEL, CostEstimate(400, 7))):
            raise asyncio.CancelledError

    (settlement,) = setup.ledger.noted
    assert (settlement.outcome, settlement.status, settlement.exact) == ("cancelled", 499, False)
    assert (settlement.counts.prompt, settlement.counts.output) == (400, 7)
    assert setup.ledger.settled == []


@pytest.mark.row("A7")
@pytest.mark.parametrize(
    ("error", "charged"),
    [
        (None, 407), (UpstreamTimeout("silent"), 407), (UpstreamTruncated("reset"), 407), (ValueError("crash"), 407),
        (UpstreamError("refused", upstream_status=500), 0), (BadRequest("refused", upstream_status=400), 0),
    ],
)  # fmt: skip
async def test_a07_without_googles_counts_the_reservation_is_charged(
    setup: Setup, error: Exception | None, charged: int
) -> None:
    with pytest.raises(type(error)) if error is not None else nullcontext():
        async with open_attempt(setup.accounting, setup.context(), Target(MODEL, CostEstimate(400, 7))):
            if error is not None:
                raise error

    (settlement,) = setup.ledger.settled
    assert (settlement.counts.total, settlement.exact) == (charged, not charged)


@pytest.mark.row("A7")
@pytest.mark.parametrize(("answered", "charged"), [(False, 0), (True, 407)])
async def test_a07_a_refusal_is_free_only_before_the_answer(
    setup: Setup, answered: bool, charged: int
) -> None:
    async def overloaded() -> None:
        target = Target(MODEL, CostEstimate(400, 7))
        async with open_attempt(setup.accounting, setup.context(), target) as attempt:
            if answered:
                attempt.count(token_counts(UsageMetadata(prompt_token_count=9)), whole=False)
            raise UpstreamError("overloaded", upstream_status=503)

    with pytest.raises(UpstreamError):
        await overloaded()

    assert setup.ledger.settled[0].counts.total == charged


@pytest.mark.row("A7")
async def test_a07_a_connection_that_was_never_made_costs_nothing(setup: Setup) -> None:
    error = UpstreamError("The upstream cannot be reached.")
    error.sent = False
    with pytest.raises(UpstreamError):
        async with open_attempt(setup.accounting, setup.context(), Target(MODEL, CostEstimate(400, 7))):
            raise error

    assert setup.ledger.settled[0].counts.total == 0


@pytest.mark.row("A7")
async def test_a07_the_rate_limits_and_the_log_do_not_count_the_reservation(setup: Setup) -> None:
    context = setup.context(Rules(tokens_per_minute=1000))
    async with open_attempt(setup.accounting, context, Target(MODEL, CostEstimate(400, 800))):
        pass
    async with open_attempt(setup.accounting, context, Target(MODEL, CostEstimate(400, 800))) as attempt:
        attempt.count(token_counts(USAGE))

    assert [state.remaining for state in context.report.limits] == [900, 800]
    assert context.report.prompt_tokens == 10
    assert [settlement.counts.total for settlement in setup.ledger.settled] == [1200, 15]


async def test_a_ledger_that_refuses_leaves_no_lease(setup: Setup) -> None:
    setup.ledger.error = UpstreamError("full", code="x")
    context = setup.context()
    with pytest.raises(UpstreamError):
        async with open_attempt(setup.accounting, context, Target(MODEL)):
            pytest.fail("entered")

    assert len(setup.ledger.noted) == 1
    assert context.report.attempts == 0
    assert [state.in_flight for state in setup.accounting.pool.describe(0.0) if state.in_flight] == []


async def test_a_clients_own_key_uses_no_pool(setup: Setup) -> None:
    accounting = structs.replace(setup.accounting, ledger=None)
    context, target = setup.context(own_key=True), Target(MODEL)
    async with open_attempt(accounting, context, target) as attempt:
        assert attempt.key == "AQ.own"

    assert (target.tried, context.report.project, context.report.attempts) == ([], None, 1)


@pytest.mark.parametrize(
    ("error", "status", "expected"),
    [
        (None, 200, ("ok", 200, None)),
        (None, 404, ("error", 404, "404")),
        (UpstreamError("x", code="overloaded", upstream_status=503), 200, ("error", 503, "overloaded")),
        (ValueError("x"), 200, ("error", None, "ValueError")),
        (asyncio.CancelledError(), 200, ("cancelled", None, None)),
    ],
)
async def test_a_traced_attempt_is_a_call_in_the_report(
    setup: Setup, error: BaseException | None, status: int, expected: tuple[str, int | None, str | None]
) -> None:
    context = setup.context(traced=True)
    with pytest.raises(type(error)) if error is not None else nullcontext():
        async with open_attempt(setup.accounting, context, Target(MODEL)) as attempt:
            attempt.status = status
            if error is not None:
                raise error

    (call,) = context.report.calls
    assert (call.outcome, call.status, call.error) == expected
    assert (call.model, call.project) == (MODEL, context.report.project)
    assert call.began <= call.ended


async def test_tokens_are_taken_by_estimate_and_corrected_by_googles_counts(setup: Setup) -> None:
    context = setup.context(Rules(tokens_per_minute=100))
    async with open_attempt(setup.accounting, context, Target(MODEL, CostEstimate(240))) as attempt:
        attempt.count(token_counts(USAGE))
    async with open_attempt(setup.accounting, context, Target(MODEL, CostEstimate(320))) as attempt:
        attempt.count(token_counts(USAGE))
    assert [state.remaining for state in context.report.limits] == [40, 5]

    with pytest.raises(RateLimited):
        async with open_attempt(setup.accounting, context, Target(MODEL, CostEstimate(400))):
            pytest.fail("entered")
    assert context.report.attempts == 2
    assert [state.in_flight for state in setup.accounting.pool.describe(time()) if state.in_flight] == []


@pytest.mark.row("A7")
@pytest.mark.parametrize("whole", [None, False])
async def test_a07_an_answer_without_googles_counts_has_the_estimated_tokens(
    setup: Setup, whole: bool | None
) -> None:
    context = setup.context(Rules(tokens_per_minute=100))
    for _ in range(2):
        async with open_attempt(setup.accounting, context, Target(MODEL, CostEstimate(160))) as attempt:
            if whole is not None:
                attempt.count(token_counts(USAGE), whole=whole)
    with pytest.raises(RateLimited):
        async with open_attempt(setup.accounting, context, Target(MODEL, CostEstimate(160))):
            pytest.fail("entered")

    assert [state.remaining for state in context.report.limits][:2] == [60, 20]


@pytest.mark.parametrize("error", [UpstreamError("x", upstream_status=503), UpstreamTimeout("late")])
async def test_a_call_without_an_answer_gives_the_tokens_back(setup: Setup, error: GatewayError) -> None:
    context = setup.context(Rules(tokens_per_minute=100))
    for _ in range(3):
        with pytest.raises(type(error)):
            async with open_attempt(setup.accounting, context, Target(MODEL, CostEstimate(160))):
                raise error

    assert [state.remaining for state in context.report.limits] == [60, 60, 60]


async def test_without_a_key_the_tokens_are_given_back(setup: Setup) -> None:
    context = setup.context(Rules(tokens_per_minute=100))
    with pytest.raises(GatewayError):
        async with open_attempt(setup.accounting, context, Target(MODEL, CostEstimate(400), project="gone")):
            pytest.fail("entered")
    async with open_attempt(setup.accounting, context, Target(MODEL, CostEstimate(400))):
        pass

    assert context.report.attempts == 1


async def test_a_model_that_the_key_may_not_use_is_not_asked(setup: Setup) -> None:
    with pytest.raises(Forbidden):
        async with open_attempt(setup.accounting, setup.context(Rules(models=("gemma-*",))), Target(MODEL)):
            pytest.fail("entered")

    assert setup.ledger.begun == []


async def test_an_error_inside_an_answer_that_was_passed_on_is_a_failure(setup: Setup) -> None:
    context, error = setup.context(), Forbidden("leaked", upstream_status=403)
    error.key_fault = "leaked"
    async with open_attempt(setup.accounting, context, Target(MODEL)) as attempt:
        attempt.answered(200)
        attempt.fail(error)

    (settlement,) = setup.ledger.settled
    assert (settlement.outcome, settlement.status) == ("error", 403)
    assert [update.reason for update in setup.learned] == ["leaked"]
    assert context.report.failures == ["permission_denied"]
