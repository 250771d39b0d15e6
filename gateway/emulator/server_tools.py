"""Calls of Google's own tools and their results, as a model gives them beside function calls.

With `includeServerSideToolInvocations` an answer has a `toolCall` and a `toolResponse` part for each use of a tool,
both with the same id and a signature each, which the client sends back with its history
(https://ai.google.dev/gemini-api/docs/tool-combination). Code execution has parts of its own instead.
"""

import base64
import hashlib
import re
from typing import Any

import msgspec

from gateway.emulator.history import SIGNATURE
from gateway.emulator.request import built_ins, question, steps_done

_TYPES = {
    "googleSearch": "GOOGLE_SEARCH_WEB", "urlContext": "URL_CONTEXT", "googleMaps": "GOOGLE_MAPS",
    "fileSearch": "FILE_SEARCH",
}  # fmt: skip
"""`toolType` by the tool's field (google-genai, `types.ToolType`)."""
_URL = re.compile(r"https?://[^\s\"'<>)]+")
_PAGE = "https://weather.example/"


def invoked(request: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the parts of the tools that the first step of an answer uses; none without the request's flag."""
    flag = (request.get("toolConfig") or {}).get("includeServerSideToolInvocations")
    if not flag or steps_done(request):
        return []
    words = question(request)
    seed = hashlib.sha256(msgspec.json.encode(request.get("contents"))).digest()
    tools = [tool for tool in _TYPES if tool in built_ins(request)]
    return [
        part for tool in tools for part in _use(tool, words, hashlib.sha256(seed + tool.encode()).digest())
    ]


def _use(tool: str, words: str, seed: bytes) -> list[dict[str, Any]]:
    """Return the call of a tool, and its result."""
    kind = {"toolType": _TYPES[tool], "id": base64.b32encode(seed)[:8].decode().lower()}
    args: dict[str, Any] = {"queries": [words[:80] or "weather"]}
    response: dict[str, Any] = {}
    if tool == "googleSearch":
        response = {"search_suggestions": "<div>weather</div>"}
    elif tool == "urlContext":
        args = {"urls": _URL.findall(words)[:20] or [_PAGE]}
    return [
        {"toolCall": {**kind, "args": args}, "thoughtSignature": _signature(seed[:12])},
        {"toolResponse": {**kind, "response": response}, "thoughtSignature": _signature(seed[12:24])},
    ]


def _signature(seed: bytes) -> str:
    return base64.b64encode(SIGNATURE + seed).decode()
