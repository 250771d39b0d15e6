"""Rows of capabilities: their order, their mistakes, and their memory. `tests/config` has the shipped table."""

from typing import Any

import pytest

from gateway.gemini.capabilities import Capabilities, CapabilityTable, fault_of

TABLE = CapabilityTable(
    {
        "*": {},
        "gemini-2*": {"thinking": "budget", "budget": [1, 2], "search": False},
        "gemini-2.5-*": {"budget": [3, 4]},
        "*-pro": {"search": True},
    }
)


@pytest.mark.parametrize(
    ("model", "thinking", "budget", "search"),
    [
        ("gemini-9", "level", (128, 24576), True),
        ("gemini-2.0-flash", "budget", (1, 2), False),
        ("gemini-2.5-flash", "budget", (3, 4), False),
        ("gemini-2.5-pro", "budget", (3, 4), True),
    ],
)
def test_all_matching_rows_apply_in_order(
    model: str, thinking: str, budget: tuple[int, int], search: bool
) -> None:
    capabilities = TABLE.of(model)

    assert (capabilities.thinking, capabilities.budget, capabilities.search) == (thinking, budget, search)


def test_a_pattern_matches_the_whole_name() -> None:
    assert TABLE.of("x-gemini-2") == Capabilities()


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({}, None),
        ({"thinking": "none", "output": ["text", "image"]}, None),
        ({"thinkin": 1}, "unknown ability 'thinkin'; did you mean 'thinking'? Known: thinking, levels, "),
        ({"zzzzzz": 1}, "unknown ability 'zzzzzz'. Known: "),
        ({"search": 5}, "search: Expected `bool`, got `int`"),
        ({"levels": ["high", "huge"]}, "levels: Invalid enum value 'huge'"),
    ],
)
def test_a_mistake_is_described(changes: dict[str, Any], fault: str | None) -> None:
    problem = fault_of(changes)

    assert problem is None if fault is None else str(problem).startswith(fault)


def test_a_table_with_a_mistake_names_its_pattern() -> None:
    with pytest.raises(ValueError, match=r"gemini-x: search: Expected `bool`"):
        CapabilityTable({"*": {}, "gemini-x": {"search": "yes"}})


def test_client_chosen_names_do_not_fill_the_memory() -> None:
    table = CapabilityTable({"*": {}})
    for number in range(1500):
        table.of(f"gemini-{number}")

    assert len(table._known) == 1000


def test_the_defaults_are_those_of_the_newest_text_models() -> None:
    defaults = Capabilities()
    flags = {name for name in defaults.__struct_fields__ if getattr(defaults, name) is True}

    assert flags == {
        "system", "caches", "json_mode", "json_with_tools", "functions", "builtins_with_functions", "search", "validated",
        "signatures", "response_media", "part_resolution", "voice_library", "spoken_style", "streams_audio",
        "sampling", "embedding_batches",
    }  # fmt: skip
    assert (defaults.thinking, defaults.levels, defaults.budget) == (
        "level",
        ("low", "medium", "high"),
        (128, 24576),
    )
    assert (defaults.output, defaults.temperature, defaults.output_tokens) == (("text",), 2.0, None)
