"""Treatment of each field of OpenAI's embeddings request."""

from gateway.conversation.field_policy import Policy

EMBEDDINGS: dict[str, Policy] = {
    "input": Policy(
        "mapped",
        "a text or a list of texts, at most 100 per call of Gemini; token ids are decoded to text if"
        " `plugins.embeddings.tokens` names their vocabulary, otherwise they are a 400",
    ),
    "model": Policy("mapped", "URL path; names of other vendors' models become `models.embeddings`"),
    "dimensions": Policy(
        "mapped", "`outputDimensionality`; vectors are scaled to unit length (`unit_length`)"
    ),
    "encoding_format": Policy("emulated", "base64 of little-endian float32, which OpenAI's SDKs ask for"),
    "task_type": Policy("mapped", "`taskType` (not an OpenAI field)"),
    "title": Policy("mapped", "`title` (not an OpenAI field)"),
    "google": Policy("mapped", "`task_type` and `title`"),
    "extra_body": Policy("mapped", "the literal key some SDKs send; `extra_body.google` is read as `google`"),
    "user": Policy("ignored", "Gemini has no end-user id"),
}
"""`POST /v1/embeddings`."""
