"""State of one call: what a second attempt shares with the first, and which streams are kept."""

from time import monotonic
from typing import Any

import pytest
from msgspec import structs

from gateway.errors import GatewayError, UpstreamError
from gateway.exchange.calls.accounting import CallAccounting
from gateway.exchange.calls.call_state import CallState
from gateway.exchange.calls.fallback import Choice, FallbackPlan, Translated
from gateway.exchange.context import RequestContext
from gateway.exchange.report import ExchangeReport
from gateway.gemini.call import GeminiCall
from gateway.gemini.capabilities import CapabilityTable
from gateway.gemini.events import Event, TextDelta
from gateway.gemini.turn_reader import TurnReader
from gateway.gemini.wire import Content, GenerateContentRequest, Part
from gateway.observability.statistics import Statistics
from gateway.policy.clients.access import Client
from gateway.policy.models.pricing import Prices
from gateway.policy.pool.keypool import KeyPool
from gateway.policy.pool.projects import PoolConfig, Project
from gateway.store.rate_counters import MemoryCounters

CALL = GeminiCall("m", GenerateContentRequest([Content([Part(text="hi")], "user")]))


async def no_model(_: str) -> Translated | None:
    return None


def state(*, cache: float = 0.0, own_key: bool = False, projects: str = "ab", **fields: object) -> CallState:
    client = Client("AQ.own", "f", "s") if own_key else Client("", "f", "key_1", "key_1")
    context = RequestContext("r", "POST", "/", monotonic(), ExchangeReport(), client=client, cache=cache)
    pool = KeyPool([Project(name, (f"AQ.{name}",)) for name in projects], PoolConfig())
    accounting = CallAccounting(pool, Prices("v", {}), CapabilityTable({}), Statistics(), MemoryCounters())
    choice = structs.replace(Choice(CALL, fallbacks=FallbackPlan(["n"], no_model, [])), **fields)
    return CallState(choice, context, accounting)


class Silent:
    """An encoder that writes nothing."""

    def encode(self, events: list[Event]) -> bytes:
        return b""

    def texts(self, index: int, texts: list[str]) -> bytes:
        return self.encode([TextDelta(index, text) for text in texts])

    def fail(self, error: GatewayError) -> bytes:
        return b""


def test_a_second_attempt_changes_nothing_of_the_first() -> None:
    first = state()
    first.target.tried.append("a")
    first.cache_key = b"k"
    hedge = first.beside()
    hedge.target.tried.append("b")
    hedge.remedies.append("thinking")
    hedge.failures.append(UpstreamError)

    assert (first.target.tried, first.remedies, first.failures, first.is_hedge) == (["a"], [], [], False)
    assert (hedge.target.tried, hedge.is_hedge, hedge.choice.fallbacks) == (["a", "b"], True, None)
    assert first.choice.fallbacks is not None
    assert (hedge.target.affinity, hedge.cache_key, hedge.call) == (first.target.affinity, b"k", CALL)


async def test_attempts_at_the_same_time_have_their_own_caches() -> None:
    class Use:
        call, project = CALL, ""

        def applied(self, call: GeminiCall, project: str) -> None:
            self.project = project

    class Caches:
        least = 0

        async def use(self, call: GeminiCall, context: RequestContext) -> Any:
            return Use()

    first = state()
    await first.localized("a", None, Caches())
    hedge = first.beside()
    await hedge.localized("b", None, Caches())

    uses: list[Any] = [first.prefix, hedge.prefix]
    assert [use.project for use in uses] == ["a", "b"]


def test_only_a_call_of_the_pool_belongs_to_a_conversation() -> None:
    assert len(state().target.affinity) == 16
    assert state(own_key=True).target.affinity == b""


def test_the_conversation_does_not_matter_to_a_pool_of_one_project() -> None:
    assert state(projects="a").target.affinity == b""


@pytest.mark.parametrize(
    ("cache", "cacheable", "wanted"), [(0.0, True, False), (60.0, True, True), (60.0, False, False)]
)
def test_a_kept_answer_is_looked_for_only_where_it_is_wanted(
    cache: float, cacheable: bool, wanted: bool
) -> None:
    assert bool(state(cache=cache, cacheable=cacheable).wanted_key) is wanted


def test_a_heavy_call_is_encoded_when_its_state_is_made() -> None:
    heavy = structs.replace(CALL, heavy=True, encoded=b"")
    state(call=heavy, own_key=True)

    assert heavy.encoded == CALL.encode()


def test_a_fallbacks_answer_has_the_fallbacks_name() -> None:
    current, first, second = state(), TurnReader(str), TurnReader(str)
    current.begin(first)
    current.is_fallback = True
    current.ask(structs.replace(CALL, model="n"))
    current.begin(second)

    assert (first.model, second.model) == (None, "n")


def test_output_frees_the_bytes_of_the_last_choice() -> None:
    for unsent, kept in ((2, True), (1, False)):
        attempt = state(call=GeminiCall("m", CALL.request))
        attempt.call.encode()
        attempt.report.unsent = unsent
        attempt.begin(TurnReader(lambda: "id"))
        attempt.begin_output()
        assert bool(attempt.call.encoded) is kept
        assert attempt.call.encode() == CALL.encode()
