"""The cost of a million tokens of each kind equals Google's price list, on each day."""

from datetime import UTC, datetime

import pytest

from gateway.config.prices import prices, successors
from gateway.gemini.usage import TokenCounts
from gateway.policy.ledger import LedgerConfig
from gateway.policy.models.catalog import ModelsConfig

pytestmark = [pytest.mark.row("M1"), pytest.mark.row("M3")]
PRICES = prices(LedgerConfig(), successors(ModelsConfig()))
DAYS = {
    "today": datetime(2026, 11, 26, 12, tzinfo=UTC).timestamp(),
    "december": datetime(2026, 12, 2, tzinfo=UTC).timestamp(),
    "january": datetime(2027, 1, 2, tzinfo=UTC).timestamp(),
}
CALL = 100_000
"""Tokens of a call, below the size from which long prompts are dearer."""
KINDS = {
    "in": TokenCounts(prompt=CALL),
    "cached": TokenCounts(prompt=CALL, cached=CALL),
    "audio": TokenCounts(prompt=CALL, prompt_audio=CALL),
    "image": TokenCounts(prompt=CALL, prompt_image=CALL),
    "video": TokenCounts(prompt=CALL, prompt_video=CALL),
    "out": TokenCounts(completion=CALL),
    "thoughts": TokenCounts(thoughts=CALL),
    "image out": TokenCounts(completion=CALL, completion_image=CALL),
    "audio out": TokenCounts(completion=CALL, completion_audio=CALL),
    "video out": TokenCounts(completion=CALL, completion_video=CALL),
    "long in": TokenCounts(prompt=10 * CALL),
    "long cached": TokenCounts(prompt=10 * CALL, cached=10 * CALL),
}
_Row = dict[str, float]


def text(asked: float, cached: float | None, answered: float, **others: float) -> _Row:
    row = {"in": asked, "out": answered, "thoughts": answered}
    if cached is not None:
        row["cached"] = cached
    return row | {name.replace("_", " "): price for name, price in others.items()}


ARGON, ARGON_DECEMBER = text(2, 0.1, 10), text(4, 0.2, 20)
FLASH, FLASH_JANUARY = text(0.75, 0.075, 3.75), text(1.5, 0.15, 7.5)
LITE = text(0.3, 0.03, 2.5, audio=0.3)
PRO = text(2, 0.2, 12, long_in=4, long_cached=0.4)
TABLE: dict[str, tuple[_Row, _Row, _Row]] = {
    "gemini-4-argon": (ARGON, ARGON_DECEMBER, ARGON_DECEMBER),
    "gemini-4-carbon": (ARGON, ARGON_DECEMBER, ARGON_DECEMBER),
    "gemini-4-neon": (text(3, 0.15, 15),) * 3,
    "gemini-4-hydrogen": (text(1.5, 0.075, 7.5),) * 3,
    "gemini-3.8-flash": (FLASH, FLASH, FLASH_JANUARY),
    "gemini-3.7-flash": (FLASH, FLASH, FLASH_JANUARY),  # answered by gemini-3.8-flash
    "gemini-3.6-flash": (FLASH,) * 3,
    "gemini-3.5-flash": (text(1.5, 0.15, 9),) * 3,  # answered by gemini-3.6-flash; what is billed is not published
    "gemini-3.5-flash-lite": (LITE,) * 3,
    "gemini-3.1-flash-lite": (text(0.25, 0.025, 1.5, audio=0.5),) * 3,
    "gemini-3-flash-preview": (text(0.5, 0.05, 3, audio=1),) * 3,
    "gemini-3.1-pro-preview": (PRO,) * 3,
    "gemini-3.1-pro-preview-customtools": (PRO,) * 3,
    "gemini-2.5-pro": (text(1.25, 0.125, 10, long_in=2.5), FLASH | {"long in": 0.75}, FLASH_JANUARY | {"long in": 1.5}),
    "gemini-2.5-flash": (text(0.3, 0.03, 2.5, audio=1), LITE, LITE),
    "gemini-2.5-flash-lite": (text(0.1, 0.01, 0.4, audio=0.3),) * 3,
    "gemini-flash-latest": (FLASH, FLASH, FLASH_JANUARY),
    "gemini-flash-lite-latest": (LITE,) * 3,
    "gemini-pro-latest": (PRO,) * 3,
    "gemini-robotics-er-2-preview": (text(1, 0.1, 5),) * 3,
    "gemma-4-31b-it": (text(0, 0, 0),) * 3,
    "gemini-nano-banana-2.1": (text(1.5, None, 7.5, image_out=30),) * 3,
    "gemini-3.1-flash-image": (text(0.5, None, 3, image_out=60),) * 3,
    "gemini-3.1-flash-lite-image": (text(0.25, None, 1.5, image_out=30),) * 3,
    "gemini-3-pro-image": (text(2, None, 12, image_out=120),) * 3,
    "gemini-2.5-flash-image": (text(0.3, None, 2.5, image_out=30),) * 3,
    "gemini-3.8-flash-tts": ({"in": 0.5, "audio out": 9},) * 3,
    "gemini-3.8-flash-lite-tts": ({"in": 0.5, "audio out": 6},) * 3,
    "gemini-3.5-transcribe": (text(2, None, 12),) * 3,
    "gemini-3.5-transcribe-live": (text(3.5, None, 21),) * 3,
    "gemini-3.5-live-translate-preview": (text(3.5, None, 21),) * 3,
    "gemini-3.8-live": (text(0.75, None, 4.5, audio=3, image=1, audio_out=12),) * 3,
    "gemini-3.8-live-extended-thinking": (text(0.75, None, 4.5, audio=3, image=1, audio_out=12),) * 3,
    "gemini-omni-1.2-flash": (text(1.5, None, 9, video_out=12),) * 3,
    "gemini-embedding-2": ({"in": 0.2, "image": 0.45, "audio": 6.5, "video": 12},) * 3,
    "gemini-embedding-001": ({"in": 0.15},) * 3,
    "deep-research-pro-preview-04-2026": (text(2, None, 12),) * 3,
}  # fmt: skip
"""Dollars for a million tokens today, on 2026-12-02 and on 2027-01-02, copied by hand from Google's pages of that day
(https://ai.google.dev/gemini-api/docs/pricing, .../changelog, .../deprecations)."""


@pytest.mark.parametrize("day", DAYS)
@pytest.mark.parametrize("model", TABLE)
def test_m03_a_million_tokens_of_each_kind_cost_what_google_publishes(model: str, day: str) -> None:
    row, at = TABLE[model][list(DAYS).index(day)], DAYS[day]
    costs = {
        kind: PRICES.micros(model, KINDS[kind], at) * (1 if kind.startswith("long") else 10) for kind in row
    }

    assert costs == {kind: round(1e6 * price) for kind, price in row.items()}


@pytest.mark.parametrize("day", DAYS)
@pytest.mark.parametrize(
    ("model", "micros"),
    [("gemini-3.8-flash", 14_000), ("gemini-4-argon", 14_000), ("gemini-2.5-flash-lite", 35_000), ("lyria-3.5", 0)],
)  # fmt: skip
def test_m03_searches_are_billed_beside_the_tokens(model: str, micros: int, day: str) -> None:
    assert PRICES.micros(model, TokenCounts(searches=1), DAYS[day]) == micros


def test_m01_an_image_of_flash_lite_image_costs_34199_micros() -> None:
    spent = TokenCounts(prompt=5, completion=1518, completion_image=1120)

    assert PRICES.micros("gemini-3.1-flash-lite-image", spent, DAYS["today"]) == 34_199


def test_m03_songs_are_paid_by_the_piece() -> None:
    song = TokenCounts(prompt=20, completion=500, items=1)

    assert PRICES.micros("lyria-3.5", song, DAYS["today"]) == 80_000
    assert PRICES.micros("lyria-3.5-clip", song, DAYS["today"]) == 40_000
    assert PRICES.micros("lyria-3.5", TokenCounts(prompt=20, completion=500), DAYS["today"]) == 80_000


def test_m01_a_new_model_costs_the_dearest_of_each_kind() -> None:
    new, at = "gemini-5-krypton", DAYS["today"]
    costs = {kind: PRICES.micros(new, spent, at) for kind, spent in KINDS.items()}

    for model, rows in TABLE.items():
        for day in DAYS.values():
            assert all(PRICES.micros(model, KINDS[kind], day) <= costs[kind] for kind in rows[0]), model
    assert PRICES.micros(new, TokenCounts(searches=1), at) == 35_000 + 35_000
