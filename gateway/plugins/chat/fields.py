"""Chat completions: the policy of each request field."""

from gateway.conversation.field_policy import NEUTRAL, Policy


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
    "stop": _mapped("`stopSequences`; the gateway cuts at those after the fifth, 64 at most"),
    "max_tokens": Policy("clamped", "`maxOutputTokens`, at most what the model writes"),
    "max_completion_tokens": Policy("clamped", "`maxOutputTokens`; wins over `max_tokens`"),
    "presence_penalty": _mapped("`presencePenalty`, where the model takes one; 2 becomes 1.99"),
    "frequency_penalty": _mapped("`frequencyPenalty`, where the model takes one; 2 becomes 1.99"),
    "logprobs": _mapped("`responseLogprobs`, where the model gives them"),
    "top_logprobs": _mapped("`logprobs`"),
    "response_format": _mapped(
        "JSON mode with `responseJsonSchema`; asked for in words beside tools on 2.x and on models without JSON mode"
    ),
    "tools": _mapped("functions, custom tools (as functions of one text), Gemini's built-in tools"),
    "tool_choice": _mapped(
        "`functionCallingConfig`: AUTO, NONE, ANY, VALIDATED (also by that name), with `allowed_tools`"
    ),
    "parallel_tool_calls": Policy("emulated", "false keeps the first call of an answer", (*NEUTRAL, True)),
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
    "web_search_options": _mapped("the Google Search tool; the location in words, the context size noted"),
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
