"""Regular expressions of the gateway on hostile text: none takes more than linear time."""

import importlib
import pkgutil
import re
import time
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

import gateway
from gateway.gemini.remedies import REMEDIES

LONG = 20_000
REWORDED = 2_000
"""Longest message that the patterns of Messages see (`_LONGEST_REWORDED`)."""
ONES = [
    *"a1A_-.:;,/[]'\" \\=%&?{}()\n",
    "\u00e9",
    "a1",
    "a.",
    ".1",
    "[1",
    "aA",
    "';",
    "': ",
    "key=",
    "api_key:",
]


def patterns(value: Any) -> Iterator[re.Pattern[Any]]:
    """Every pattern in a constant, also inside tuples and dicts."""
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, tuple | list | frozenset):
        for inner in value:
            yield from patterns(inner)
    elif isinstance(value, dict):
        yield from patterns([*value, *value.values()])


@cache
def compiled() -> dict[str, re.Pattern[Any]]:
    """Patterns of all modules that handle text of clients or of Google, by module and text."""
    found = {
        f"remedies {remedy.feature}": remedy.refusal for remedy in REMEDIES if hasattr(remedy, "refusal")
    }
    for module in pkgutil.walk_packages(gateway.__path__, "gateway."):
        if (
            module.name.startswith(("gateway.cli", "gateway.config", "gateway.emulator"))
            or "__main__" in module.name
        ):
            continue
        for value in vars(importlib.import_module(module.name)).values():
            found |= {f"{module.name} {each.pattern!r}": each for each in patterns(value)}
    return found


def words(pattern: str) -> list[str]:
    """Literal pieces of a pattern: what it waits for, again and again."""
    return [word for word in re.split(r"[^\w '.:/]+", pattern) if len(word) > 1][:8]


@pytest.mark.slow
@pytest.mark.row("A4")
def test_a04_no_pattern_takes_more_than_linear_time() -> None:
    assert len(compiled()) > 50
    slow: dict[str, float] = {}
    for name, pattern in compiled().items():
        text = pattern.pattern.decode() if isinstance(pattern.pattern, bytes) else pattern.pattern
        begin = (words(text) or [""])[0]
        long = REWORDED if "messages.response" in name else LONG
        for one in [*ONES, *words(text)]:
            for hostile in (one * (long // len(one)), begin + one * (long // len(one)) + "\u0001"):
                subject = hostile.encode() if isinstance(pattern.pattern, bytes) else hostile
                began = time.thread_time()
                pattern.search(subject)
                pattern.fullmatch(subject)
                slow[name] = max(slow.get(name, 0), time.thread_time() - began)

    assert {name: took for name, took in slow.items() if took > 0.1} == {}
