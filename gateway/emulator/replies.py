"""Replies of the emulator: provoked by commands in the prompt, or made from the request."""

import re
from base64 import b64decode, b64encode
from copy import deepcopy
from typing import Any

from msgspec import Struct

from gateway.emulator.calls import signed
from gateway.emulator.chunks import bare, chunked
from gateway.emulator.models import model_of
from gateway.emulator.request import generation, prompt
from gateway.emulator.turns import Turn, talk, turn

COMMANDS = {
    "429": "429, the per-minute quota, with a RetryInfo of 34 seconds",
    "429 day": "429, the daily quota",
    "429 spent": "429, the project's monthly spending cap: neither a quota nor a delay",
    "too long": "400, more input tokens than the model takes",
    "500": "500 INTERNAL",
    "503": "503, the model is overloaded",
    "html 502": "502 with a front end's HTML page",
    "blocked": "the prompt is blocked: promptFeedback and no candidate",
    "safety": "a beginning, then finishReason SAFETY",
    "cut": "the connection breaks in the middle of a stream",
    "cut clean": "a stream that ends properly but without a finishReason",
    "error midstream": "an error object inside a stream that began well",
    "empty": "200 with neither candidates nor a reason",
    "slow N": "N seconds of silence before the first byte",
    "chunks N": "an answer in N chunks",
    "hops N": "an answer in N requests: each before the last ends with CONTINUATION and a continuationToken",
}
"""Commands are written in the prompt in double brackets: `[[503]]`, `[[slow 5]]`."""

_COMMAND = re.compile(r"\[\[([a-z0-9. ]+)\]\]")
_GOOGLE = "type.googleapis.com/google.rpc"


class Reply(Struct):
    """One answer: chunks of a turn, or a status with a body. `ending` is the command that breaks a stream."""

    chunks: list[dict[str, Any]] = []
    status: int = 200
    body: Any = None
    delay: float = 0.0
    """Seconds before the first byte."""
    ending: str = ""


def reply_to(model: str, request: dict[str, Any]) -> Reply:
    """Return the reply to a valid request."""
    command = _COMMAND.search(prompt(request))
    if command is not None:
        return _commanded(command[1].strip(), model, request)
    return Reply(chunked(model, request, turn(model, request) or talk(request)))


def _commanded(command: str, model: str, request: dict[str, Any]) -> Reply:
    if command in _FAILURES:
        status, name, message, details = _FAILURES[command]
        return failure(status, name, message, _with_model(deepcopy(details), model))
    if command == "html 502":
        return Reply(status=502, body="<!DOCTYPE html>\n<title>Error 502 (Server Error)!!1</title>\n")
    if command in ("blocked", "empty"):
        fields = {"promptFeedback": {"blockReason": "SAFETY"}} if command == "blocked" else {}
        return Reply([bare(fields, model, request)])
    verb, _, number = command.partition(" ")
    pieces = int(number) if verb == "chunks" and number.isdecimal() else 3
    if verb == "hops" and number.isdecimal():
        return _hop(int(number), model, request)
    reply = Reply(chunked(model, request, talk(request), pieces))
    if verb == "slow" and number:
        reply.delay = min(float(number), 600.0)
    return _broken_off(reply, command)


def _hop(hops: int, model: str, request: dict[str, Any]) -> Reply:
    """Return the next piece of a long answer (https://ai.google.dev/gemini-api/docs/generate-content/long-decode).

    The client sends the same request again with the token of the piece before.
    """
    hop = hop_of(request)
    more = hop < hops
    chunks = chunked(
        model, request, Turn([{"text": f"Part {hop}. "}], finish="CONTINUATION" if more else "STOP")
    )
    if more:
        chunks[-1]["candidates"][0]["continuationToken"] = b64encode(b"hop %d" % (hop + 1)).decode()
    return Reply(chunks)


def hop_of(request: dict[str, Any]) -> int:
    """Return the number of the piece that the continuationToken asks for; 1 without one, 0 for another's."""
    token = request.get("continuationToken")
    if not token:
        return 1
    try:
        name, _, number = b64decode(token).decode("ascii", "replace").partition(" ")
    except ValueError:
        return 0
    return int(number) if name == "hop" and number.isdecimal() else 0


def hop_refusal(model: str, request: dict[str, Any], *, stream: bool) -> str | None:
    """Return the message against a unary call whose limit is longer than one piece, or a token of no answer.

    Google documents the 400, not its words.
    """
    most, wanted = model_of(model).longest_hop, generation(request).get("maxOutputTokens", 0)
    if most and not stream and wanted > most and not request.get("continuationToken"):
        return (
            f"max_output_tokens is {wanted}, but a call without streaming or a continuation_token generates at most "
            f"{most}."
        )
    return None if hop_of(request) else "Invalid continuation_token."


def _broken_off(reply: Reply, command: str) -> Reply:
    """Cut a reply to its first chunk, for the commands that need that."""
    if command not in ("safety", "cut", "cut clean", "error midstream"):
        return reply
    del reply.chunks[1:]
    candidate = reply.chunks[0]["candidates"][0]
    candidate.pop("finishReason", None)
    if command == "safety":
        candidate["finishReason"] = "SAFETY"
    else:
        reply.ending = command
    return reply


def parts_reply(model: str, parts: list[dict[str, Any]], finish: str, request: dict[str, Any]) -> Reply:
    """Return these parts as a reply; each text is one chunk."""
    return Reply(chunked(model, request, Turn(deepcopy(parts), finish=finish), 1))


def calls_reply(model: str, calls: list[dict[str, Any]], request: dict[str, Any]) -> Reply:
    """Return these calls as a reply, with ids and a signature as the model's own have them."""
    parts = signed(model_of(model), [{"functionCall": dict(call)} for call in calls], request)
    return Reply(chunked(model, request, Turn(parts)))


def failure(status: int, name: str, message: str, details: list[dict[str, Any]] | None = None) -> Reply:
    """Return Google's error object as a reply."""
    error: dict[str, Any] = {"code": status, "message": message, "status": name}
    if details:
        error["details"] = details
    return Reply(status=status, body={"error": error})


def _quota(quota: str, value: str, delay: str) -> list[dict[str, Any]]:
    metric = "generativelanguage.googleapis.com/generate_content_free_tier_requests"
    violation = {
        "quotaMetric": metric,
        "quotaId": quota,
        "quotaDimensions": {"location": "global"},
        "quotaValue": value,
    }
    return [
        {"@type": f"{_GOOGLE}.QuotaFailure", "violations": [violation]},
        {"@type": f"{_GOOGLE}.Help", "links": [{"description": "Learn more", "url": "https://ai.google.dev/gemini-api/docs/rate-limits"}]},
        {"@type": f"{_GOOGLE}.RetryInfo", "retryDelay": delay},
    ]  # fmt: skip


_QUOTA_TEXT = "You exceeded your current quota, please check your plan and billing details."
_SPENT = (
    "Your project has exceeded its monthly spending cap. Please go to AI Studio at https://ai.studio/spend to manage"
    " your project spend cap."
)
_TOO_LONG = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."
"""https://github.com/google-gemini/gemini-cli/issues/6678."""
_FAILURES: dict[str, tuple[int, str, str, list[dict[str, Any]]]] = {
    "429": (429, "RESOURCE_EXHAUSTED", _QUOTA_TEXT,
            _quota("GenerateRequestsPerMinutePerProjectPerModel-FreeTier", "10", "34.074824224s")),
    "429 day": (429, "RESOURCE_EXHAUSTED", _QUOTA_TEXT,
                _quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier", "250", "65205s")),
    "429 spent": (429, "RESOURCE_EXHAUSTED", _SPENT, []),
    "too long": (400, "INVALID_ARGUMENT", _TOO_LONG, []),
    "500": (500, "INTERNAL", "An internal error has occurred. Please retry.", []),
    "503": (503, "UNAVAILABLE", "The model is overloaded. Please try again later.", []),
}  # fmt: skip


def _with_model(details: list[dict[str, Any]], model: str) -> list[dict[str, Any]]:
    """Add the model to the dimensions of each quota."""
    for detail in details:
        for violation in detail.get("violations", ()):
            violation["quotaDimensions"]["model"] = model
    return details
