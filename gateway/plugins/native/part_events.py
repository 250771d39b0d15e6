"""Parts of Gemini's own JSON as events of `gemini/events.py`, and back, for the hooks of plugins."""

from typing import Any

import msgspec
from msgspec import Raw

from gateway.gemini.events import (
    OTHER_PART,
    CodePart,
    Event,
    FilePart,
    MediaPart,
    Reason,
    ServerTool,
    TextDelta,
    ThoughtDelta,
    ToolCall,
)
from gateway.gemini.request_json import JsonObject
from gateway.gemini.wire import encode_json

FINISH_REASONS: dict[Reason, str] = {
    "stop": "STOP",
    "tool_calls": "STOP",
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
}
"""Gemini's finishReason for an answer that a hook ends."""


_NO_CONTENT = frozenset({"thought", "thoughtSignature", "videoMetadata", "partMetadata"})


def event_of(index: int, part: JsonObject) -> Event | None:
    """Return the event of a part; None for one that hooks do not see."""
    match part:
        case {"text": str(text)}:
            return ThoughtDelta(index, text) if part.get("thought") else TextDelta(index, text)
        case {"functionCall": {"name": str(name), **call}}:
            arguments = encode_json(call.get("args") or {}).decode()
            return ToolCall(index, str(call.get("id") or ""), name, arguments, part.get("thoughtSignature"))
        case {"inlineData": {"data": str(data), **blob}}:
            return MediaPart(index, str(blob.get("mimeType") or ""), data)
        case {"fileData": {"fileUri": str(uri), **file}}:
            return FilePart(index, uri, str(file.get("mimeType") or "") or None)
        case {"executableCode": {"code": str(source)}}:
            return CodePart(index, source=source)
        case {"codeExecutionResult": dict(result)}:
            failed = result.get("outcome") not in ("OUTCOME_OK", 1)
            return CodePart(index, output=str(result.get("output") or ""), failed=failed)
    if part.keys() <= _NO_CONTENT:
        return None
    return ServerTool(index, "", OTHER_PART, Raw(encode_json(part)), Raw(b""))


def part_of(event: Event) -> JsonObject | None:
    """Return the part that is equal to a hook's event; None for events that are no parts."""
    part: dict[str, Any]
    match event:
        case TextDelta():
            part = {"text": event.text}
        case ThoughtDelta():
            part = {"text": event.text, "thought": True}
        case ToolCall():
            part = {"functionCall": {"name": event.name, "args": msgspec.json.decode(event.arguments)}}
            if event.id:
                part["functionCall"]["id"] = event.id
            if event.signature:
                part["thoughtSignature"] = event.signature
        case MediaPart():
            part = {"inlineData": {"mimeType": event.mime_type, "data": event.data}}
        case FilePart():
            part = {"fileData": {"fileUri": event.uri, "mimeType": event.mime_type}}
        case ServerTool(kind="part"):
            return msgspec.json.decode(event.args, type=dict[str, Any])
        case CodePart(source=str()):
            part = {"executableCode": {"code": event.source, "language": "PYTHON"}}
        case CodePart():
            outcome = "OUTCOME_FAILED" if event.failed else "OUTCOME_OK"
            part = {"codeExecutionResult": {"outcome": outcome, "output": event.output or ""}}
        case _:
            return None
    return part
