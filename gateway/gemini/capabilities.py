"""Capabilities of models, by name patterns.

The rows are `gateway/config/models.yaml`, followed by the operator's `abilities`. All rows whose pattern matches apply,
in order. The first row, `*`, holds the rules of the newest models, so that new ids work before the table knows them.
"""

import re
from collections.abc import Mapping
from fnmatch import translate as glob
from typing import Any, Literal

import msgspec
from msgspec import Struct

Kind = Literal["chat", "image", "speech", "transcription", "live", "video", "embedding", "music", "agent"]
Level = Literal["minimal", "low", "medium", "high", "xhigh"]
ImageSize = Literal["512", "1K", "2K", "4K"]
RATIOS = (
    "1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9", "1:4", "4:1", "1:8", "8:1",
)  # fmt: skip
"""All of Gemini's (https://ai.google.dev/gemini-api/docs/image-generation#aspect_ratios)."""
_MOST_KNOWN = 1000
"""Models that are remembered; clients choose their names."""
Rows = Mapping[str, Mapping[str, Any]]


class Capabilities(Struct, frozen=True, forbid_unknown_fields=True):
    """Capabilities of one model. The defaults are those of the newest text models."""

    thinking: Literal["none", "budget", "level"] = "level"
    """The field that sets the depth of thinking; `none` for models that do not think."""
    levels: tuple[Level, ...] = ("low", "medium", "high")
    budget: tuple[int, int] = (128, 24576)
    """Smallest and largest thinkingBudget, in tokens."""
    thinking_off: bool = False
    """A thinkingBudget of 0 is accepted and turns thinking off."""
    system: bool = True
    """systemInstruction is accepted."""
    caches: bool = True
    """The model has explicit caches (`cachedContents`)."""
    json_mode: bool = True
    json_with_tools: bool = True
    ordered: bool = False
    """Keeps the order of a schema's properties only with propertyOrdering."""
    functions: bool = True
    builtins_with_functions: bool = True
    search: bool = True
    validated: bool = True
    """Function calling mode VALIDATED."""
    signatures: bool = True
    """The first call of each step needs a thought signature."""
    prefill: bool = False
    """A request may end with a model turn."""
    penalties: bool = False
    logprobs: bool = False
    response_media: bool = True
    """Media inside a functionResponse is accepted."""
    part_resolution: bool = True
    """mediaResolution is accepted for each part; else only for the whole request."""
    kind: Kind = "chat"
    """The purpose of the model: `/v1/images` takes models of the kind `image` alone, and so on."""
    retired: bool = False
    """Google has shut it down: where an endpoint has a default model of its kind, that one answers."""
    output: tuple[Literal["text", "image", "audio", "video"], ...] = ("text",)
    voice_library: bool = True
    """Voices of the library and custom voices (`voiceConfig.voice`); else only those that have a name of their own."""
    spoken_style: bool = True
    """Speech has a field for style and speaker of each part (`speechMetadata`); else they are words before the text."""
    streams_audio: bool = True
    """Speech arrives in pieces while it is made."""
    sampling: bool = True
    """temperature, topP and topK are accepted."""
    temperature: float = 2.0
    """The highest accepted value."""
    unary_tokens: int | None = None
    """The largest maxOutputTokens of a call that is not streamed, where it is lower."""
    output_tokens: int | None = None
    """The longest answer, where it is known."""
    ratios: tuple[str, ...] = RATIOS
    """Values of imageConfig.aspectRatio that an image model accepts."""
    image_sizes: tuple[ImageSize, ...] = ("1K", "2K", "4K")
    """Values of imageConfig.imageSize that an image model accepts, the smallest first."""
    embedding_batches: bool = True
    """Several texts of one call give a vector each; else one vector of all of them."""


class CapabilityTable:
    """Capabilities by model. Raises ValueError, with the pattern, for an invalid row."""

    def __init__(self, rows: Rows) -> None:
        self._rows = [(re.compile(glob(pattern)), changes) for pattern, changes in rows.items()]
        self._known: dict[str, Capabilities] = {}
        for pattern, changes in rows.items():
            problem = fault_of(changes)
            if problem:
                raise ValueError(f"{pattern}: {problem}")

    def of(self, model: str) -> Capabilities:
        """Return the capabilities of any model id."""
        capabilities = self._known.get(model)
        if capabilities is None:
            merged: dict[str, Any] = {}
            for pattern, changes in self._rows:
                if pattern.match(model):
                    merged.update(changes)
            capabilities = msgspec.convert(merged, Capabilities)
            if len(self._known) < _MOST_KNOWN:
                self._known[model] = capabilities
        return capabilities


def fault_of(changes: Mapping[str, Any]) -> str | None:
    """Return the mistake in a row, in words, or None."""
    known = Capabilities.__struct_fields__
    for name, value in changes.items():
        if name not in known:
            from difflib import get_close_matches  # for a mistake only

            close = get_close_matches(name, known, 1)
            hint = f"; did you mean {close[0]!r}?" if close else "."
            return f"unknown ability {name!r}{hint} Known: {', '.join(known)}"
        try:
            msgspec.convert({name: value}, Capabilities)
        except msgspec.ValidationError as error:
            return f"{name}: {str(error).partition(' - at ')[0]}"
    return None
