"""Interactions: text in, text out, in the shapes of google-genai 3.6; stored for the key that made them.

`GET /interactions/{id}` and `DELETE` find what was stored. Tools, agents and media are not emulated.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import msgspec
from aiohttp import web

from gateway.emulator import transcription
from gateway.emulator.chunks import joined
from gateway.emulator.errors import Refusal, key_refusal, model_refusal
from gateway.emulator.files_api import FilesApi
from gateway.emulator.objects import Objects
from gateway.emulator.rest import NOT_FOUND, VERSION, decoded, key_of, refused, reply
from gateway.emulator.script import Script

_NO_ANSWER: dict[str, Any] = {"candidates": [{"content": {"parts": []}}]}
_AGENT = re.compile(r"deep-research-[\w.-]+|antigravity-[\w.-]+")
_FIELDS = frozenset({
    "model", "agent", "input", "system_instruction", "tools", "response_format", "response_mime_type",
    "response_modalities",
    "generation_config", "stream", "store", "background", "service_tier", "safety_settings", "labels", "cached_content",
    "previous_interaction_id", "agent_config", "environment", "webhook_config", "continuation_token",
})  # fmt: skip


class InteractionsApi:
    """Interactions by id. `answering` returns the model that answers for a name; `files` knows whose a file is."""

    def __init__(
        self, script: Script, objects: Objects, answering: Callable[[str], str], files: FilesApi
    ) -> None:
        self._script = script
        self._objects = objects
        self._files = files
        self._answering = answering

    def routes(self) -> list[web.RouteDef]:
        path = VERSION + "/interactions"
        return [
            web.post(path, self.create),
            web.get(path + "/{id}", self.one),
            web.delete(path + "/{id}", self.one),
            web.post(path + "/{id}/cancel", self.one),
        ]

    async def create(self, request: web.Request) -> web.StreamResponse:
        """Answer an interaction, whole or in events."""
        body = decoded(await request.read())
        refusal = key_refusal(request) or self._refusal(body, key_of(request))
        refusal = refusal or self._files.refusal(request, [{"fileUri": uri} for uri in _uris(body["input"])])
        if refusal is not None:
            return refused(refusal)
        model = str(body.get("model") or "gemini-2.5-flash").removeprefix("models/")
        if transcription.MODEL in model:
            return self._transcribed(body, key_of(request))
        text = "\n".join(_texts(body["input"]))
        contents = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
        answer = joined(self._script.reply(model, contents, self._answering(model)).chunks)
        interaction = _interaction(body, answer)
        if body.get("store") is not False:
            self._objects.add(key_of(request), f"interactions/{interaction['id']}", interaction)
        if not body.get("stream"):
            return reply(interaction)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for event in _events(interaction):
            data = msgspec.json.encode(event).decode()
            await response.write(f"event: {event['event_type']}\ndata: {data}\n\n".encode())
        await response.write(b"event: done\ndata: [DONE]\n\n")
        return response

    def _transcribed(self, body: dict[str, Any], key: str) -> web.Response:
        content, usage = transcription.interaction(body)
        interaction = {**_interaction(body, _NO_ANSWER), "usage": usage}
        interaction["steps"] = [{"type": "model_output", "content": content}]
        if body.get("store") is not False:
            self._objects.add(key, f"interactions/{interaction['id']}", interaction)
        return reply(interaction)

    async def one(self, request: web.Request) -> web.Response:
        """Answer GET, DELETE, and a cancellation, which comes too late."""
        if (refusal := key_refusal(request)) is not None:
            return refused(refusal)
        name = f"interactions/{request.match_info['id']}"
        interaction = self._objects.get(key_of(request), name)
        if interaction is None:
            return refused(NOT_FOUND)
        if request.method == "DELETE":
            self._objects.remove(name)
            return reply({})
        return reply(interaction)

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
        if before and self._objects.get(key, f"interactions/{before}") is None:
            return NOT_FOUND
        model = str(body["model"]).removeprefix("models/")
        if transcription.MODEL in model:
            return model_refusal(model, "") or transcription.refusal(body)
        return model_refusal(model, "generateContent")


def _uris(value: Any) -> list[str]:
    """Return the addresses of files among the contents of an input."""
    contents = value if isinstance(value, list) else [value]
    uris = [content.get("uri") for content in contents if isinstance(content, dict)]
    return [uri for uri in uris if isinstance(uri, str)]


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
