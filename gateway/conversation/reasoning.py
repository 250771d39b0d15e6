"""Reasoning: how much a client wants a model to think, and the thinkingConfig for it."""

from collections.abc import Mapping

from msgspec import Struct

from gateway.conversation.invalid import unsupported_value
from gateway.conversation.notes import Notes
from gateway.gemini.capabilities import Capabilities, Level
from gateway.gemini.wire import ThinkingConfig

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
OTHER_EFFORTS: Mapping[str | None, str | None] = {
    "ultra": "max", "maximum": "max", "highest": "max", "lowest": "minimal", "off": "none", "disabled": "none",
    "auto": None, "default": None, "adaptive": None,
}  # fmt: skip
"""Words of clients and other vendors, such as coder's `ultra` (https://github.com/coder/coder/issues/27252). None is
the model's default."""
_ORDER: tuple[Level, ...] = ("minimal", "low", "medium", "high", "xhigh")
_BUDGETS = {"minimal": 512, "low": 1024, "medium": 8192, "high": 24576}
"""Effort to thinking tokens; Google's compatibility endpoint uses the same for low, medium and high
(https://ai.google.dev/gemini-api/docs/openai#thinking)."""
_LEFT_FOR_TEXT = 256
"""Tokens of a small output limit that thinking must leave for the answer."""


class ReasoningRequest(Struct, frozen=True, gc=False):
    """The reasoning that a client asks for. Without any field, the model's default applies."""

    effort: str | None = None
    """One of EFFORTS."""
    budget: int | None = None
    """Thinking tokens."""
    show: bool | None = None
    """Return thought summaries; None shows them unless the effort is `none`."""
    at: str | None = None
    """The client's field; None when the gateway asks on its own behalf, which is never noted."""

    @property
    def is_empty(self) -> bool:
        return self.effort is None and self.budget is None and self.show is None


def checked(effort: str | None, at: str) -> str | None:
    """Return the effort. Raises BadRequest for one that is not known."""
    if effort is not None and effort not in EFFORTS:
        raise unsupported_value(effort, EFFORTS, at)
    return effort


def thinking_config(
    wanted: ReasoningRequest, model: str, capabilities: Capabilities, most_output: int | None, notes: Notes
) -> ThinkingConfig | None:
    """Return the thinking that this model understands, or None for nothing asked or a model that cannot think.

    Raises UnsupportedParameter in strict mode when the model cannot think.
    """
    if wanted.is_empty:
        return None
    if capabilities.thinking == "none":
        if wanted.effort != "none" and wanted.at is not None:
            notes.drop(wanted.at, f"{model} does not think.")
        return None
    show = wanted.show if wanted.show is not None else wanted.effort != "none"
    if capabilities.thinking == "level":
        config = ThinkingConfig(include_thoughts=show, thinking_level=_level(wanted, capabilities))
    else:
        config = ThinkingConfig(
            include_thoughts=show, thinking_budget=_budget(wanted, capabilities, most_output)
        )
    if wanted.at is not None and _is_clamped(wanted, config):
        notes.add(wanted.at)
    return config


def _is_clamped(wanted: ReasoningRequest, config: ThinkingConfig) -> bool:
    """Return whether the model thinks noticeably more or less than was asked for."""
    if wanted.effort is None:
        return config.thinking_budget is not None and config.thinking_budget != wanted.budget
    if config.thinking_level is not None:
        level = config.thinking_level.lower()
        return (wanted.effort in _ORDER[:-1] and level != wanted.effort) or wanted.effort == "none"
    return wanted.effort == "none" and config.thinking_budget != 0


def _level(wanted: ReasoningRequest, capabilities: Capabilities) -> str | None:
    if wanted.effort is not None:
        return level_for(wanted.effort, capabilities.levels)
    if wanted.budget is None:
        return None
    effort = "low" if wanted.budget < 2048 else "medium" if wanted.budget < 16384 else "high"
    return level_for(effort, capabilities.levels)


def level_for(effort: str, levels: tuple[Level, ...]) -> str:
    """Return the nearest level: the lowest for `none`, the highest for `max`, rather more than less for `medium`."""
    if effort == "max":
        effort = "xhigh"
    if effort in ("none", "minimal"):
        return min(levels, key=_ORDER.index).upper()
    wanted = [str(level) for level in _ORDER].index(effort)
    downwards = effort == "low"

    def distance(level: Level) -> tuple[int, bool]:
        step = _ORDER.index(level) - wanted
        return abs(step), (step > 0) == downwards

    return min(levels, key=distance).upper()


def _budget(wanted: ReasoningRequest, capabilities: Capabilities, most_output: int | None) -> int | None:
    least, most = capabilities.budget
    if wanted.budget is not None:
        budget = wanted.budget
    elif wanted.effort is None:
        return None
    elif wanted.effort in ("none", "minimal") and not capabilities.thinking_off:
        return least
    elif wanted.effort == "none":
        return 0
    else:
        budget = _BUDGETS.get(wanted.effort, most)
    if most_output is not None:
        budget = min(budget, most_output - _LEFT_FOR_TEXT)
    return min(max(budget, least), most)
