"""The end of a response: its status, and the words for an answer that Gemini could not complete."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from gateway.errors import scrub
from gateway.gemini.events import Finished

Object = dict[str, Any]
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
_FAILED = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MALFORMED_RESPONSE",
        "MISSING_THOUGHT_SIGNATURE",
    }
)
"""Reasons for which the answer failed, and may succeed when it is asked again. Others mean that Gemini declined."""
_SHOWN = ("message", "image_generation_call")


class Ending(Struct, frozen=True):
    """The fields of a response at its end."""

    status: str
    incomplete_details: Object | None = None
    error: Object | None = None
    refusal: str | None = None
    """Text of a message that is added to the output."""


def ending(end: Finished, output: Sequence[Object]) -> Ending:
    """Return the end of a response. Complete calls are worth running, whatever came after them."""
    reason = _INCOMPLETE.get(end.reason)
    if reason is None and (end.failure is None or end.reason == "tool_calls"):
        return Ending("completed", refusal=end.refusal)
    message = _words(end)
    if end.failure in _FAILED:
        return Ending("failed", error={"code": "server_error", "message": message}, refusal=end.refusal)
    details: Object = {"reason": reason or "content_filter"}
    if end.failure is not None and (end.refusal is None or end.message):
        details["message"] = message
    is_silent = end.failure is not None and not any(item["type"] in _SHOWN for item in output)
    return Ending("incomplete", details, refusal=end.refusal or (message if is_silent else None))


def _words(end: Finished) -> str:
    """Return Gemini's reason, and its message if there is one."""
    return scrub(f"Gemini ended the answer with {end.failure}" + (f": {end.message}" if end.message else "."))
