"""When a second attempt is made, and how often."""

import pytest

from gateway.gemini.call import GeminiCall
from gateway.gemini.wire import GenerateContentRequest, GenerationConfig, Tool
from gateway.policy.hedging import Hedge, HedgeConfig, may_be_doubled

MODEL = "gemini-2.5-flash"


def test_the_delay_is_learnt_and_bounded() -> None:
    hedge = Hedge(HedgeConfig(share=0.1, soonest=2, latest=10))
    assert hedge.delay(MODEL, streamed=True) == 10
    for tenths in range(100):
        hedge.observe(MODEL, tenths / 10, streamed=True)

    assert hedge.delay(MODEL, streamed=True) == 9.5
    assert hedge.delay(MODEL, streamed=False) == 10
    for _ in range(128):
        hedge.observe(MODEL, 0.1, streamed=True)
    assert hedge.delay(MODEL, streamed=True) == 2
    for _ in range(128):
        hedge.observe(MODEL, 99, streamed=True)
    assert hedge.delay(MODEL, streamed=True) == 10


def test_hedges_are_a_share_of_all_calls() -> None:
    hedge = Hedge(HedgeConfig(share=0.05))
    assert not hedge.spend()
    for _ in range(100):
        hedge.observe(MODEL, 1, streamed=False)

    assert [hedge.spend() for _ in range(6)].count(True) in (4, 5)  # a float's sum of a hundred twentieths
    for _ in range(10_000):
        hedge.observe(MODEL, 1, streamed=False)
    assert sum(hedge.spend() for _ in range(50)) <= 10


def test_a_thousand_models_are_remembered() -> None:
    hedge = Hedge(HedgeConfig(share=0.05))
    for i in range(1001):
        for _ in range(20):
            hedge.observe(f"gemini-{i}", 5, streamed=False)

    assert [hedge.delay(f"gemini-{i}", streamed=False) for i in (0, 1)] == [30, 5]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (GenerateContentRequest([]), True),
        (GenerateContentRequest([], tools=[Tool(function_declarations=[])]), True),
        (GenerateContentRequest([], tools=[Tool(google_search={})]), False),
        (GenerateContentRequest([], tools=[Tool(function_declarations=[]), Tool(code_execution={})]), False),
        (
            GenerateContentRequest([], generation_config=GenerationConfig(response_modalities=["IMAGE"])),
            False,
        ),
        (GenerateContentRequest([], generation_config=GenerationConfig(temperature=0)), True),
    ],
)
def test_calls_that_are_billed_each_are_never_doubled(
    request_: GenerateContentRequest, expected: bool
) -> None:
    assert may_be_doubled(GeminiCall(MODEL, request_)) is expected


def test_contradicting_bounds_are_refused() -> None:
    with pytest.raises(ValueError, match="must not be greater"):
        HedgeConfig(soonest=31)


def test_it_is_off_by_default_and_both_bounds_may_be_equal() -> None:
    assert HedgeConfig() == HedgeConfig(share=0.0, soonest=1.0, latest=30.0)
    assert not Hedge(HedgeConfig())
    assert Hedge(HedgeConfig(share=0.01, soonest=5, latest=5))


def test_two_calls_earn_one_hedge_at_a_share_of_a_half() -> None:
    hedge = Hedge(HedgeConfig(share=0.5))
    for _ in range(2):
        hedge.observe(MODEL, 1, streamed=False)

    assert [hedge.spend(), hedge.spend()] == [True, False]
