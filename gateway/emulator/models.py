"""The emulated models: their capabilities by pattern, and the records of models.list (https://ai.google.dev/api/models).

The table is the emulator's own, so that tests find mistakes in the gateway's table.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from msgspec import Struct, structs


class Model(Struct, frozen=True):
    """Capabilities of one model. The defaults are those of the newest text models and of unknown names."""

    name: str = ""
    thinking: str = "level"
    """The thinkingConfig field that it takes: `none`, `budget` or `level`."""
    levels: tuple[str, ...] = ("LOW", "MEDIUM", "HIGH")
    budget: tuple[int, int] = (1, 32768)
    thinking_off: bool = False
    """A thinkingBudget of 0 is accepted."""
    call_ids: bool = True
    """Its function calls have ids."""
    signs_calls: bool = True
    """It signs the first call of each step."""
    requires_signatures: bool = True
    """It refuses a history without that signature."""
    combines_tools: bool = True
    """It accepts JSON mode together with tools, and built-in tools together with functions."""
    json_mode: bool = True
    functions: bool = True
    system: bool = True
    prefill: bool = False
    """A request may end with a model turn."""
    several_candidates: bool = False
    """A candidateCount over 1 is accepted."""
    penalties: bool = False
    logprobs: bool = False
    temperature: float = 2
    inputs: tuple[str, ...] = ("image", "audio", "video", "application")
    """First halves of the MIME types of accepted files."""
    outputs: tuple[tuple[str, ...], ...] = (("TEXT",),)
    """Accepted combinations of responseModalities; the first is the default."""
    ratios: tuple[str, ...] = ()
    image_sizes: tuple[str, ...] = ()
    """Accepted values of imageConfig (https://ai.google.dev/gemini-api/docs/image-generation#aspect_ratios)."""
    input_tokens: int = 1048576
    output_tokens: int = 65536
    embeddings: bool = False
    live: bool = False
    """It is used over a WebSocket, and in no other way."""
    tells_states: bool = False
    """It says when a schema has too many states; others say only that an argument is invalid."""
    samples: bool = True
    """temperature, topP and topK are accepted."""
    whole_files: bool = True
    """Its speech is a WAV file, unless it is streamed; else samples."""
    streams_sound: bool = True
    """Its speech is streamed in pieces; else it comes at once."""
    needs_voice: bool = False
    """It refuses a request without speechConfig."""
    longest_hop: int = 0
    """Most maxOutputTokens of a unary call without a continuationToken; 0 for no such limit."""
    least_cached: int = 4096
    """Tokens that a cached content has at least (https://ai.google.dev/gemini-api/docs/caching)."""


_SECOND = {
    "thinking": "none", "call_ids": False, "requires_signatures": False, "combines_tools": False, "prefill": True,
    "several_candidates": True, "logprobs": True, "tells_states": True,
}  # fmt: skip
_MINIMAL = {"levels": ("MINIMAL", "LOW", "MEDIUM", "HIGH"), "thinking_off": True}
_RATIOS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
_IMAGE = {
    "json_mode": False, "functions": False, "temperature": 1, "inputs": ("image", "application"),
    "outputs": (("TEXT", "IMAGE"), ("IMAGE",)), "several_candidates": False,
    "ratios": (*_RATIOS, "1:4", "4:1", "1:8", "8:1"), "image_sizes": ("1K", "2K", "4K"),
}  # fmt: skip
_ROWS: tuple[tuple[str, dict[str, Any]], ...] = (
    (r"gemini-[12]\.", {**_SECOND, "signs_calls": False, "penalties": True, "output_tokens": 8192}),
    (r"gemini-2\.5", {"thinking": "budget", "signs_calls": True, "output_tokens": 65536}),
    (r"gemini-2\.5-pro", {"budget": (128, 32768)}),
    (r"gemini-2\.5-flash", {"budget": (1, 24576), "thinking_off": True, "penalties": False}),
    (r"gemini-[23].*flash", {"least_cached": 1024}),
    (r"gemini-2\.5-flash-lite", {"budget": (512, 24576)}),
    (r"gemini-(3|3\.[0-5])-", {"prefill": True}),
    (r"gemini-(3|3\.[156])-flash", _MINIMAL),
    (r"gemini-3-pro", {"levels": ("LOW", "HIGH")}),
    (r"gemini-4", {"output_tokens": 1048576, "longest_hop": 32768}),
    (r"gemini-4-(neon|hydrogen)", {"levels": ("LOW", "MEDIUM", "HIGH", "XHIGH")}),
    (r".*-image", {**_IMAGE, "input_tokens": 131072, "output_tokens": 32768}),
    (r".*nano-banana", {**_IMAGE, "levels": ("MINIMAL", "MEDIUM", "HIGH")}),
    (r"gemini-3\.1-flash-lite-image", {"output_tokens": 4096, "image_sizes": ("1K",)}),
    (r"gemini-(2\.5-flash|3-pro)-image", {"thinking": "none", "ratios": _RATIOS}),
    (r"gemini-2\.5-flash-image", {"image_sizes": ()}),
    (r"gemini-3\.1-flash-image", {"levels": ("MINIMAL", "HIGH"), "image_sizes": ("512", "1K", "2K", "4K")}),
    (r".*-tts", {"json_mode": False, "functions": False, "thinking": "none", "inputs": (), "outputs": (("AUDIO",),),
                 "input_tokens": 8192, "output_tokens": 16384}),
    (r".*-tts", {"system": False, "whole_files": False}),
    (r"gemini-2\.5.*tts", {"streams_sound": False}),
    (r"gemini-3\.1.*tts", {"needs_voice": True}),
    (r"gemini-3\.8-.*tts", {"samples": False, "whole_files": True}),
    (r"gemini-.*live", {"json_mode": False, "thinking": "none", "inputs": ("image", "audio", "video"), "live": True,
                        "outputs": (("AUDIO",),), "input_tokens": 131072, "output_tokens": 8192}),
    (r"gemini-live-2\.5", {"outputs": (("AUDIO",), ("TEXT",))}),
    (r"gemma-", {**_SECOND, "signs_calls": False, "penalties": True, "combines_tools": True,
                 "inputs": ("image", "application"), "input_tokens": 262144, "output_tokens": 32768}),
    (r"gemma-[123]", {"json_mode": False, "functions": False, "system": False, "combines_tools": False,
                      "inputs": ("image",), "input_tokens": 131072, "output_tokens": 8192}),
    (r"gemma-4", {"thinking": "level", **_MINIMAL}),
    (r"gemini-embedding-", {"embeddings": True, "input_tokens": 8192, "output_tokens": 1}),
    (r"gemini-embedding-001", {"input_tokens": 2048}),
)  # fmt: skip
"""All rows whose pattern matches the beginning of a name apply, in order."""

MODELS = (
    "gemini-2.0-flash", "gemini-2.0-flash-lite", "gemini-2.5-flash", "gemini-2.5-flash-lite", "gemini-2.5-pro",
    "gemini-2.5-flash-image", "gemini-2.5-flash-preview-tts", "gemini-3-flash-preview", "gemini-3-pro-preview",
    "gemini-3-pro-image", "gemini-3.1-pro-preview", "gemini-3.1-flash-lite", "gemini-3.1-flash-image",
    "gemini-3.1-flash-tts-preview", "gemini-3.5-flash", "gemini-3.5-flash-lite", "gemini-3.5-transcribe",
    "gemini-3.6-flash", "gemini-3.7-flash", "gemini-3.8-flash", "gemini-3.8-flash-tts", "gemini-3.8-flash-lite-tts",
    "gemini-3.8-live", "gemini-live-2.5-flash-preview", "gemini-4-argon", "gemini-4-carbon", "gemini-4-hydrogen",
    "gemini-4-neon", "gemini-flash-latest", "gemini-flash-lite-latest", "gemini-pro-latest", "gemma-3-27b-it",
    "gemma-4-26b-a4b-it", "gemma-4-31b-it", "gemini-embedding-001", "gemini-embedding-2", "gemini-nano-banana-2.1",
)  # fmt: skip

NO_LIMITS: Mapping[str, int] = {}


@lru_cache(maxsize=256)
def model_of(name: str) -> Model:
    """Return the capabilities of any model name."""
    merged: dict[str, Any] = {}
    for pattern, changes in _ROWS:
        if re.match(pattern, name):
            merged.update(changes)
    return structs.replace(Model(name), **merged)


def record(name: str, limits: Mapping[str, int] = NO_LIMITS) -> dict[str, Any]:
    """Return a model's record, the answer of models.get. `limits` replace the input tokens of some models."""
    model = model_of(name)
    fields: dict[str, Any] = {
        "name": f"models/{name}", "version": "001", "displayName": name.replace("-", " ").title(),
        "description": f"The emulator's {name}", "inputTokenLimit": limits.get(name, model.input_tokens),
        "outputTokenLimit": model.output_tokens,
    }  # fmt: skip
    if model.embeddings:
        methods = ["embedContent", "countTokens", "asyncBatchEmbedContent"]
        return {**fields, "supportedGenerationMethods": methods}
    if model.live:
        return {**fields, "supportedGenerationMethods": ["bidiGenerateContent"]}
    methods = ["generateContent", "countTokens", "createCachedContent", "batchGenerateContent"]
    fields |= {"supportedGenerationMethods": methods, "temperature": 1, "topP": 0.95, "topK": 64}
    fields["maxTemperature"] = model.temperature
    return {**fields, "thinking": True} if model.thinking != "none" else fields
