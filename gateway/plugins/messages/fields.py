"""Messages: the policy of each request field."""

from gateway.conversation.field_policy import Policy

MESSAGES: dict[str, Policy] = {
    "model": Policy("mapped", "URL path, as in chat"),
    "messages": Policy(
        "mapped", "`contents`: text, images, documents, tool use and results; thoughts are left out"
    ),
    "system": Policy("mapped", "`systemInstruction`"),
    "max_tokens": Policy("clamped", "`maxOutputTokens`; required"),
    "stream": Policy("mapped", "named events"),
    "temperature": Policy("clamped", "the same number"),
    "top_p": Policy("mapped", "`topP`"),
    "top_k": Policy("mapped", "`topK`"),
    "stop_sequences": Policy(
        "mapped",
        "`stopSequences`; the gateway cuts at those after the fifth, 64 at most, and names only these in the answer",
    ),
    "thinking": Policy("clamped", "a budget, or a level, as the model has it; thoughts are shown"),
    "output_config": Policy("mapped", "`effort` and `format`, as in chat"),
    "output_format": Policy("mapped", "`output_config.format` by its older name"),
    "tools": Policy(
        "mapped",
        "functions; web search, web fetch and code execution as Gemini's own; others are left out with a note",
    ),
    "tool_choice": Policy(
        "mapped", "auto, any, tool, none; `disable_parallel_tool_use` keeps the first call"
    ),
    "google": Policy("mapped", "as in chat"),
    "extra_body": Policy("mapped", "as in chat"),
    "metadata": Policy("ignored", "Gemini has no end-user id"),
    "service_tier": Policy("ignored", "the default tier answers", (None, "auto", "standard_only")),
    "container": Policy("ignored", "no counterpart"),
    "context_management": Policy("ignored", "no counterpart"),
    "cache_control": Policy("ignored", "Gemini caches implicitly"),
    "mcp_servers": Policy("dropped", "no counterpart"),
}
"""`POST /v1/messages`."""
