"""What attempts share: estimates of a call's cost, other keys of the pool, and a client's own limits."""

from time import time
from typing import Any

import pytest
from msgspec import structs

from gateway.errors import BadRequest, Forbidden, GatewayError, RateLimited
from gateway.exchange.calls.accounting import CallAccounting, Target, limit_reached
from gateway.exchange.context import dry_context
from gateway.gemini.call import GeminiCall
from gateway.gemini.capabilities import CapabilityTable
from gateway.gemini.wire import (
    Content,
    GenerateContentRequest,
    GenerationConfig,
    Part,
    SafetySetting,
    ToolConfig,
    encode_json,
)
from gateway.observability.statistics import Statistics
from gateway.policy.clients.access import Client
from gateway.policy.clients.client_rules import Rules
from gateway.policy.clients.rate_limits import Taken, Window
from gateway.policy.models.pricing import Prices
from gateway.policy.pool.keypool import KeyPool
from gateway.policy.pool.projects import PoolConfig, Project
from gateway.store.rate_counters import MemoryCounters

MODEL = "gemini-2.5-flash"
ISSUED = Client("", "f", "key_1", "key_1")
OWN = Client("AQ.own", "f", "s")


@pytest.fixture
def accounting() -> CallAccounting:
    pool = KeyPool([Project("a", ("AQ.a",)), Project("b", ("AQ.b",))], PoolConfig())
    return CallAccounting(pool, Prices("v", {}), CapabilityTable({}), Statistics(), MemoryCounters())


def big_call(**config: Any) -> GeminiCall:
    settings = GenerationConfig(**config)
    request = GenerateContentRequest([Content([Part(text="x" * 4000)], "user")], generation_config=settings)
    return GeminiCall(MODEL, request)


@pytest.mark.parametrize(
    ("rules", "known"),
    [(Rules(), False), (Rules(tokens_per_minute=5), True), (Rules(tokens_per_day=5), True),
     (Rules(dollars={"day": 1.0}), True), (Rules(tokens={"day": 5}), True), (Rules(requests_per_day=5), False)],
)  # fmt: skip
def test_a_cost_is_estimated_only_where_something_depends_on_it(
    accounting: CallAccounting, rules: Rules, known: bool
) -> None:
    estimate = accounting.estimate(big_call(), Client("", "f", "k", "k", rules))

    assert (1000 <= estimate.prompt <= 1020) is known
    assert accounting.estimate(big_call(), OWN).prompt == 0


def test_settings_are_no_prompt_and_the_clients_limit_is_the_most(accounting: CallAccounting) -> None:
    client = Client("", "f", "k", "k", Rules(tokens_per_minute=5))
    schema = {"type": "object", "description": "y" * 5000}
    small = accounting.estimate(big_call(), client)
    large = accounting.estimate(big_call(response_json_schema=schema, max_output_tokens=9), client)

    assert large.prompt == small.prompt
    assert (small.output, large.output) == (65_536, 9)
    assert large.most.prompt >= 2 * large.prompt - 1


@pytest.mark.parametrize(
    "others",
    [{}, {"labels": {"a": "b"}}, {"store": False}, {"service_tier": "flex"}, {"cached_content": "cachedContents/a"},
     {"continuation_token": "t"}, {"tool_config": ToolConfig()}, {"generation_config": None},
     {"safety_settings": [SafetySetting("HARM_CATEGORY_HARASSMENT", "OFF")]}],
)  # fmt: skip
def test_no_setting_is_a_part_of_the_prompt(accounting: CallAccounting, others: dict[str, Any]) -> None:
    call = big_call(max_output_tokens=9)
    client = Client("", "f", "k", "k", Rules(tokens_per_minute=5))
    with_others = call.with_request(structs.replace(call.request, **others))

    assert accounting.estimate(with_others, client).bytes == accounting.estimate(call, client).bytes
    body = GenerateContentRequest([], generation_config=call.request.generation_config)
    assert accounting.estimate(call, client).bytes == len(call.encode()) - len(encode_json(body))


@pytest.mark.parametrize(("seconds", "per"), [(60, "minute"), (86_400, "day")])
@pytest.mark.parametrize(("wait", "should_retry"), [(30.0, None), (61.0, False)])
def test_a_limit_names_itself(seconds: int, per: str, wait: float, should_retry: bool | None) -> None:
    window = Window("tokens", 7, seconds)
    error = limit_reached(window, Taken((), window, wait, 5, 4))

    assert error.message == f"Rate limit reached for this API key: 7 tokens per {per}."
    assert (error.type, error.retry_after, error.should_retry) == ("tokens", wait, should_retry)
    assert error.refused_by == f"tokens_per_{per} 5/7 +4"


def limited() -> RateLimited:
    return RateLimited("Resource has been exhausted", upstream_status=429)


def test_a_limited_key_leaves_the_others(accounting: CallAccounting) -> None:
    error = limited()

    assert accounting.probe_pool(error, ISSUED, Target(MODEL)) == (True, error)
    assert [state.in_flight for state in accounting.pool.describe(time()) if state.in_flight] == []


@pytest.mark.parametrize(
    ("client", "error"),
    [
        (OWN, limited()),
        (ISSUED, BadRequest("no", upstream_status=400)),
        (ISSUED, RateLimited("the client's own limit")),
    ],
    ids=["own key", "no fault of the key", "own limit"],
)
def test_where_no_key_is_at_fault_the_error_is_the_clients(
    accounting: CallAccounting, client: Client, error: GatewayError
) -> None:
    assert accounting.probe_pool(error, client, Target(MODEL)) == (False, error)


def test_without_another_key_the_pools_error_replaces_googles(accounting: CallAccounting) -> None:
    refused = Forbidden("API key AQ.a is suspended", upstream_status=403)
    refused.key_fault = "suspended"
    elsewhere, error = accounting.probe_pool(refused, ISSUED, Target(MODEL, project="gone"))

    assert not elsewhere
    assert error is not refused
    assert "suspended" not in error.message


@pytest.mark.row("A16")
@pytest.mark.parametrize(
    ("client", "calls", "remaining"),
    [
        (Client("", "f", "k", "k", Rules(requests_per_minute=9)), 5, [5]),
        (Client("", "f", "k", "k", Rules(requests_per_minute=9, requests_per_day=20)), 5, [5, 16]),
        (Client("", "f", "k", "k", Rules(requests_per_minute=9)), 1, []),
        (Client("", "f", "k", "k"), 5, []),
        (OWN, 5, []),
    ],
)
async def test_a16_the_first_call_is_the_request_and_the_others_are_counted(
    accounting: CallAccounting, client: Client, calls: int, remaining: list[int]
) -> None:
    context = dry_context(client)
    await accounting.take_calls(context, calls)

    assert [state.remaining for state in context.report.limits] == remaining


@pytest.mark.row("A16")
async def test_a16_a_request_that_can_never_fit_is_not_to_be_tried_again(accounting: CallAccounting) -> None:
    client = Client("", "f", "k", "k", Rules(requests_per_minute=9))
    with pytest.raises(RateLimited, match="9 requests per minute") as caught:
        await accounting.take_calls(dry_context(client), 11)

    assert caught.value.message.endswith("9 requests per minute. This request needs 11.")
    assert caught.value.should_retry is False
