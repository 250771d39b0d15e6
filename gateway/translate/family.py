"""What a model's name says about it: rules by family, newest rules for names nobody knows (translation.md G)."""

import re

_VERSION = re.compile(r"gemini-(\d+)(?:\.(\d+))?")
_NEWEST = (99, 0)
_OLD_GEMMA = re.compile(r"gemma-?[123](?!\d)")
_WITH_PENALTIES = re.compile(r"gemini-(?:1\.|2\.0-)|gemini-2\.5-pro|gemma-")


def version(model: str) -> tuple[int, int]:
    """(2, 5) for gemini-2.5-flash; `-latest`, other names and the future count as newest."""
    found = _VERSION.match(model)
    return (int(found[1]), int(found[2] or 0)) if found else _NEWEST


def takes_system_instruction(model: str) -> bool:
    """Gemma before 4 refuses one: `Developer instruction is not enabled` (translation.md J.24)."""
    return _OLD_GEMMA.match(model) is None


def takes_penalties(model: str) -> bool:
    """`Penalty is not enabled for this model` on 2.5-flash and every 3+ (translation.md A.1, J.21)."""
    return _WITH_PENALTIES.match(model) is not None


def takes_trailing_model_turn(model: str) -> bool:
    """From 3.6 on a request must not end with a model turn (translation.md B.2.9)."""
    return model.startswith("gemma-") or version(model) < (3, 6)
