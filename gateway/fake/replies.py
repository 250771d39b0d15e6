"""What the emulator says: chosen by commands in the prompt, by a script, or else made from the prompt itself."""

import hashlib
import re
from typing import Any

from msgspec import Struct

from gateway.fake.contract import generation
from gateway.fake.turns import Turn, turn

COMMANDS = {
    "429": "429, the per-minute quota, with a RetryInfo of 34 seconds",
    "429 day": "429, the daily quota",
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
}
"""Written in the prompt between double brackets: `[[503]]`, `[[slow 5]]`."""

_COMMAND = re.compile(r"\[\[([a-z0-9. ]+)\]\]")
_GOOGLE = "type.googleapis.com/google.rpc"


class Reply(Struct):
    """One answer: chunks of a turn, or a status with a body; `ending` says how a stream goes wrong."""

    chunks: list[dict[str, Any]] = []
    status: int = 200
    body: Any = None
    delay: float = 0.0
    """Seconds before the first byte."""
    ending: str = ""


def reply_to(model: str, request: dict[str, Any]) -> Reply:
    """The default reply to a request that was found good."""
    prompt = _prompt(request)
    found = _COMMAND.search(prompt)
    command = found[1].strip() if found else ""
    done = turn(model, request) if not command else None
    if done is not None:
        return Reply(_chunks(model, request, done, prompt))
    if command in _FAILURES:
        status, name, message, details = _FAILURES[command]
        return failure(status, name, message, _with_model(details, model))
    if command == "html 502":
        return Reply(status=502, body="<!DOCTYPE html>\n<title>Error 502 (Server Error)!!1</title>\n")
    if command == "blocked":
        return Reply([_usage({"promptFeedback": {"blockReason": "SAFETY"}}, model, prompt, "")])
    if command == "empty":
        return Reply([_usage({}, model, prompt, "")])
    verb, _, number = command.partition(" ")
    reply = Reply(
        _answer(model, request, prompt, int(number) if verb == "chunks" and number.isdecimal() else 3)
    )
    if verb == "slow" and number:
        reply.delay = min(float(number), 600.0)
    if command == "safety":
        del reply.chunks[1:]
        reply.chunks[0]["candidates"][0]["finishReason"] = "SAFETY"
    if command in ("cut", "cut clean", "error midstream"):
        reply.ending = command
        del reply.chunks[1:]
        reply.chunks[0]["candidates"][0].pop("finishReason", None)
    return reply


def _chunks(model: str, request: dict[str, Any], done: Turn, prompt: str) -> list[dict[str, Any]]:
    """A turn in chunks: thoughts, then the rest, then the end; calls of one step share a chunk (D.2)."""
    calls = [part for part in done.parts if "functionCall" in part]
    groups = [[part] for part in done.parts if "functionCall" not in part] + ([calls] if calls else [])
    chunks = [
        {"content": {"parts": parts, "role": "model"}, "index": 0} for parts in [*groups, [{"text": ""}]]
    ]
    chunks[-1]["finishReason"] = "STOP"
    if calls:
        chunks[-1]["finishMessage"] = "Model generated function call(s)."
    if done.grounding:
        chunks[-1]["groundingMetadata"] = done.grounding
    texts = "".join(part.get("text", "") for part in done.parts if not part.get("thought"))
    if generation(request).get("responseLogprobs"):
        chosen = [{"token": texts, "tokenId": 1, "logProbability": -0.1}]
        chunks[0]["logprobsResult"] = {"chosenCandidates": chosen, "topCandidates": [{"candidates": chosen}]}
    counted = [_usage({"candidates": [chunk]}, model, prompt, texts) for chunk in chunks]
    for chunk in counted if done.thoughts else ():
        chunk["usageMetadata"]["thoughtsTokenCount"] = done.thoughts
        chunk["usageMetadata"]["totalTokenCount"] += done.thoughts
    return counted


def said(model: str, text: str, request: dict[str, Any]) -> Reply:
    """A given text as a turn."""
    return Reply(_turn(model, [text], _prompt(request), "STOP"))


def failure(status: int, name: str, message: str, details: list[dict[str, Any]] | None = None) -> Reply:
    """Google's error object as a reply."""
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
_FAILURES: dict[str, tuple[int, str, str, list[dict[str, Any]]]] = {
    "429": (429, "RESOURCE_EXHAUSTED", _QUOTA_TEXT,
            _quota("GenerateRequestsPerMinutePerProjectPerModel-FreeTier", "10", "34.074824224s")),
    "429 day": (429, "RESOURCE_EXHAUSTED", _QUOTA_TEXT,
                _quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier", "250", "65205s")),
    "500": (500, "INTERNAL", "An internal error has occurred. Please retry.", []),
    "503": (503, "UNAVAILABLE", "The model is overloaded. Please try again later.", []),
}  # fmt: skip


def _with_model(details: list[dict[str, Any]], model: str) -> list[dict[str, Any]]:
    """The quota's dimensions name the model it counts."""
    for detail in details:
        for violation in detail.get("violations", ()):
            violation["quotaDimensions"]["model"] = model
    return details


def _prompt(request: dict[str, Any]) -> str:
    """The text of the last turn."""
    parts = (request.get("contents") or [{}])[-1].get("parts") or []
    return "".join(part.get("text") or "" for part in parts)


def _answer(model: str, request: dict[str, Any], prompt: str, pieces: int) -> list[dict[str, Any]]:
    text = f"You said: {prompt}" + "".join(_seen(request))
    config = request.get("generationConfig") or request.get("generation_config") or {}
    for stop in config.get("stopSequences") or config.get("stop_sequences") or ():
        text = text.partition(stop)[0]
    limit = config.get("maxOutputTokens") or config.get("max_output_tokens")
    finish = "STOP"
    if limit and len(text) > 4 * limit:
        text, finish = text[: 4 * limit], "MAX_TOKENS"
    size = max(1, -(-len(text) // max(1, pieces)))
    return _turn(model, [text[i : i + size] for i in range(0, len(text), size)] or [""], prompt, finish)


def _seen(request: dict[str, Any]) -> list[str]:
    """A line for each file of the last turn, which shows that it arrived."""
    parts = (request.get("contents") or [{}])[-1].get("parts") or []
    blobs = [part.get("inlineData") or part.get("inline_data") for part in parts]
    return [
        f" [{b.get('mimeType') or b.get('mime_type')}, {len(b.get('data', '')) * 3 // 4} bytes]"
        for b in blobs
        if b
    ]


def _turn(model: str, texts: list[str], prompt: str, finish: str) -> list[dict[str, Any]]:
    chunks = []
    for i in range(len(texts)):
        candidate: dict[str, Any] = {"content": {"parts": [{"text": texts[i]}], "role": "model"}, "index": 0}
        if i == len(texts) - 1:
            candidate["finishReason"] = finish
        chunks.append(_usage({"candidates": [candidate]}, model, prompt, "".join(texts[: i + 1])))
    return chunks


def _usage(chunk: dict[str, Any], model: str, prompt: str, text: str) -> dict[str, Any]:
    """A chunk with its counts so far; about four bytes make a token."""
    asked, told = -(-len(prompt.encode()) // 4), -(-len(text.encode()) // 4)
    counts = {"promptTokenCount": asked, "totalTokenCount": asked + told}
    if told:
        counts["candidatesTokenCount"] = told
    response_id = hashlib.sha256(f"{model}\0{prompt}".encode()).hexdigest()[:22]
    return {**chunk, "usageMetadata": counts, "modelVersion": model, "responseId": response_id}
