"""The policy table: what becomes of each field of each endpoint (design.md decision 3).

Lenient mode notes what was not honoured; strict mode refuses what would change the answer. A name the table does
not know is ignored with a note, since clients of many vendors send extras. `docs/compatibility.md` is made from
this table (`make docs`), and a test holds them equal.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import Raw, Struct

from gateway.errors import UnsupportedParameter

Treatment = Literal["mapped", "emulated", "clamped", "ignored", "dropped"]
Compat = Literal["lenient", "strict"]

TREATMENTS: dict[Treatment, str] = {
    "mapped": "Gemini has the same; what a model cannot do of it is told in `x-gateway-notes`",
    "emulated": "honoured by the gateway itself",
    "clamped": "mapped, and brought into the range the model takes, with a note",
    "ignored": "harmless; a note",
    "dropped": "would change the answer and cannot be honoured: a note, or a 400 in strict mode",
}

_NOTHING: tuple[object, ...] = (None, False, [], {}, "")


class Policy(Struct, frozen=True):
    """One field's entry. `neutral` values ask for nothing, so they are never noted or refused."""

    treatment: Treatment
    how: str
    neutral: tuple[object, ...] = _NOTHING


def _mapped(how: str) -> Policy:
    return Policy("mapped", how)


_NO_USER = "Gemini has no end-user id"
_NOT_KEPT = "nothing is stored"
_IMPLICIT = "Gemini caches implicitly; `google.cached_content` names explicit content"

CHAT: dict[str, Policy] = {
    "model": _mapped("URL path; aliases, prefixes and the default by `models`; `:search` adds Google Search"),
    "messages": _mapped(
        "`contents` and `systemInstruction`; calls and results are put in Gemini's order, missing results made up, "
        "broken arguments wrapped, each with a note"
    ),
    "stream": _mapped("`streamGenerateContent?alt=sse`"),
    "stream_options": _mapped("`include_usage`; obfuscation is optional in the protocol and left out"),
    "temperature": Policy("clamped", "`temperature`; image models take at most 1"),
    "top_p": _mapped("`topP`"),
    "top_k": _mapped("`topK` (not OpenAI's)"),
    "n": Policy(
        "emulated", "one upstream call for each choice, at most `limits.choices`, with `seed` counted up"
    ),
    "seed": Policy("clamped", "`seed`; beyond 32 bits it is folded, always the same way"),
    "stop": _mapped("`stopSequences`, at most 5"),
    "max_tokens": Policy("clamped", "`maxOutputTokens`, at most what the model writes"),
    "max_completion_tokens": Policy("clamped", "`maxOutputTokens`; wins over `max_tokens`"),
    "presence_penalty": _mapped("`presencePenalty`, where the model takes one; 2 becomes 1.99"),
    "frequency_penalty": _mapped("`frequencyPenalty`, where the model takes one; 2 becomes 1.99"),
    "logprobs": _mapped("`responseLogprobs`, where the model gives them"),
    "top_logprobs": _mapped("`logprobs`"),
    "response_format": _mapped(
        "JSON mode with `responseJsonSchema`; told in words beside tools on 2.x and on models without JSON mode"
    ),
    "tools": _mapped("functions, custom tools (as functions of one text), Gemini's built-in tools"),
    "tool_choice": _mapped("`functionCallingConfig`: AUTO, NONE, ANY, VALIDATED, with `allowed_tools`"),
    "parallel_tool_calls": Policy("emulated", "false keeps the first call of an answer", (*_NOTHING, True)),
    "functions": _mapped("as `tools`; the answer has `function_call`"),
    "function_call": _mapped("as `tool_choice`"),
    "reasoning_effort": Policy(
        "clamped", "`thinkingConfig`: a level, or a budget on 2.5, the nearest there is"
    ),
    "reasoning": _mapped("OpenRouter's spelling of the same"),
    "thinking": _mapped("Anthropic's spelling of the same"),
    "thinking_config": _mapped("Gemini's own, as under `google`"),
    "modalities": _mapped(
        "`responseModalities`; `image` on image models, `audio` on speech models, else a 400"
    ),
    "audio": _mapped("`speechConfig` on speech models; WAV or 24 kHz samples (`pcm16`)"),
    "web_search_options": _mapped("the Google Search tool; the location in words, the context size left out"),
    "service_tier": _mapped("`serviceTier`: flex, priority; others are the default"),
    "safety_settings": _mapped("`safetySettings`, over the configured ones"),
    "cached_content": _mapped("`cachedContent`; it brings its own instruction and tools"),
    "google": _mapped("Gemini's own options: thinking, caching, media, native tools, generationConfig"),
    "extra_body": _mapped("the literal key some SDKs send; `extra_body.google` is `google`"),
    "user": Policy("ignored", _NO_USER),
    "safety_identifier": Policy("ignored", _NO_USER),
    "metadata": Policy("ignored", _NOT_KEPT),
    "store": Policy("ignored", _NOT_KEPT),
    "moderation": Policy("ignored", "Gemini applies its own safety settings"),
    "verbosity": Policy("ignored", "no counterpart"),
    "prediction": Policy("ignored", "a latency hint without a counterpart"),
    "prompt_cache_key": _mapped("keeps calls on one project of the pool, where Gemini's implicit cache is"),
    "prompt_cache_retention": Policy("ignored", _IMPLICIT),
    "prompt_cache_options": Policy("ignored", _IMPLICIT),
    "logit_bias": Policy("dropped", "Gemini has no counterpart"),
}
"""`POST /v1/chat/completions`."""


def review(fields: Mapping[str, Raw], table: Mapping[str, Policy], compat: Compat) -> list[str]:
    """Names of the sent fields that are not honoured. Raises UnsupportedParameter for what must not pass."""
    notes = []
    for name, raw in fields.items():
        policy = table.get(name)
        if policy is None:
            notes.append(printable(name))
        elif policy.treatment in ("ignored", "dropped") and not _is_neutral(raw, policy):
            if policy.treatment == "dropped" and compat == "strict":
                raise UnsupportedParameter(f"`{name}` cannot be honoured: {policy.how}", param=name)
            notes.append(name)
    return notes


def drop(name: str, why: str, notes: list[str], compat: Compat) -> None:
    """Note that a mapped field cannot be honoured on this model; strict mode raises UnsupportedParameter."""
    if compat == "strict":
        raise UnsupportedParameter(f"`{name}` cannot be honoured: {why}", param=name)
    notes.append(name)


def markdown(endpoints: Mapping[str, Mapping[str, Policy]]) -> str:
    """The page of `docs/compatibility.md`: endpoint to its table."""
    lines = [
        "# What becomes of each field",
        "",
        "Made by `make docs` from `gateway/translate/compat.py`; a test holds the two equal. Null always means absent.",
        "",
        *(f"- **{name}**: {meaning}" for name, meaning in TREATMENTS.items()),
    ]
    for endpoint, table in endpoints.items():
        lines += ["", f"## {endpoint}", "", "| field | treatment | how |", "|---|---|---|"]
        lines += [f"| `{name}` | {policy.treatment} | {policy.how} |" for name, policy in table.items()]
    return "\n".join([*lines, ""])


def _is_neutral(raw: Raw, policy: Policy) -> bool:
    if len(raw) > 64:  # no neutral value is that long
        return False
    value = msgspec.json.decode(raw)
    return any(type(value) is type(n) and value == n for n in policy.neutral)


def printable(name: str) -> str:
    """A client's own word, made fit for a header."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "_-.") else "?" for c in name[:40])
    return kept or "?"
