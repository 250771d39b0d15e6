"""Interactions: text in, text out, in the shapes of google-genai 3.6; stored for the key that made them.

`GET /interactions/{id}` and `DELETE` find what was stored. Tools, agents and media are not emulated.
"""

import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import msgspec
from aiohttp import web

from gateway.emulator.chunks import joined
from gateway.emulator.errors import Refusal, key_refusal, model_refusal
from gateway.emulator.script import Script

_MOST_STORED = 1000
_AGENT = re.compile(r"deep-research-[\w.-]+|antigravity-[\w.-]+")
_FIELDS = frozenset({
    "model", "agent", "input", "system_instruction", "tools", "response_format", "response_mime_type",
    "response_modalities",
    "generation_config", "stream", "store", "background", "service_tier", "safety_settings", "labels", "cached_content",
    "previous_interaction_id", "agent_config", "environment", "webhook_config", "continuation_token",
})  # fmt: skip


class InteractionsApi:
    """Interactions by id, each with its owner's key. Beyond 1000 the oldest is dropped."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._stored: dict[str, tuple[str, dict[str, Any]]] = {}

    def routes(self) -> list[web.RouteDef]:
        path = "/{version:v1(?:beta|alpha)?}/interactions"
        return [
            web.post(path, self.create),
            web.get(path + "/{id}", self.one),
            web.delete(path + "/{id}", self.one),
        ]

    async def create(self, request: web.Request) -> web.StreamResponse:
        """Answer an interaction, whole or in events."""
        body = _decoded(await request.read())
        refusal = key_refusal(request) or self._refusal(body, _key(request))
        if refusal is not None:
            return _reply(refusal.body(), refusal.code)
        model = str(body.get("model") or "gemini-2.5-flash").removeprefix("models/")
        text = "\n".join(_texts(body["input"]))
        answer = joined(
            self._script.reply(model, {"contents": [{"role": "user", "parts": [{"text": text}]}]}).chunks
        )
        interaction = _interaction(body, answer)
        if body.get("store") is not False:
            while len(self._stored) >= _MOST_STORED:
                del self._stored[next(iter(self._stored))]
            self._stored[interaction["id"]] = _key(request), interaction
        if not body.get("stream"):
            return _reply(interaction, 200)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for event in _events(interaction):
            data = msgspec.json.encode(event).decode()
            await response.write(f"event: {event['event_type']}\ndata: {data}\n\n".encode())
        await response.write(b"event: done\ndata: [DONE]\n\n")
        return response

    async def one(self, request: web.Request) -> web.Response:
        """Answer GET and DELETE."""
        if (refusal := key_refusal(request)) is not None:
            return _reply(refusal.body(), refusal.code)
        name = request.match_info["id"]
        owner, interaction = self._stored.get(name, ("", {}))
        if owner != _key(request):
            return _reply(_absent().body(), 404)
        if request.method == "DELETE":
            del self._stored[name]
            return _reply({}, 200)
        return _reply(interaction, 200)

    def _refusal(self, body: dict[str, Any], key: str) -> Refusal | None:
        unknown = sorted(body.keys() - _FIELDS)
        if unknown:
            message = f'Invalid JSON payload received. Unknown name "{unknown[0]}": Cannot find field.'
            return Refusal(400, "INVALID_ARGUMENT", message)
        if not body.get("input"):
            return Refusal(400, "INVALID_ARGUMENT", "* input: must be set.")
        if agent := body.get("agent"):
            return (
                None
                if _AGENT.fullmatch(str(agent))
                else Refusal(404, "NOT_FOUND", f"Agent {agent} is not found.")
            )
        if not body.get("model"):
            return Refusal(400, "INVALID_ARGUMENT", "Either `model` or `agent` must be set.")
        before = body.get("previous_interaction_id")
        if before and self._stored.get(str(before), ("", {}))[0] != key:
            return _absent()
        return model_refusal(str(body["model"]).removeprefix("models/"), "generateContent")


def _absent() -> Refusal:
    return Refusal(404, "NOT_FOUND", "Requested entity was not found.")


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts of an input: a text, contents, or steps with contents."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        yield from _texts(value.get("text") or value.get("content") or value.get("result"))


def _interaction(body: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    parts = answer["candidates"][0]["content"]["parts"]
    usage = answer.get("usageMetadata", {})
    spoken, heard = usage.get("candidatesTokenCount", 0), usage.get("promptTokenCount", 0)
    thoughts = usage.get("thoughtsTokenCount", 0)
    content = [{"type": "text", "text": part["text"]} for part in parts if "text" in part]
    asked: dict[str, Any] = {name: body[name] for name in ("model", "agent") if name in body}
    return {
        "id": f"v1_{uuid4().hex}", "object": "interaction", **asked, "status": "completed",
        "created": "2026-01-01T00:00:00Z", "updated": "2026-01-01T00:00:00Z", "role": "model",
        "steps": [{"type": "model_output", "content": content}],
        "usage": {
            "total_tokens": heard + spoken + thoughts, "total_input_tokens": heard, "total_cached_tokens": 0,
            "total_output_tokens": spoken, "total_thought_tokens": thoughts, "total_tool_use_tokens": 0,
            "input_tokens_by_modality": [{"modality": "text", "tokens": heard}],
        },
    }  # fmt: skip


def _events(interaction: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the events of an interaction; only the last has its usage."""
    begun = {k: v for k, v in interaction.items() if k not in ("usage", "steps")} | {"status": "in_progress"}
    yield {"event_type": "interaction.created", "interaction": begun}
    for i, step in enumerate(interaction["steps"]):
        yield {"event_type": "step.start", "index": i, "step": {"type": step["type"]}}
        for content in step["content"]:
            yield {"event_type": "step.delta", "index": i, "delta": content}
        yield {"event_type": "step.stop", "index": i}
    ended = {k: v for k, v in interaction.items() if k != "steps"}
    yield {"event_type": "interaction.completed", "interaction": ended}


def _key(request: web.Request) -> str:
    return request.headers.get("x-goog-api-key") or request.query.get("key", "")


def _decoded(data: bytes) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return {}
    return body if isinstance(body, dict) else {}


def _reply(body: Any, status: int) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")
