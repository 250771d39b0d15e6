"""Batches: the policy of each request field."""

from gateway.conversation.field_policy import Policy

BATCH: dict[str, Policy] = {
    "input_file_id": Policy("mapped", "a file of the purpose `batch`, of JSON lines"),
    "endpoint": Policy(
        "mapped",
        "`/v1/chat/completions`, `/v1/responses`, `/v1/embeddings` and `/v1/images/generations` by Google's batches;"
        " `/v1/completions` and `/v1/moderations` line by line, at the full price",
    ),
    "completion_window": Policy("mapped", "`24h`; Google may take 48 hours"),
    "metadata": Policy("emulated", "kept and shown; 16 pairs"),
    "output_expires_after": Policy(
        "mapped", "of the files with results and errors: `seconds` from 3600 to 2592000, 30 days without it"
    ),
}
"""`POST /v1/batches`."""

MESSAGE_BATCH: dict[str, Policy] = {
    "requests": Policy(
        "mapped",
        "`custom_id` and `params`, which are those of `/v1/messages`; a fault in `params` is the result of its request"
        " alone",
    ),
}
"""`POST /v1/messages/batches`."""
