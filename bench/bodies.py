"""Requests of the measurements, as OpenAI's and Anthropic's clients send them, and as a proxy passes them to Gemini."""

import base64
import json
import random
from dataclasses import dataclass
from typing import Any

MODEL = "gemini-2.5-flash"
_GEMINI = f"/v1beta/models/{MODEL}"
_PICTURE_BYTES = 48_000
_TURNS = 40


@dataclass(frozen=True)
class Request:
    """A path, a body, and whether the answer is a stream."""

    path: str
    body: bytes
    streamed: bool = False

    def head(self, key: str) -> dict[str, str]:
        """Return the header fields."""
        return {
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/json",
            **_VERSION.get(self.path, {}),
        }

    def wire(self, key: str) -> bytes:
        """Return the bytes of an HTTP/1.1 request."""
        fields = {"Host": "bench", **self.head(key), "Content-Length": str(len(self.body))}
        lines = (f"{name}: {value}\r\n" for name, value in fields.items())
        return f"POST {self.path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode() + self.body


_VERSION = {"/v1/messages": {"anthropic-version": "2023-06-01"}}


def chat(text: str = "Say hello.", *, streamed: bool = False, **fields: Any) -> Request:
    """Return a chat request with a system prompt and one turn."""
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]
    body = {"model": MODEL, "messages": messages, "temperature": 0.5, "max_tokens": 100, **fields}
    return _request("/v1/chat/completions", body, streamed)


def gemini(text: str = "Say hello.", *, streamed: bool = False) -> Request:
    """Return the request that the gateway makes of `chat`, for a proxy."""
    verb = "streamGenerateContent?alt=sse" if streamed else "generateContent"
    body = {
        "contents": [{"role": "user", "parts": [{"text": text}]}],
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "generationConfig": {"temperature": 0.5, "maxOutputTokens": 100},
    }
    return Request(f"{_GEMINI}:{verb}", json.dumps(body).encode(), streamed)


def paced(pace: int, events: int, *, is_gemini: bool) -> Request:
    """Return a request for a stream with an event every `pace` milliseconds; without end for 0 events."""
    text = f"Count. pace={pace} events={events}"
    return gemini(text, streamed=True) if is_gemini else chat(text, streamed=True)


def unusual() -> dict[str, Request]:
    """Return the requests that are not plain, by name."""
    return {
        "tools": chat(
            tools=[_tool(name) for name in ("weather", "forecast", "stations")], tool_choice="auto"
        ),
        "schema": chat(response_format={"type": "json_schema", "json_schema": _SCHEMA}),
        "image": chat(messages=_picture()),
        "history": chat(messages=_history()),
        "Responses": _request("/v1/responses", _responses()),
        "Responses, streamed": _request("/v1/responses", _responses(), streamed=True),
        "Messages": _request("/v1/messages", _messages()),
        "Messages, streamed": _request("/v1/messages", _messages(), streamed=True),
    }


def _request(path: str, body: dict[str, Any], streamed: bool = False) -> Request:
    return Request(path, json.dumps({**body, "stream": True} if streamed else body).encode(), streamed)


_PROPERTIES = {
    "city": {"type": "string", "description": "The city's name, in English."},
    "days": {"type": "integer", "minimum": 1, "maximum": 14},
    "units": {"type": "string", "enum": ["metric", "imperial"]},
}
_OBJECT = {
    "type": "object",
    "properties": _PROPERTIES,
    "required": ["city", "days", "units"],
    "additionalProperties": False,
}
_SCHEMA = {
    "name": "report",
    "strict": True,
    "schema": {
        "type": "object",
        "properties": {
            "place": _OBJECT,
            "celsius": {"type": "number"},
            "notes": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["place", "celsius", "notes"],
        "additionalProperties": False,
    },
}


def _tool(name: str) -> dict[str, Any]:
    description = f"Look up the {name} of a city."
    return {"type": "function", "function": {"name": name, "description": description, "parameters": _OBJECT}}


def _picture() -> list[dict[str, Any]]:
    data = b"\x89PNG\r\n\x1a\n" + random.Random(17).randbytes(_PICTURE_BYTES)
    url = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}]
    return [{"role": "user", "content": parts}]


def _history() -> list[dict[str, Any]]:
    words = "a sentence of some length that was said earlier in this conversation, "
    turns = [
        {"role": ("user", "assistant")[i % 2], "content": f"Turn {i}: {words * 3}"} for i in range(_TURNS)
    ]
    return [{"role": "system", "content": "Be brief."}, *turns, {"role": "user", "content": "And now?"}]


def _responses() -> dict[str, Any]:
    return {
        "model": MODEL,
        "instructions": "Be brief.",
        "input": "Say hello.",
        "max_output_tokens": 100,
        "store": False,
    }


def _messages() -> dict[str, Any]:
    messages = [{"role": "user", "content": "Say hello."}]
    return {"model": MODEL, "system": "Be brief.", "messages": messages, "max_tokens": 100}
