"""The shipped prices, and those of the configuration."""

import re
from datetime import UTC, datetime
from fnmatch import fnmatchcase

import pytest

from gateway.config.capabilities import shipped
from gateway.config.model_table import model_table
from gateway.config.prices import prices, successors
from gateway.emulator.models import MODELS as NAMES
from gateway.gemini.capabilities import CapabilityTable
from gateway.policy.ledger import LedgerConfig
from gateway.policy.models.catalog import ModelsConfig
from gateway.policy.models.pricing import Price

CAPABILITIES = CapabilityTable(shipped())
MODELS = [
    *NAMES, "gemini-2.0-flash-preview-image-generation", "gemini-2.0-flash-exp-image-generation", "gemini-3.1-flash-lite-image",
    "gemini-3-pro-image-preview", "gemini-2.5-flash-image-preview", "gemini-nano-banana-2.1", "nano-banana-pro-preview",
    "gemini-2.5-pro-preview-tts", "gemini-2.5-flash-preview-tts", "gemini-2.5-flash-native-audio-latest", "gemini-3.8-live",
    "gemini-3.5-transcribe", "gemini-3.5-live-translate-preview", "gemini-omni-1.2-flash", "deep-research-pro-preview-12-2025",
    "gemini-2.5-computer-use-preview-10-2025", "gemini-robotics-er-2-preview", "gemini-exp-1206", "learnlm-2.0-flash",
    "gemini-4-carbon", "gemini-4-neon", "gemini-4-hydrogen", "gemini-3.1-flash-lite-preview", "gemini-2.5-flash-lite-preview",
    "imagen-4.0-generate-001", "imagen-4.0-fast-generate-001", "imagen-5", "text-embedding-004", "tunedModels/mine",
]  # fmt: skip
SHIPPED = model_table().prices
TODAY = datetime(2026, 11, 26, 12, tzinfo=UTC).timestamp()
PRICES = prices(LedgerConfig(), successors(ModelsConfig()))


def test_without_overrides_the_version_is_the_shipped_one() -> None:
    assert prices(LedgerConfig()).version == str(model_table().date)


def test_an_override_takes_precedence_and_marks_the_version() -> None:
    own = prices(LedgerConfig(prices={"gemini-2.5-flash": Price(input=7.0)}))

    assert own.of("gemini-2.5-flash", TODAY).input == 7.0
    assert own.of("gemini-2.5-pro", TODAY) == PRICES.of("gemini-2.5-pro", TODAY)
    assert own.version == f"{model_table().date}+own"


def test_an_override_of_a_shipped_pattern_goes_last() -> None:
    pattern, model = "gemini-3*flash*", "gemini-3-flash-preview"
    later = [p for p in SHIPPED if p != pattern]
    assert pattern in SHIPPED
    assert any(fnmatchcase(model, p) for p in later)

    assert prices(LedgerConfig(prices={pattern: Price(output=1.5)})).of(model, TODAY).output == 1.5


@pytest.mark.row("A7")
@pytest.mark.parametrize("pattern", SHIPPED)
def test_a07_a_price_of_nothing_is_written_down(pattern: str) -> None:
    rows = SHIPPED[pattern] if isinstance(SHIPPED[pattern], list) else [SHIPPED[pattern]]

    for row in rows:
        assert {"input", "output"} <= set(row)
        assert {"search", "grounded"} & set(row)


@pytest.mark.row("A7")
@pytest.mark.parametrize("model", MODELS)
def test_a07_no_model_that_google_bills_has_a_price_of_nothing(model: str) -> None:
    """Models without a row had that of imagen-ultra, whose input and searches cost nothing."""
    price = PRICES.of(model, TODAY)
    searching = price.search or price.grounded

    if model.startswith("gemma-"):
        assert price == Price(search=0)
    elif "embedding" in model:
        assert (price.input > 0, price.output) == (True, 0)
    elif "imagen" in model:
        assert (price.input, price.output > 15) == (0, True)
    else:
        assert min(price.input, price.output) > 0
        assert searching or re.search("tts|transcribe|live-translate", model)
        if "image" in CAPABILITIES.of(model).output:
            assert price.image_output is not None
            assert price.image_output >= 30


@pytest.mark.row("A7")
@pytest.mark.parametrize(
    "model",
    [
        "gemini-2.5-computer-use-preview-10-2025", "gemini-robotics-er-1.5-preview", "gemini-exp-1206", "gemini-ultra-latest",
        "learnlm-2.0-flash-experimental", "nano-banana-pro-preview", "tunedModels/mine", "gemini-5-flash", "gemini-6-pro-latest",
        "aqa", "veo-4", "lyria-3", "gemini-flash-exp", "gemini-pro-preview",
    ],
)  # fmt: skip
def test_a07_a_model_that_no_row_is_meant_for_costs_the_dearest_of_each_kind(model: str) -> None:
    price = PRICES.of(model, TODAY)

    assert price == PRICES.of("unknown", TODAY)
    assert (price.input, price.output, price.image_output, price.search, price.grounded) == (
        4,
        21,
        120,
        35,
        35,
    )


@pytest.mark.row("A7")
@pytest.mark.parametrize(
    ("model", "asked", "answered"),
    [
        ("gemini-flash-latest", 0.75, 3.75), ("gemini-flash-lite-latest", 0.3, 2.5), ("gemini-pro-latest", 2, 12),
        ("gemini-3.8-flash", 0.75, 3.75), ("gemini-3.5-flash", 1.5, 9), ("gemini-3.5-flash-lite", 0.3, 2.5),
        ("gemini-3.1-flash-lite", 0.25, 1.5), ("gemini-3.1-pro-preview-customtools", 2, 12), ("gemini-4-neon", 3, 15),
        ("gemini-3-flash-preview", 0.5, 3), ("gemini-2.5-flash", 0.3, 2.5), ("gemini-2.5-flash-lite", 0.1, 0.4),
        ("gemini-2.5-pro", 1.25, 10), ("gemini-2.5-pro-preview-tts", 1, 20), ("gemini-3.8-flash-lite-tts", 0.5, 6),
        ("gemini-3.1-flash-lite-image", 0.25, 1.5), ("gemini-3.1-flash-image", 0.5, 3), ("gemini-3-pro-image", 2, 12),
        ("gemini-omni-1.2-flash", 1.5, 9), ("gemini-embedding-2", 0.2, 0), ("imagen-4.0-ultra-generate-001", 0, 46.52),
        ("imagen-4.0-generate-001", 0, 31.01), ("imagen-4.0-fast-generate-001", 0, 15.51),
    ],
)  # fmt: skip
def test_a07_models_have_the_prices_that_google_publishes(model: str, asked: float, answered: float) -> None:
    price = PRICES.of(model, TODAY)

    assert (price.input, price.output) == (asked, answered)
