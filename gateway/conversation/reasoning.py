"""How much a model thinks: OpenAI's effort and its vendors' spellings to thinkingConfig (translation.md A.6)."""

from gateway.errors import BadRequest
from gateway.gemini.capabilities import Capabilities, Level
from gateway.gemini.wire import ThinkingConfig
from gateway.plugins.chat.wire import AnthropicThinking, ChatRequest, OpenRouterReasoning

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_ORDER: tuple[Level, ...] = ("minimal", "low", "medium", "high")
_BUDGETS = {"minimal": 512, "low": 1024, "medium": 8192, "high": 24576}
"""Google's own compatibility endpoint uses these for low, medium and high."""
_LEFT_FOR_TEXT = 256
"""Tokens of a small `max_tokens` that thinking must leave over."""


class ReasoningRequest:
    """What was asked for, in whichever spelling."""

    def __init__(self, body: ChatRequest) -> None:
        self.field = "reasoning_effort"
        self.effort = body.reasoning_effort
        self.budget: int | None = None
        self.show: bool | None = None
        if self.effort is None and body.reasoning is not None:
            self._openrouter(body.reasoning)
        elif self.effort is None and body.thinking is not None:
            self._anthropic(body.thinking)
        if self.effort is not None and self.effort not in EFFORTS:
            raise BadRequest(
                f"unknown effort {self.effort[:40]!r}; known: {', '.join(EFFORTS)}", param=self.field
            )

    @property
    def asked(self) -> bool:
        return self.effort is not None or self.budget is not None or self.show is not None

    def _openrouter(self, reasoning: OpenRouterReasoning) -> None:
        self.field = "reasoning.effort"
        self.effort, self.budget = reasoning.effort, reasoning.max_tokens
        self.show = False if reasoning.exclude else None
        if reasoning.enabled is False:
            self.effort = "none"
        elif reasoning.enabled and self.effort is None and self.budget is None:
            self.show = not reasoning.exclude

    def _anthropic(self, thinking: AnthropicThinking) -> None:
        if thinking.type == "disabled":
            self.effort = "none"
        elif thinking.type in ("enabled", "adaptive"):
            self.budget = thinking.budget_tokens
            self.show = True


def thinking_config(
    wish: ReasoningRequest, abilities: Capabilities, most_output: int | None
) -> ThinkingConfig | None:
    """The depth this model understands; None for nothing asked, or for a model that does not think."""
    if not wish.asked or abilities.thinking == "none":
        return None
    config = ThinkingConfig(include_thoughts=_shown(wish))
    if abilities.thinking == "level":
        config.thinking_level = _level(wish, abilities)
    else:
        config.thinking_budget = _budget(wish, abilities, most_output)
    return config


def clamped(wish: ReasoningRequest, config: ThinkingConfig) -> bool:
    """Whether the model thinks noticeably more or less than was asked for."""
    if wish.effort is None:
        return config.thinking_budget is not None and config.thinking_budget != wish.budget
    if config.thinking_level is not None:
        return (
            wish.effort in _ORDER and config.thinking_level.lower() != wish.effort
        ) or wish.effort == "none"
    return wish.effort == "none" and config.thinking_budget != 0


def _shown(wish: ReasoningRequest) -> bool:
    if wish.show is not None:
        return wish.show
    return wish.effort != "none"


def _level(wish: ReasoningRequest, abilities: Capabilities) -> str | None:
    if wish.effort is not None:
        return level_for(wish.effort, abilities.levels)
    if wish.budget is None:
        return None
    return level_for(
        "low" if wish.budget < 2048 else "medium" if wish.budget < 16384 else "high", abilities.levels
    )


def level_for(effort: str, levels: tuple[Level, ...]) -> str:
    """The nearest level there is: `none` is the least of them, `medium` rather more than less."""
    if effort in ("xhigh", "max"):
        effort = "high"
    if effort in ("none", "minimal"):
        return min(levels, key=_ORDER.index).upper()
    wanted = [str(level) for level in _ORDER].index(effort)
    downwards = effort == "low"

    def distance(level: Level) -> tuple[int, bool]:
        step = _ORDER.index(level) - wanted
        return abs(step), (step > 0) == downwards

    return min(levels, key=distance).upper()


def _budget(wish: ReasoningRequest, abilities: Capabilities, most_output: int | None) -> int | None:
    least, most = abilities.budget
    if wish.budget is not None:
        budget = wish.budget
    elif wish.effort is None:
        return None
    elif wish.effort in ("none", "minimal") and not abilities.thinking_off:
        return least
    elif wish.effort == "none":
        return 0
    else:
        budget = _BUDGETS.get(wish.effort, most)
    if most_output is not None:
        budget = min(budget, most_output - _LEFT_FOR_TEXT)
    return min(max(budget, least), most)
