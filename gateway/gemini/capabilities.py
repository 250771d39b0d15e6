"""What a model can do: rows of one data file, each a name pattern and the abilities it changes (translation.md G).

All rows that match a name apply, in order; the first, `*`, holds the newest rules, so that ids nobody knows yet
get them. The rows are `gateway/config/models.yaml`; the operator's `abilities` come after them.
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from fnmatch import translate as glob
from typing import Any, Literal

import msgspec
from msgspec import Struct

Level = Literal["minimal", "low", "medium", "high"]
Rows = Mapping[str, Mapping[str, Any]]


class Capabilities(Struct, frozen=True, forbid_unknown_fields=True):
    """One model's. Defaults are those of the newest text models."""

    thinking: Literal["none", "budget", "level"] = "level"
    """How depth is asked for; `none` for models that do not think."""
    levels: tuple[Level, ...] = ("low", "medium", "high")
    budget: tuple[int, int] = (128, 24576)
    """Least and most thinking tokens."""
    thinking_off: bool = False
    """A budget of 0 is taken."""
    system: bool = True
    """systemInstruction is taken."""
    json_mode: bool = True
    json_with_tools: bool = True
    ordered: bool = False
    """Keeps the order of a schema's keys only when told by propertyOrdering."""
    functions: bool = True
    builtins_with_functions: bool = True
    search: bool = True
    validated: bool = True
    """Function calling mode VALIDATED."""
    signatures: bool = True
    """The first call of each step must carry a thought signature."""
    prefill: bool = False
    """A request may end with a model turn."""
    penalties: bool = False
    logprobs: bool = False
    response_media: bool = True
    """Media inside a functionResponse."""
    part_resolution: bool = True
    """mediaResolution on a part; else for the whole request."""
    output: tuple[Literal["text", "image", "audio", "video"], ...] = ("text",)
    temperature: float = 2.0
    """The most that is taken."""
    output_tokens: int | None = None


class CapabilityTable:
    """The table. Raises ValueError for a row that cannot be."""

    def __init__(self, rows: Rows) -> None:
        self._rows = [(re.compile(glob(pattern)), changes) for pattern, changes in rows.items()]
        self._known: dict[str, Capabilities] = {}
        for pattern, changes in rows.items():
            problem = fault_of(changes)
            if problem:
                raise ValueError(f"{pattern}: {problem}")

    def of(self, model: str) -> Capabilities:
        """The abilities of a model id, also of one that nobody knows."""
        found = self._known.get(model)
        if found is None:
            merged: dict[str, Any] = {}
            for pattern, changes in self._rows:
                if pattern.match(model):
                    merged.update(changes)
            found = msgspec.convert(merged, Capabilities)
            if len(self._known) < 1000:  # names are the clients' to choose
                self._known[model] = found
        return found


def fault_of(changes: Mapping[str, Any]) -> str | None:
    """What is wrong with a row, in words, or None."""
    known = Capabilities.__struct_fields__
    for name, value in changes.items():
        if name not in known:
            close = get_close_matches(name, known, 1)
            hint = f"; did you mean {close[0]!r}?" if close else "."
            return f"unknown ability {name!r}{hint} Known: {', '.join(known)}"
        try:
            msgspec.convert({name: value}, Capabilities)
        except msgspec.ValidationError as error:
            return f"{name}: {str(error).partition(' - at ')[0]}"
    return None
