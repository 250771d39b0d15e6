"""Prices of models and costs of calls."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.gemini.usage import TokenCounts, token_counts
from gateway.gemini.wire import ModalityTokens, UsageMetadata
from gateway.policy.models.pricing import Factors, Price, Prices, Tier, price_rows
from gateway.policy.models.successors import Successor, Successors

ROW = Price(
    1, 4, cached=0.1, audio=3, image_output=10, over=2_000_000, input_over=3, output_over=9, search=14, grounded=35
)  # fmt: skip


@pytest.mark.parametrize(
    ("spent", "micros"),
    [
        (TokenCounts(prompt=1_000_000), 1_000_000), (TokenCounts(completion=1_000_000), 4_000_000), (TokenCounts(), 0),
        (TokenCounts(thoughts=1), 4), (TokenCounts(prompt=10, cached=10), 1), (TokenCounts(prompt=10, prompt_audio=4), 18),
        (TokenCounts(prompt=2_000_001), 6_000_003), (TokenCounts(prompt=2_000_001, completion=1), 6_000_012),
        (TokenCounts(completion=10, completion_image=4), 24 + 40), (TokenCounts(tool_use=3), 3),
        (TokenCounts(searches=2), 2 * 14_000 + 35_000), (TokenCounts(prompt=2_000_000), 2_000_000),
        (TokenCounts(prompt=10, cached=8, prompt_audio=6), 7), (TokenCounts(prompt=10, cached=4, tool_use=2), 9),
        (TokenCounts(completion=3, completion_image=9, thoughts=1), 34),
    ],
)  # fmt: skip
def test_cost_of_a_call(spent: TokenCounts, micros: int) -> None:
    assert Prices("v", {"gemini-*": ROW}).micros("gemini-x", spent, 0) == micros


def test_cached_tokens_of_a_long_prompt_have_their_own_price() -> None:
    long, short = TokenCounts(prompt=1001, cached=1001), TokenCounts(prompt=1000, cached=1000)
    row = Price(1, 4, cached=0.1, over=1000, input_over=3, cached_over=0.5)

    assert [Prices("v", {"*": row}).micros("m", spent, 0) for spent in (long, short)] == [501, 100]
    row = Price(1, 4, cached=0.1, over=1000, input_over=3)
    assert Prices("v", {"*": row}).micros("m", long, 0) == 101
    assert Prices("v", {"*": Price(1, 4, over=1000, input_over=3)}).micros("m", long, 0) == 3003


def test_without_prices_calls_are_free() -> None:
    assert Prices("v", {}).micros("m", TokenCounts(prompt=9, completion=9, searches=1), 0) == 0


def test_the_last_matching_pattern_applies() -> None:
    prices = Prices("v", {"gemini-*": Price(1, 1), "gemini-3-*": Price(2, 2)})

    assert [prices.of(model, 0).output for model in ("gemini-2.5-pro", "gemini-3-pro")] == [1, 2]


def test_an_unknown_model_has_the_highest_price() -> None:
    prices = Prices("v", {"cheap": Price(1, 1), "dear*": Price(5, 9), "dearest": Price(5, 10)})

    assert [prices.of(name, 0).output for name in ("cheap", "dearer", "dearest", "unknown")] == [1, 9, 10, 10]


@pytest.mark.row("A7")
def test_a07_an_unknown_model_has_the_highest_price_of_each_kind() -> None:
    rows = {
        "text": Price(3, 9, cached=0.5, search=14, over=200, input_over=4, cached_over=0.9),
        "old": Price(1, 8, audio=7, grounded=35, over=100, output_over=18),
        "tts": Price(2, 20),
        "drawing": Price(1, 2, image_output=120),
        "by the picture": Price(0, 500),
        "free": Price(),
    }

    assert Prices("v", rows).of("unknown", 0) == Price(
        3, 20, cached=2, audio=7, image_output=120, search=14, grounded=35,
        over=100, input_over=4, output_over=20, cached_over=2,
    )  # fmt: skip
    assert Prices("v", {"by the picture": Price(0, 500)}).of("unknown", 0).output == 500


_DOLLARS = st.floats(0.01, 100)


@pytest.mark.row("A7")
@given(
    st.lists(
        st.builds(
            Price, _DOLLARS, _DOLLARS, cached=st.none() | _DOLLARS, audio=st.none() | _DOLLARS,
            image_output=st.none() | _DOLLARS, search=st.none() | _DOLLARS, grounded=st.none() | _DOLLARS,
            over=st.none() | st.integers(1, 100), input_over=st.none() | _DOLLARS, output_over=st.none() | _DOLLARS,
            cached_over=st.none() | _DOLLARS,
        ),
        min_size=1, max_size=5,
    ),
    st.integers(0, 200), st.integers(0, 200), st.integers(0, 50), st.integers(0, 50), st.integers(0, 2),
)  # fmt: skip
def test_a07_no_row_makes_a_call_dearer_than_the_price_of_an_unknown_model(
    rows: list[Price], prompt: int, completion: int, cached: int, audio: int, searches: int
) -> None:
    spent = TokenCounts(
        prompt=prompt, completion=completion, cached=min(cached, prompt), prompt_audio=min(audio, prompt),
        completion_image=completion // 3, searches=searches,
    )  # fmt: skip
    prices = Prices("v", {f"m{i}": row for i, row in enumerate(rows)})

    for i in range(len(rows)):
        assert prices.micros(f"m{i}", spent, 0) <= prices.micros("unknown", spent, 0)
        assert prices.ceiling(f"m{i}", spent, 0) <= prices.ceiling("unknown", spent, 0)


@given(st.lists(st.tuples(*[st.one_of(st.none(), st.integers(-(2**70), 2**70))] * 5), max_size=20))
def test_no_usage_lowers_a_total_or_a_cost(calls: list[tuple[int | None, ...]]) -> None:
    prices = Prices("v", {"*": Price(input=1, output=2, cached=0.1, audio=3)})
    tokens, micros = [0], [0]
    for prompt, completion, thoughts, cached, audio in calls:
        details = [ModalityTokens("AUDIO", audio or 0), ModalityTokens(4, 3)]
        spent = token_counts(UsageMetadata(prompt, completion, thoughts, None, cached, None, details))
        tokens.append(tokens[-1] + spent.total)
        micros.append(micros[-1] + prices.micros("x", spent, 0))

    assert tokens == sorted(tokens)
    assert micros == sorted(micros)


def test_an_invalid_row_is_reported_with_its_pattern() -> None:
    assert price_rows({"gemini-*": {"input": 1, "output": 2}}) == {"gemini-*": (Price(1, 2),)}
    with pytest.raises(ValueError, match=r"gemini-\*: .*outptu"):
        price_rows({"gemini-*": {"outptu": 2}})


@pytest.mark.row("A7")
@pytest.mark.parametrize(
    ("price", "most", "micros"),
    [
        (Price(input=1, output=2), TokenCounts(prompt=10, completion=5), 20),
        (Price(input=1, output=2, audio=3), TokenCounts(prompt=10, completion=5), 20),
        (Price(input=1, output=2, audio=3), TokenCounts(prompt=10, completion=5, prompt_audio=10), 40),
        (Price(input=1, output=2, image_output=30), TokenCounts(prompt=10, completion=5), 160),
        (Price(input=1, output=2, over=9, input_over=2, output_over=4), TokenCounts(prompt=10, completion=5), 40),
        (Price(input=1, output=2, search=14), TokenCounts(prompt=1, searches=2), 28_001),
        (Price(input=1, output=2, grounded=35), TokenCounts(prompt=1, searches=2), 35_001),
        (Price(input=1, output=2, grounded=35, maps=25), TokenCounts(prompt=1, searches=2), 60_001),
        (Price(input=1, output=2, search=14, maps=25), TokenCounts(prompt=1, searches=2), 39_001),
    ],
)  # fmt: skip
def test_a07_a_ceiling_prices_each_token_as_the_dearest_of_its_kind(
    price: Price, most: TokenCounts, micros: int
) -> None:
    assert Prices("v", {"*": price}).ceiling("m", most, 0) == micros


@pytest.mark.row("A7", "S27")
@given(
    st.builds(Price, input=st.floats(0, 100), output=st.floats(0, 100), audio=st.floats(0, 100) | st.none(), cached=st.floats(0, 1)),
    st.integers(0, 2**20), st.integers(0, 2**17), st.integers(0, 2**20), st.integers(0, 2**20),
)  # fmt: skip
def test_a07_no_call_within_its_bounds_costs_more_than_the_ceiling(
    price: Price, prompt: int, completion: int, audio: int, cached: int
) -> None:
    prices = Prices("v", {"*": structs.replace(price, cached=(price.cached or 0) * price.input)})
    spent = TokenCounts(
        prompt=prompt, completion=completion, prompt_audio=min(audio, prompt), cached=min(cached, prompt)
    )

    assert prices.micros("m", spent, 0) <= prices.ceiling(
        "m", TokenCounts(prompt=prompt, completion=completion, prompt_audio=prompt), 0
    )


DAY = 86_400.0


@pytest.mark.row("M3")
def test_m03_the_row_whose_day_has_come_applies() -> None:
    dated = (Price(1), Price(2, since=date(1970, 1, 2)), Price(3, since=date(1970, 1, 4)))
    prices = Prices(
        "v", {"gemini-*": Price(9), "gemini-x": dated, "gemini-y": Price(5, since=date(1970, 1, 3))}
    )

    assert [prices.of("gemini-x", at).input for at in (0, DAY - 1, DAY, 3 * DAY)] == [1, 1, 2, 3]
    assert [prices.of("gemini-y", at).input for at in (0, 2 * DAY)] == [9, 5]
    assert prices.of("unknown", 0).input == 9


@pytest.mark.row("M3")
@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ([], "at least one"), ([{}, {}], "needs `from`"), ([{"from": "2027-01-02"}, {"from": "2027-01-02"}], "not later"),
        ([{"from": "soon"}], "gemini-x: Invalid"), ([{}, {"from": "2027-01-01", "outptu": 2}], "gemini-x: .*outptu"),
    ],
)  # fmt: skip
def test_m03_days_that_are_not_in_order_are_faults(rows: list[dict[str, object]], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        price_rows({"gemini-x": rows})


@pytest.mark.row("M3")
@pytest.mark.parametrize(
    ("tier", "micros"), [("standard", 14_040), ("batch", 14_020), ("flex", 14_020), ("priority", 14_072)]
)
def test_m03_tiers_of_service_have_factors_but_searches_cost_the_same(tier: Tier, micros: int) -> None:
    spent = TokenCounts(prompt=20, completion=5, searches=1)

    assert Prices("v", {"*": Price(1, 4, search=14)}).micros("m", spent, 0, tier=tier) == micros


@pytest.mark.row("M3")
def test_m03_a_row_may_state_its_own_factors() -> None:
    price = Price(1, factors=Factors(batch=0.25, priority=3))
    prices = Prices("v", {"*": price})

    tiers: tuple[Tier, ...] = ("batch", "flex", "priority")
    assert [prices.micros("m", TokenCounts(prompt=100), 0, tier=tier) for tier in tiers] == [25, 50, 300]


@pytest.mark.row("M3")
def test_m03_each_kind_of_input_and_output_has_its_price() -> None:
    price = Price(
        1,
        2,
        cached=0.5,
        audio=3,
        image_input=4,
        video_input=5,
        image_output=6,
        audio_output=7,
        video_output=8,
    )
    spent = TokenCounts(
        prompt=1000, cached=300, prompt_audio=100, prompt_image=100, prompt_video=100, completion=1000,
        completion_image=100, completion_audio=100, completion_video=100, thoughts=10,
    )  # fmt: skip

    asked = 300 * 0.5 + 100 * (3 + 4 + 5) + 400
    assert Prices("v", {"*": price}).micros("m", spent, 0) == asked + 100 * (6 + 7 + 8) + 710 * 2


@pytest.mark.row("M3")
def test_m03_pieces_and_seconds_are_paid_beside_the_tokens() -> None:
    song, video = Prices("v", {"*": Price(item=0.04)}), Prices("v", {"*": Price(second=0.4)})
    both = Prices("v", {"*": Price(1, 2, item=0.04)})

    assert song.micros("m", TokenCounts(items=2), 0) == 80_000
    assert video.micros("m", TokenCounts(seconds=5), 0) == 2_000_000
    assert song.micros("m", TokenCounts(), 0) == 0
    # of what is paid by the piece alone, an answer without a count has one; a video as long as it may be
    assert song.micros("m", TokenCounts(prompt=1), 0) == 40_000
    assert video.ceiling("m", TokenCounts(prompt=1), 0) == 3_200_000
    assert both.micros("m", TokenCounts(prompt=1), 0) == 1


@pytest.mark.row("M2")
def test_m02_the_price_is_that_of_the_model_that_answers() -> None:
    rows = {"gemini-old": Price(5), "gemini-kept": Price(7), "gemini-new": Price(1), "gemini-mid": Price(3)}
    table = {
        "gemini-old": Successor("gemini-new", date(1970, 1, 2)),
        "gemini-kept": Successor("gemini-new", own_price=True),
    }
    prices = Prices("v", rows, successors=Successors(table))
    spent = TokenCounts(prompt=1)

    assert [prices.micros("gemini-old", spent, at) for at in (0, DAY)] == [5, 1]
    assert prices.micros("gemini-kept", spent, 0, "gemini-new") == 7
    assert prices.micros("gemini-old", spent, 0, "models/gemini-mid") == 3  # as the answer says
    assert prices.micros("gemini-old", spent, DAY, "gemini-old") == 1  # the name stays, the model does not
    assert prices.micros("gemini-old", spent, 0, "m") == 5
    assert prices.micros("gemini-old", spent, 0, "gemini-unheard-of") == 7  # the dearest
    prices.successors.answered("gemini-old", "gemini-mid")
    assert prices.micros("gemini-old", spent, DAY) == 3
    # before the call nobody knows who answers: the dearest is reserved
    assert [prices.ceiling("gemini-old", spent, at) for at in (0, DAY)] == [5, 5]
    assert prices.ceiling("gemini-kept", spent, 0) == 7


@pytest.mark.row("M2")
def test_m02_a_price_of_the_operators_for_a_name_is_kept() -> None:
    table = Successors({"gemini-old": Successor("gemini-new")})
    prices = Prices("v", {"gemini-*": Price(1)}, {"gemini-old": Price(2)}, table)

    assert prices.micros("gemini-old", TokenCounts(prompt=1), 0, "gemini-new") == 2
    assert prices.ceiling("gemini-old", TokenCounts(prompt=1), 0) == 2


@pytest.mark.row("A7")
def test_a07_an_alias_reserves_what_the_models_behind_it_cost() -> None:
    rows = {
        "gemini-3": Price(input=1, output=2),
        "gemini-pictures": Price(input=1, output=2, image_output=120),
    }
    successors = Successors({"gemini-flash-latest": Successor("gemini-3")})
    prices = Prices("v", rows, successors=successors)
    most = TokenCounts(prompt=10, completion=1000)

    assert prices.ceiling("gemini-flash-latest", most, 0) == prices.ceiling("gemini-3", most, 0) == 2010
    assert prices.ceiling("gemini-new", most, 0) == 120_010, "a name of which nothing is known"
    successors.answered("gemini-flash-latest", "gemini-pictures")
    assert prices.ceiling("gemini-flash-latest", most, 0) == 120_010, "what an answer has named counts, too"


FLASH = Price(input=0.3, cached=0.03, audio=1, output=2.5, grounded=35, maps=25)


@pytest.mark.parametrize(
    ("price", "counts", "micros"),
    [
        (FLASH, TokenCounts(prompt=1000, prompt_audio=1000), 1000),
        (FLASH, TokenCounts(prompt=1000, prompt_audio=1000, cached=400, cached_audio=400), 640),
        (FLASH, TokenCounts(prompt=1000, prompt_audio=1000, cached=400), 612),  # of unknown kind
        (structs.replace(FLASH, cached_audio=0.5), TokenCounts(prompt=1000, prompt_audio=800, cached=600, cached_audio=500), 583),
        (Price(input=1, output=1), TokenCounts(prompt=10, prompt_audio=10, cached=10, cached_audio=10), 10),
        (FLASH, TokenCounts(maps=1), 25_000),
        (FLASH, TokenCounts(maps=1, searches=3), 60_000),
        (Price(input=1, output=1, search=14), TokenCounts(maps=2, searches=1), 42_000),
        (Price(input=1, output=1, grounded=35), TokenCounts(maps=1, searches=2), 35_000),
    ],
)  # fmt: skip
def test_cached_sound_and_maps_have_prices(price: Price, counts: TokenCounts, micros: int) -> None:
    assert Prices("v", {"*": price}).micros("m", counts, 0) == micros
