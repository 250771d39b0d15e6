"""Gemini's finish reasons (https://ai.google.dev/api/generate-content#FinishReason), and OpenAI's for each."""

from gateway.gemini.events import Reason

REASONS: dict[str, Reason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
}
"""finishReason to OpenAI's finish_reason; any other name means `stop`."""

BROKEN = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MALFORMED_RESPONSE",
        "MISSING_THOUGHT_SIGNATURE",
    }
)
"""The model failed to write a valid answer. Another attempt is worth it while nothing was sent to the client."""

COMPLETE = frozenset({"STOP", "MAX_TOKENS", "CONTINUATION", "FINISH_REASON_UNSPECIFIED"})
"""Reasons that need no words: the answer is whole, or as long as it may be."""

UNKNOWN_CAUSE = frozenset({"OTHER", "ESCALATION", "PUP_LIMITED_DISABLED"})
"""Reasons that mean a filter when the answer is empty."""

KNOWN = frozenset(REASONS) | BROKEN | UNKNOWN_CAUSE | {"FINISH_REASON_UNSPECIFIED", "IMAGE_OTHER", "NO_IMAGE"}
"""All names that Google documents (https://ai.google.dev/api/generate-content#FinishReason)."""

_NUMBERED = {
    1: "STOP",
    2: "MAX_TOKENS",
    3: "SAFETY",
    4: "RECITATION",
    5: "OTHER",
    6: "LANGUAGE",
    7: "BLOCKLIST",
    8: "PROHIBITED_CONTENT",
    9: "SPII",
    10: "MALFORMED_FUNCTION_CALL",
    11: "IMAGE_SAFETY",
}
"""Numbers of the enum in v1beta's proto, for servers that print them."""

MAX_REASON = 64
"""Characters of an unknown reason that are kept."""


def reason_name(reason: str | int) -> str:
    """Return a finish reason's name, also where a server prints its number."""
    return reason if isinstance(reason, str) else _NUMBERED.get(reason, "FINISH_REASON_UNSPECIFIED")
