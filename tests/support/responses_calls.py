"""Calls that Gemini answers with, as a Responses client gets them: unary, and streamed."""

import json
from typing import Any

import msgspec
from openai.types.responses import ResponseOutputItem, ResponseStreamEvent
from pydantic import TypeAdapter

from gateway.gemini.wire import decode_response
from tests.support import goldens
from tests.support.frames import frames
from tests.support.responses import Answer, gemini_body

_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
_ITEM: TypeAdapter[Any] = TypeAdapter(ResponseOutputItem)
_UNTYPED = (
    "response.apply_patch_call_operation_diff.delta",
    "response.apply_patch_call_operation_diff.done",
)
"""Events that OpenAI sends and openai-python 3.57 has no type for."""


def call(name: str, **arguments: Any) -> dict[str, Any]:
    """Return a part with a call."""
    return {"functionCall": {"name": name, "args": arguments}}


def declared(request: dict[str, Any]) -> list[str]:
    """Return the names of the functions that Gemini is sent."""
    tools = gemini_body(request).get("tools", [])
    return [function["name"] for tool in tools for function in tool.get("functionDeclarations", ())]


class Calls:
    """The output of a request that Gemini answers with some parts. Its events and items are openai-python's."""

    def __init__(self, request: dict[str, Any], *parts: dict[str, Any]) -> None:
        answer = {
            "candidates": [{"content": {"parts": list(parts), "role": "model"}, "finishReason": "STOP"}]
        }
        line = json.dumps(answer)
        self.events = frames(Answer(request).stream(goldens.sse(line)))
        """Of the stream."""
        self.items: list[dict[str, Any]] = self.events[-1]["response"]["output"]
        """Of the response that ends the stream."""
        for event in self.item_events:
            if event["type"] not in _UNTYPED:
                _EVENT.validate_python(event)
        for item in self.items:
            _ITEM.validate_python(item)
        unary = Answer(request)
        unary.encoder.encode(
            unary.reader.feed(decode_response(line.encode())) + unary.reader.close(whole=True)
        )
        self.unary = json.loads(msgspec.json.encode(unary.encoder.response["output"]))

    @property
    def item_events(self) -> list[dict[str, Any]]:
        """The events of output items, without those of the response."""
        return [event for event in self.events if "response" not in event]

    def named(self, field: str) -> list[Any]:
        """Return a field of the item or event, for each event that has it, and of the last response."""
        return [
            place[field]
            for event in self.events
            for place in (event, event.get("item", {}), *event.get("response", {}).get("output", ()))
            if field in place
        ]
