"""Responses: the policy of each request field."""

from gateway.conversation.field_policy import NEUTRAL, Policy


def _mapped(how: str) -> Policy:
    return Policy("mapped", how)


_NO_COUNTERPART = Policy("ignored", "no counterpart")
_NO_USER = Policy("ignored", "Gemini has no end-user id")
_IMPLICIT = Policy("ignored", "Gemini caches implicitly")

RESPONSES: dict[str, Policy] = {
    "model": _mapped("URL path, as in chat"),
    "input": _mapped(
        "`contents`: messages, calls, outputs, reasoning, stored items; items of hosted tools are left out"
    ),
    "instructions": _mapped("`systemInstruction`"),
    "stream": _mapped("all events, with `sequence_number`"),
    "stream_options": _mapped("obfuscation is optional in the protocol and left out; asked for, it is noted"),
    "max_output_tokens": Policy("clamped", "`maxOutputTokens`, at most what the model writes"),
    "temperature": Policy("clamped", "`temperature`; image models take at most 1"),
    "top_p": _mapped("`topP`"),
    "top_logprobs": _mapped("`responseLogprobs` and `logprobs`, where the model gives them"),
    "reasoning": Policy("clamped", "`effort` as in chat; a `summary` asks for thought summaries"),
    "text": _mapped("`format` as in chat; the verbosity has no counterpart and is noted"),
    "tools": _mapped(
        "functions, custom tools, namespaces, client-run tools, web search (its location and domains in words), code "
        "interpreter; others are left out with a note"
    ),
    "tool_choice": _mapped("as in chat; hosted tools cannot be forced"),
    "parallel_tool_calls": Policy("emulated", "false keeps the first call of an answer"),
    "include": _mapped(
        "`reasoning.encrypted_content`, `message.output_text.logprobs`; sources of searches and outputs of code are "
        "always there; other values are noted"
    ),
    "previous_response_id": Policy("emulated", "read from the gateway's own store"),
    "store": Policy("emulated", "kept in the gateway's store, as long as `state.responses` says"),
    "service_tier": _mapped("as in chat"),
    "metadata": Policy("emulated", "returned in the response"),
    "google": _mapped("as in chat"),
    "extra_body": _mapped("as in chat"),
    "web_search_options": _mapped("as in chat"),
    "background": Policy(
        "emulated",
        "the response is made after the answer; read it by its id, or its events by `starting_after`",
    ),
    "conversation": Policy("dropped", "a 400 in both modes: conversations are kept by OpenAI"),
    "prompt": Policy("dropped", "a 400 in both modes: prompt templates are kept by OpenAI"),
    "truncation": Policy("ignored", "Gemini truncates nothing", (*NEUTRAL, "disabled")),
    "max_tool_calls": _NO_COUNTERPART,
    "context_management": _NO_COUNTERPART,
    "user": _NO_USER,
    "safety_identifier": _NO_USER,
    "prompt_cache_key": _mapped("keeps calls on one project of the pool, where Gemini's implicit cache is"),
    "prompt_cache_retention": _IMPLICIT,
    "prompt_cache_options": _IMPLICIT,
    "client_metadata": Policy("ignored", "nothing is stored"),
}
"""`POST /v1/responses`."""
