"""Effort and budgets become the thinkingConfig that a model understands."""

import pytest

from gateway.config.capabilities import shipped
from gateway.conversation.notes import Notes
from gateway.conversation.reasoning import EFFORTS, ReasoningRequest, checked, level_for, thinking_config
from gateway.errors import BadRequest, UnsupportedParameter
from gateway.gemini.capabilities import Capabilities, CapabilityTable, Level
from gateway.gemini.wire import ThinkingConfig

ALL: tuple[Level, ...] = ("minimal", "low", "medium", "high")
FLASH = Capabilities(thinking="budget", budget=(0, 24576), thinking_off=True)
PRO = Capabilities(thinking="budget", budget=(128, 32768), thinking_off=False)


def config_of(
    wanted: ReasoningRequest, capabilities: Capabilities, most_output: int | None = None
) -> tuple[ThinkingConfig | None, list[str]]:
    notes = Notes()
    return thinking_config(wanted, "gemini-x", capabilities, most_output, notes), notes.distinct()


def asked(effort: str | None = None, budget: int | None = None, show: bool | None = None) -> ReasoningRequest:
    return ReasoningRequest(effort, budget, show, "effort")


@pytest.mark.parametrize("effort", [*EFFORTS, None])
def test_known_efforts_pass(effort: str | None) -> None:
    assert checked(effort, "effort") == effort


def test_an_unknown_effort_is_refused_at_its_place() -> None:
    with pytest.raises(BadRequest, match="Supported values are: 'none', 'minimal'") as caught:
        checked("turbo", "reasoning.effort")

    assert caught.value.param == "reasoning.effort"


@pytest.mark.parametrize(
    ("effort", "levels", "level"),
    [
        ("none", ALL, "MINIMAL"),
        ("minimal", ("low", "medium", "high"), "LOW"),
        ("low", ("minimal", "high"), "MINIMAL"),
        ("low", ("minimal", "medium"), "MINIMAL"),
        ("medium", ("low", "high"), "HIGH"),
        ("medium", ALL, "MEDIUM"),
        ("high", ("minimal", "low"), "LOW"),
        ("xhigh", ALL, "HIGH"),
        ("max", ("low", "medium"), "MEDIUM"),
    ],
)
def test_the_nearest_level_is_taken(effort: str, levels: tuple[Level, ...], level: str) -> None:
    assert level_for(effort, levels) == level


@pytest.mark.parametrize(
    ("budget", "level"), [(0, "LOW"), (2047, "LOW"), (2048, "MEDIUM"), (16383, "MEDIUM"), (16384, "HIGH")]
)
def test_a_budget_becomes_a_level(budget: int, level: str) -> None:
    assert config_of(asked(budget=budget), Capabilities()) == (
        ThinkingConfig(include_thoughts=True, thinking_level=level),
        [],
    )


@pytest.mark.parametrize(
    ("effort", "budget"),
    [("minimal", 512), ("low", 1024), ("medium", 8192), ("high", 24576), ("xhigh", 32768), ("max", 32768)],
)
def test_an_effort_becomes_a_budget(effort: str, budget: int) -> None:
    capabilities = Capabilities(thinking="budget", budget=(1, 32768), thinking_off=True)

    config, notes = config_of(asked(effort), capabilities)

    assert config is not None
    assert (config.thinking_budget, notes) == (budget, [])


@pytest.mark.parametrize(
    ("wanted", "capabilities", "budget", "notes"),
    [
        (asked("none"), FLASH, 0, []),
        (asked("none"), PRO, 128, ["effort"]),
        (asked("minimal"), PRO, 128, []),
        (asked(budget=99_999), PRO, 32768, ["effort"]),
        (asked(budget=5), PRO, 128, ["effort"]),
        (asked(budget=500), PRO, 500, []),
    ],
)
def test_a_budget_stays_in_the_models_range_and_a_change_is_noted(
    wanted: ReasoningRequest, capabilities: Capabilities, budget: int, notes: list[str]
) -> None:
    config, noted = config_of(wanted, capabilities)

    assert config is not None
    assert (config.thinking_budget, noted) == (budget, notes)


@pytest.mark.parametrize(("most_output", "budget"), [(2000, 1744), (300, 128), (100_000, 24576), (None, 24576)])  # fmt: skip
def test_thinking_leaves_tokens_for_the_answer(most_output: int | None, budget: int) -> None:
    config, _ = config_of(asked("high"), PRO, most_output)

    assert config is not None
    assert config.thinking_budget == budget


@pytest.mark.parametrize(
    ("effort", "levels", "notes"),
    [
        ("none", ALL, ["effort"]),
        ("minimal", ALL, []),
        ("minimal", ("low", "high"), ["effort"]),
        ("medium", ("low", "high"), ["effort"]),
        ("high", ALL, []),
        ("xhigh", ALL, []),
    ],
)
def test_a_level_that_is_not_the_one_asked_for_is_noted(
    effort: str, levels: tuple[Level, ...], notes: list[str]
) -> None:
    assert config_of(asked(effort), Capabilities(levels=levels))[1] == notes


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        (asked("low"), True),
        (asked("none"), False),
        (asked(show=True), True),
        (asked("none", show=True), True),
        (asked("high", show=False), False),
    ],
)
def test_summaries_are_shown_unless_the_effort_is_none_or_the_client_hides_them(
    wanted: ReasoningRequest, shown: bool
) -> None:
    config, _ = config_of(wanted, FLASH)

    assert config is not None
    assert config.include_thoughts is shown


def test_summaries_alone_leave_the_depth_to_the_model() -> None:
    for capabilities in (FLASH, Capabilities()):
        assert config_of(asked(show=True), capabilities) == (ThinkingConfig(include_thoughts=True), [])


def test_a_request_of_nothing_is_no_config() -> None:
    assert config_of(asked(), FLASH) == (None, [])


@pytest.mark.parametrize(("wanted", "notes"), [(asked("low"), ["effort"]), (asked("none"), []), (ReasoningRequest("low"), [])])  # fmt: skip
def test_a_model_that_does_not_think_gets_no_config(wanted: ReasoningRequest, notes: list[str]) -> None:
    """The gateway's own wish, without a field of the client, is never noted."""
    assert config_of(wanted, Capabilities(thinking="none")) == (None, notes)


def test_strict_mode_refuses_thinking_that_a_model_has_not() -> None:
    with pytest.raises(UnsupportedParameter, match="gemini-x does not think"):
        thinking_config(asked("low"), "gemini-x", Capabilities(thinking="none"), None, Notes(strict=True))


def test_the_gateways_own_wish_is_not_noted_when_it_is_lowered() -> None:
    assert config_of(ReasoningRequest("none"), PRO)[1] == []


@pytest.mark.row("M4")
@pytest.mark.parametrize(
    ("model", "effort", "level"),
    [
        ("gemini-4-neon", "xhigh", "XHIGH"), ("gemini-4-hydrogen", "xhigh", "XHIGH"), ("gemini-4-neon", "max", "XHIGH"),
        ("gemini-4-neon", "high", "HIGH"), ("gemini-4-neon", "medium", "MEDIUM"), ("gemini-4-neon", "none", "LOW"),
        ("gemini-4-argon", "xhigh", "HIGH"), ("gemini-3.8-flash", "max", "HIGH"), ("gemini-3-pro-preview", "xhigh", "HIGH"),
    ],
)  # fmt: skip
def test_m4_the_highest_effort_is_a_level_of_its_own_where_there_is_one(
    model: str, effort: str, level: str
) -> None:
    assert level_for(effort, CapabilityTable(shipped()).of(model).levels) == level
