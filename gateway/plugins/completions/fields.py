"""Legacy completions: the policy of each request field."""

from gateway.conversation.field_policy import Policy

COMPLETIONS: dict[str, Policy] = {
    "model": Policy("mapped", "URL path, as in chat"),
    "prompt": Policy("mapped", "a text, or several, each a call of its own; token ids cannot be translated"),
    "suffix": Policy("emulated", "asked for in words"),
    "echo": Policy("emulated", "the prompt is put before the text"),
    "stream": Policy("mapped", "as in chat"),
    "stream_options": Policy("mapped", "`include_usage`"),
    "max_tokens": Policy("clamped", "`maxOutputTokens`; OpenAI's default of 16 is not applied"),
    "temperature": Policy("clamped", "as in chat"),
    "top_p": Policy("mapped", "`topP`"),
    "n": Policy("emulated", "one upstream call for each choice"),
    "best_of": Policy("emulated", "the first `n` answers count as the best; more than `n` is a note"),
    "seed": Policy("clamped", "as in chat"),
    "stop": Policy("mapped", "`stopSequences`; the gateway cuts at those after the fifth, 64 at most"),
    "presence_penalty": Policy("mapped", "where the model takes one"),
    "frequency_penalty": Policy("mapped", "where the model takes one"),
    "logprobs": Policy("dropped", "the legacy shape is not written; chat returns log probabilities"),
    "logit_bias": Policy("dropped", "Gemini has no counterpart"),
    "user": Policy("ignored", "Gemini has no end-user id"),
}
"""`POST /v1/completions`."""
