"""The policy table: what becomes of each field of each endpoint (design.md decision 3).

A field is *mapped*, *ignored* (harmless), *dropped* (it would change the answer, and cannot be honoured) or
*refused*. Lenient mode notes what was ignored or dropped; strict mode refuses what was dropped. A name the
table does not know is ignored with a note, since clients of many vendors send extras.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import Raw, Struct

from gateway.errors import UnsupportedParameter

Treatment = Literal["mapped", "ignored", "dropped", "refused"]
Compat = Literal["lenient", "strict"]


_NOTHING: tuple[object, ...] = (None, False, [], {}, "")


class Policy(Struct, frozen=True):
    """One field's entry. `neutral` values ask for nothing, so they are never noted or refused."""

    treatment: Treatment
    why: str
    neutral: tuple[object, ...] = _NOTHING


_MAPPED = Policy("mapped", "")
_NO_TOOLS = "tool calling is not translated by this version"

CHAT: dict[str, Policy] = {
    "model": _MAPPED,
    "messages": _MAPPED,
    "stream": _MAPPED,
    "stream_options": _MAPPED,
    "temperature": _MAPPED,
    "top_p": _MAPPED,
    "top_k": _MAPPED,
    "n": _MAPPED,
    "seed": _MAPPED,
    "stop": _MAPPED,
    "max_tokens": _MAPPED,
    "max_completion_tokens": _MAPPED,
    "presence_penalty": _MAPPED,
    "frequency_penalty": _MAPPED,
    "safety_settings": _MAPPED,
    "user": Policy("ignored", "Gemini has no end-user id"),
    "safety_identifier": Policy("ignored", "Gemini has no end-user id"),
    "metadata": Policy("ignored", "nothing is stored"),
    "store": Policy("ignored", "nothing is stored"),
    "moderation": Policy("ignored", "Gemini applies its own safety settings"),
    "verbosity": Policy("ignored", "no counterpart"),
    "prediction": Policy("ignored", "a latency hint without a counterpart"),
    "prompt_cache_key": Policy("ignored", "Gemini caches implicitly"),
    "prompt_cache_retention": Policy("ignored", "Gemini caches implicitly"),
    "prompt_cache_options": Policy("ignored", "Gemini caches implicitly"),
    "service_tier": Policy("ignored", "the default tier answers", (*_NOTHING, "auto", "default")),
    "parallel_tool_calls": Policy("ignored", _NO_TOOLS, (*_NOTHING, True)),
    "tool_choice": Policy("ignored", _NO_TOOLS, (*_NOTHING, "auto", "none")),
    "function_call": Policy("ignored", _NO_TOOLS, (*_NOTHING, "auto", "none")),
    "logit_bias": Policy("dropped", "Gemini has no counterpart"),
    "logprobs": Policy("dropped", "not translated by this version"),
    "top_logprobs": Policy("dropped", "not translated by this version", (*_NOTHING, 0)),
    "reasoning_effort": Policy("dropped", "not translated by this version: the model's default applies"),
    "tools": Policy("refused", _NO_TOOLS),
    "functions": Policy("refused", _NO_TOOLS),
    "web_search_options": Policy("refused", "search is not translated by this version", (None,)),
    "response_format": Policy(
        "refused", "structured output is not translated by this version", (*_NOTHING, {"type": "text"})
    ),
    "audio": Policy("refused", "chat models answer in text"),
    "modalities": Policy("refused", "chat models answer in text", (*_NOTHING, ["text"])),
}
"""`POST /v1/chat/completions`."""


def review(fields: Mapping[str, Raw], table: Mapping[str, Policy], compat: Compat) -> list[str]:
    """Names of the sent fields that are not honoured. Raises UnsupportedParameter for what must not pass."""
    notes = []
    for name, raw in fields.items():
        policy = table.get(name)
        if policy is None:
            notes.append(_printable(name))
        elif policy.treatment != "mapped" and not _is_neutral(raw, policy):
            if policy.treatment == "refused" or (policy.treatment == "dropped" and compat == "strict"):
                raise UnsupportedParameter(f"`{name}` cannot be honoured: {policy.why}", param=name)
            notes.append(name)
    return notes


def drop(name: str, why: str, notes: list[str], compat: Compat) -> None:
    """Note that a mapped field cannot be honoured on this model; strict mode raises UnsupportedParameter."""
    if compat == "strict":
        raise UnsupportedParameter(f"`{name}` cannot be honoured: {why}", param=name)
    notes.append(name)


def _is_neutral(raw: Raw, policy: Policy) -> bool:
    if len(raw) > 64:  # no neutral value is that long
        return False
    value = msgspec.json.decode(raw)
    return any(type(value) is type(n) and value == n for n in policy.neutral)


def _printable(name: str) -> str:
    """A client's own field name, made fit for a header."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "_-.") else "?" for c in name[:40])
    return kept or "?"
