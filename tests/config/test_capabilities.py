"""The capability table: order of patterns, defaults for unknown names, overrides."""

import pytest

from gateway.config.capabilities import capability_table, shipped
from gateway.config.source import Source
from gateway.errors import ConfigError
from gateway.gemini.capabilities import Capabilities, CapabilityTable

TABLE = CapabilityTable(shipped())


@pytest.mark.parametrize("model", ["gemini-9-ultra", "something-else", "gemini-flash-latest", "gemini-4.2-x"])
def test_an_unknown_name_gets_the_newest_rules(model: str) -> None:
    result = TABLE.of(model)

    assert (result.thinking, result.signatures, result.prefill, result.penalties, result.logprobs) == (
        "level", True, False, False, False,
    )  # fmt: skip
    assert "minimal" not in result.levels


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (
            "gemini-2.5-pro",
            {"thinking": "budget", "budget": (128, 32768), "thinking_off": False, "signatures": False},
        ),
        ("gemini-2.5-flash-lite", {"budget": (512, 24576), "thinking_off": True, "json_with_tools": False}),
        ("gemini-2.5-flash-image", {"thinking": "none", "json_mode": False, "output": ("text", "image")}),
        ("gemini-3-pro-image-preview", {"thinking": "none", "functions": False, "temperature": 1.0}),
        ("gemini-3.1-flash-image", {"levels": ("minimal", "high")}),
        (
            "gemini-3.1-flash-lite-image",
            {"search": False, "output_tokens": 4096, "output": ("text", "image")},
        ),
        ("gemini-nano-banana-2.1", {"levels": ("minimal", "medium", "high"), "functions": False}),
        ("gemini-3.5-flash", {"prefill": True, "levels": ("minimal", "low", "medium", "high")}),
        ("gemini-3.6-flash", {"prefill": False, "levels": ("minimal", "low", "medium", "high")}),
        ("gemini-3.8-flash-tts", {"output": ("audio",), "system": False, "thinking": "none"}),
        ("gemma-3-27b-it", {"system": False, "json_mode": False, "functions": False}),
        ("gemma-4-31b-it", {"system": True, "json_mode": True, "functions": True}),
        ("gemini-2.0-flash", {"thinking": "none", "ordered": True, "penalties": True, "validated": False}),
    ],
)
def test_known_models_have_their_rows(model: str, expected: dict[str, object]) -> None:
    result = TABLE.of(model)

    assert {name: getattr(result, name) for name in expected} == expected


def test_each_pattern_of_the_table_changes_something() -> None:
    assert [pattern for pattern, changes in shipped().items() if not changes] == ["*"]
    assert TABLE.of("*") == Capabilities()


def test_the_operator_has_the_last_word() -> None:
    text = "abilities:\n  gemini-3-flash*: {search: false}\n  gemini-9*: {thinking: budget, budget: [1, 2]}\n"
    source = Source(text, "x.yaml", {})
    result = capability_table(source.data["abilities"], source)

    assert not result.of("gemini-3-flash-preview").search
    assert result.of("gemini-9-x").budget == (1, 2)
    assert result.of("gemini-3-flash-preview").levels[0] == "minimal"


def test_mistakes_are_reported_with_their_place() -> None:
    text = "abilities:\n  gemini-9*:\n    thinkin: level\n  other*: {budget: 5}\n"
    source = Source(text, "x.yaml", {})
    with pytest.raises(ConfigError) as caught:
        capability_table(source.data["abilities"], source)

    first, second = map(str, caught.value.faults)
    assert first.startswith("x.yaml:3:")
    assert "unknown ability 'thinkin'; did you mean 'thinking'?" in first
    assert second.startswith("x.yaml:4:")
    assert "budget: Expected `array`" in second
