"""The emulator's HTTP side: Google's paths, keys, framing and pace."""

import asyncio
import re
import sys
from collections import deque
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web
from msgspec import Struct

from gateway.fake.contract import Refusal, check, shaped
from gateway.fake.refusals import refusal as refused_together
from gateway.fake.replies import Reply
from gateway.fake.script import Script, load_script

MODELS = (
    "gemini-2.0-flash", "gemini-2.5-flash", "gemini-2.5-flash-lite", "gemini-2.5-pro", "gemini-2.5-flash-image",
    "gemini-3-flash-preview", "gemini-3.1-pro-preview", "gemini-3.1-flash-image", "gemini-3.5-flash",
    "gemini-3.6-flash", "gemini-3.7-flash", "gemini-3.8-flash", "gemini-3.8-flash-tts", "gemini-flash-latest",
    "gemini-flash-lite-latest", "gemini-pro-latest", "gemma-3-27b-it", "gemma-4-31b-it",
)  # fmt: skip
_BAD_KEY = re.compile(r"bad|invalid", re.I)
_NO_KEY = (
    "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or "
    "other form of API consumer identity to call this API."
)


class Call(Struct):
    """A request that arrived. `left` when its client went away before the end."""

    path: str
    model: str
    stream: bool
    headers: dict[str, str]
    body: Any
    left: bool = False


CALLS: web.AppKey[deque[Call]] = web.AppKey("calls", deque)


def build_fake(script: Script | None = None, *, pace: float = 0.02) -> web.Application:
    """The emulator; `pace` is the seconds between the chunks of a stream."""
    emulator = _Emulator(script or Script([]), pace)
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app[CALLS] = emulator.calls
    version = "/{version:v1(?:beta|alpha)?}"
    app.add_routes([
        web.post(version + "/models/{model:[^/:]+}:{verb:generateContent|streamGenerateContent}", emulator.generate),
        web.post(version + "/models/{model:[^/:]+}:countTokens", emulator.count_tokens),
        web.get(version + "/models", emulator.list_models),
    ])  # fmt: skip
    return app


def serve_fake(host: str, port: int, *, script: Path | None) -> int:
    """Serve until Ctrl-C. The exit code."""
    try:
        app = build_fake(load_script(script) if script else None)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    web.run_app(app, host=host, port=port, access_log=None, print=partial(print, flush=True))
    return 0


class _Emulator:
    def __init__(self, script: Script, pace: float) -> None:
        self._script = script
        self._pace = pace
        self.calls: deque[Call] = deque(maxlen=1000)

    async def generate(self, request: web.Request) -> web.StreamResponse:
        """generateContent and streamGenerateContent."""
        model, stream = request.match_info["model"], request.match_info["verb"].startswith("stream")
        call = Call(request.path, model, stream, {k.lower(): v for k, v in request.headers.items()}, None)
        self.calls.append(call)
        try:
            call.body = msgspec.json.decode(await request.read())
        except msgspec.DecodeError:
            call.body = None
        refusal = _key_refusal(request) or _model_refusal(model) or check(model, call.body)
        if refusal is not None:
            return _json(refusal.body(), refusal.code)
        understood = shaped(call.body)
        told = refused_together(model, understood)
        if told is not None:
            return _json(Refusal(400, "INVALID_ARGUMENT", told).body(), 400)
        try:
            return await self._answer(request, call, self._script.reply(model, understood))
        except (asyncio.CancelledError, ConnectionError):
            call.left = True
            raise

    async def count_tokens(self, request: web.Request) -> web.Response:
        """About four bytes a token, of whatever was sent."""
        refusal = _key_refusal(request) or _model_refusal(request.match_info["model"])
        if refusal is not None:
            return _json(refusal.body(), refusal.code)
        return _json({"totalTokens": -(-len(await request.read()) // 4)}, 200)

    async def list_models(self, request: web.Request) -> web.Response:
        """All models, in Google's pages."""
        if (refusal := _key_refusal(request)) is not None:
            return _json(refusal.body(), refusal.code)
        size, start = int(request.query.get("pageSize", 50)), int(request.query.get("pageToken", 0))
        page = [{"name": f"models/{m}", "displayName": m, "inputTokenLimit": 1048576, "outputTokenLimit": 65536,
                 "supportedGenerationMethods": ["generateContent", "countTokens"]}
                for m in MODELS[start : start + size]]  # fmt: skip
        more = {"nextPageToken": str(start + size)} if start + size < len(MODELS) else {}
        return _json({"models": page, **more}, 200)

    async def _answer(self, request: web.Request, call: Call, reply: Reply) -> web.StreamResponse:
        if reply.delay:
            await asyncio.sleep(reply.delay)
        if reply.status != 200:
            if isinstance(reply.body, str):
                return web.Response(text=reply.body, status=reply.status, content_type="text/html")
            return _json(reply.body, reply.status)
        if not call.stream:
            return _json(_joined(reply.chunks), 200)
        return await self._stream(request, reply, sse=request.query.get("alt") == "sse")

    async def _stream(self, request: web.Request, reply: Reply, *, sse: bool) -> web.StreamResponse:
        """SSE with Google's CRLF, or without alt=sse one JSON array in pieces."""
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream" if sse else "application/json"}
        )
        await response.prepare(request)
        chunks: list[Any] = list(reply.chunks)
        if reply.ending == "error midstream":
            chunks.append(
                {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
            )
        for i, chunk in enumerate(chunks):
            data = msgspec.json.encode(chunk)
            await response.write(b"data: " + data + b"\r\n\r\n" if sse else (b",\r\n" if i else b"[") + data)
            await asyncio.sleep(self._pace)
        if reply.ending == "cut" and request.transport is not None:
            request.transport.abort()
            return response
        if not sse:
            await response.write(b"]")
        await response.write_eof()
        return response


def _key_refusal(request: web.Request) -> Refusal | None:
    key = request.headers.get("x-goog-api-key") or request.query.get("key")
    if not key:
        return Refusal(403, "PERMISSION_DENIED", _NO_KEY)
    if _BAD_KEY.search(key):
        message = "API key not valid. Please pass a valid API key."
        return Refusal(400, "INVALID_ARGUMENT", message, reason="API_KEY_INVALID")
    return None


def _model_refusal(model: str) -> Refusal | None:
    if model in MODELS:
        return None
    return Refusal(
        404, "NOT_FOUND",
        f"models/{model} is not found for API version v1beta, or is not supported for generateContent. Call "
        "ListModels to see the list of available models and their supported methods.",
    )  # fmt: skip


def _json(body: Any, status: int) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")


def _joined(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """A stream's chunks as the one answer that generateContent gives."""
    whole = dict(chunks[-1])
    parts = [p for chunk in chunks for c in chunk.get("candidates", ()) for p in c["content"]["parts"]]
    if whole.get("candidates"):
        told = {k: v for chunk in chunks for c in chunk.get("candidates", ()) for k, v in c.items()}
        kept = [part for part in parts if part != {"text": ""}] or parts
        whole["candidates"] = [{**told, "content": {"parts": kept, "role": "model"}}]
    return whole
