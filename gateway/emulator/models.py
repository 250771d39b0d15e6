"""The emulated models: what each can do, by pattern, and the records that Google lists (translation.md F.1, G).

The table is the emulator's own, on purpose: the gateway's table of abilities is what it is there to test.
"""

import re
from functools import lru_cache
from typing import Any

from msgspec import Struct, structs


class Model(Struct, frozen=True):
    """One model's abilities; the defaults are those of the newest text models, and of unknown names."""

    name: str = ""
    thinking: str = "level"
    """`none`, `budget` or `level`: how it is told to think."""
    levels: tuple[str, ...] = ("LOW", "MEDIUM", "HIGH")
    budget: tuple[int, int] = (1, 32768)
    off: bool = False
    """It may be told not to think: budget 0."""
    ids: bool = True
    """Its calls have ids."""
    signs: bool = True
    """It signs the first call of each step."""
    demands: bool = True
    """It wants that signature back (translation.md B.6)."""
    together: bool = True
    """JSON mode beside tools, built-in tools beside functions."""
    json: bool = True
    functions: bool = True
    system: bool = True
    prefill: bool = False
    """A request may end with a turn of its own."""
    candidates: bool = False
    """More than one."""
    penalties: bool = False
    logprobs: bool = False
    temperature: float = 2
    takes: tuple[str, ...] = ("image", "audio", "video", "application")
    """Kinds of files, by the first half of their mime type."""
    gives: tuple[tuple[str, ...], ...] = (("TEXT",),)
    """Combinations of responseModalities; the first is its own choice."""
    context: int = 1048576
    longest: int = 65536
    embeds: bool = False


_SECOND = {
    "thinking": "none", "ids": False, "demands": False, "together": False, "prefill": True, "candidates": True,
    "logprobs": True,
}  # fmt: skip
_MINIMAL = {"levels": ("MINIMAL", "LOW", "MEDIUM", "HIGH"), "off": True}
_ROWS: tuple[tuple[str, dict[str, Any]], ...] = (
    (r"gemini-[12]\.", {**_SECOND, "signs": False, "penalties": True, "longest": 8192}),
    (r"gemini-2\.5", {"thinking": "budget", "signs": True, "longest": 65536}),
    (r"gemini-2\.5-pro", {"budget": (128, 32768)}),
    (r"gemini-2\.5-flash", {"budget": (1, 24576), "off": True, "penalties": False}),
    (r"gemini-2\.5-flash-lite", {"budget": (512, 24576)}),
    (r"gemini-(3|3\.[0-5])-", {"prefill": True}),
    (r"gemini-(3|3\.[156])-flash", _MINIMAL),
    (r"gemini-3-pro", {"levels": ("LOW", "HIGH")}),
    (r"gemini-4", {"longest": 1048576}),
    (r".*-image", {"json": False, "functions": False, "temperature": 1, "takes": ("image", "application"),
                   "gives": (("TEXT", "IMAGE"), ("IMAGE",)), "context": 131072, "longest": 32768}),
    (r"gemini-(2\.5-flash|3-pro)-image", {"thinking": "none"}),
    (r"gemini-3\.1-flash-image", {"levels": ("MINIMAL", "HIGH")}),
    (r".*-tts", {"json": False, "functions": False, "thinking": "none", "takes": (), "gives": (("AUDIO",),),
                 "context": 8192, "longest": 16384}),
    (r"gemma-", {**_SECOND, "signs": False, "penalties": True, "together": True, "takes": ("image", "application"),
                 "context": 262144, "longest": 32768}),
    (r"gemma-[123]", {"json": False, "functions": False, "system": False, "together": False, "takes": ("image",),
                      "context": 131072, "longest": 8192}),
    (r"gemma-4", {"thinking": "level", **_MINIMAL}),
    (r"gemini-embedding-", {"embeds": True, "context": 8192, "longest": 1}),
    (r"gemini-embedding-001", {"context": 2048}),
)  # fmt: skip
"""All rows that match a name's beginning apply, in order."""

MODELS = (
    "gemini-2.0-flash", "gemini-2.0-flash-lite", "gemini-2.5-flash", "gemini-2.5-flash-lite", "gemini-2.5-pro",
    "gemini-2.5-flash-image", "gemini-3-flash-preview", "gemini-3-pro-preview", "gemini-3-pro-image",
    "gemini-3.1-pro-preview", "gemini-3.1-flash-lite", "gemini-3.1-flash-image", "gemini-3.5-flash",
    "gemini-3.5-flash-lite", "gemini-3.6-flash", "gemini-3.7-flash", "gemini-3.8-flash", "gemini-3.8-flash-tts",
    "gemini-3.8-flash-lite-tts", "gemini-4-argon", "gemini-flash-latest", "gemini-flash-lite-latest",
    "gemini-pro-latest", "gemma-3-27b-it", "gemma-4-26b-a4b-it", "gemma-4-31b-it", "gemini-embedding-001",
    "gemini-embedding-2",
)  # fmt: skip


@lru_cache(maxsize=256)
def model_of(name: str) -> Model:
    """The abilities of a name, also of one that nobody knows."""
    found: dict[str, Any] = {}
    for pattern, changes in _ROWS:
        if re.match(pattern, name):
            found.update(changes)
    return structs.replace(Model(name), **found)


def record(name: str) -> dict[str, Any]:
    """What models.get tells of a model."""
    model = model_of(name)
    told: dict[str, Any] = {
        "name": f"models/{name}", "version": "001", "displayName": name.replace("-", " ").title(),
        "description": f"The emulator's {name}", "inputTokenLimit": model.context, "outputTokenLimit": model.longest,
    }  # fmt: skip
    if model.embeds:
        return {**told, "supportedGenerationMethods": ["embedContent", "countTokens"]}
    methods = ["generateContent", "countTokens", "createCachedContent", "batchGenerateContent"]
    told |= {"supportedGenerationMethods": methods, "temperature": 1, "topP": 0.95, "topK": 64}
    told["maxTemperature"] = model.temperature
    return {**told, "thinking": True} if model.thinking != "none" else told


def page(size: int, start: int) -> dict[str, Any]:
    """One page of the list; no token on the last."""
    found = {"models": [record(name) for name in MODELS[start : start + size]]}
    more = {"nextPageToken": str(start + size)} if start + size < len(MODELS) else {}
    return {**found, **more}
