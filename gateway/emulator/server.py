"""HTTP server of the emulator: Google's paths, keys, stream framing and pace."""

import asyncio
import sys
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web
from msgspec import Struct

from gateway.emulator import model_rules
from gateway.emulator.chunks import joined
from gateway.emulator.embeddings import batch_embedded, embedded
from gateway.emulator.errors import Refusal, RefusedError, key_refusal, model_refusal
from gateway.emulator.files_api import FilesApi
from gateway.emulator.interactions import InteractionsApi
from gateway.emulator.messages import decode
from gateway.emulator.models import NO_LIMITS, page, record
from gateway.emulator.replies import Reply, hop_refusal
from gateway.emulator.request import prompt_tokens
from gateway.emulator.script import Script, load_script
from gateway.emulator.validation import validate

_LARGEST_PAGE = 1000


class Call(Struct):
    """A received request. `left` is set if the client disconnects before the end of the answer."""

    path: str
    model: str
    stream: bool
    headers: dict[str, str]
    body: Any
    left: bool = False


CALLS: web.AppKey[deque[Call]] = web.AppKey("calls", deque)
"""The last 1000 calls, for tests."""


def build_fake(
    script: Script | None = None, *, pace: float = 0.02, limits: Mapping[str, int] = NO_LIMITS
) -> web.Application:
    """Return the emulator as an application.

    `pace` is the seconds between the chunks of a stream; `limits` replace the input tokens of some models.
    """
    emulator = _Emulator(script or Script([]), pace, limits)
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app[CALLS] = emulator.calls
    models = "/{version:v1(?:beta|alpha)?}/models"
    model = models + "/{model:[^/:]+}"
    app.add_routes([
        web.post(model + ":{verb:generateContent|streamGenerateContent}", emulator.generate),
        web.post(model + ":{verb:countTokens|embedContent|batchEmbedContents}", emulator.measure),
        web.get(models, emulator.list_models),
        web.get(model, emulator.get_model),
        *emulator.files.routes(),
        *emulator.interactions.routes(),
    ])  # fmt: skip
    return app


def serve_fake(host: str, port: int, *, script: Path | None, limits: Mapping[str, int] = NO_LIMITS) -> int:
    """Serve until Ctrl-C, and return the exit code."""
    try:
        app = build_fake(load_script(script) if script else None, limits=limits)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    try:
        web.run_app(app, host=host, port=port, access_log=None, print=partial(print, flush=True))
    except OSError as error:
        print(f"cannot listen on {host}:{port}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


class _Emulator:
    def __init__(self, script: Script, pace: float, limits: Mapping[str, int]) -> None:
        self._script = script
        self._pace = pace
        self._limits = limits
        self.calls: deque[Call] = deque(maxlen=1000)
        self.files = FilesApi()
        self.interactions = InteractionsApi(script)

    async def generate(self, request: web.Request) -> web.StreamResponse:
        """Answer generateContent and streamGenerateContent."""
        model, stream = request.match_info["model"], request.match_info["verb"].startswith("stream")
        call = Call(request.path, model, stream, {k.lower(): v for k, v in request.headers.items()}, None)
        self.calls.append(call)
        call.body = await _json_of(request)
        refusal = (
            key_refusal(request) or model_refusal(model, "generateContent") or validate(model, call.body)
        )
        refusal = refusal or self.files.refusal(request, call.body)
        if refusal is not None:
            return _refused(refusal)
        body = decode(call.body)
        message = (
            hop_refusal(model, body, stream=stream)
            or model_rules.refusal(model, body)
            or model_rules.length_refusal(model, body, self._limits)
        )
        if message is not None:
            return _refused(Refusal(400, "INVALID_ARGUMENT", message))
        try:
            return await self._answer(request, call, self._script.reply(model, body))
        except (asyncio.CancelledError, ConnectionError):
            call.left = True
            raise

    async def measure(self, request: web.Request) -> web.Response:
        """Answer countTokens, which counts as answers do, and the embedding methods."""
        model, verb = request.match_info["model"], request.match_info["verb"]
        refusal = key_refusal(request) or model_refusal(model, verb)
        if refusal is not None:
            return _refused(refusal)
        body = await _json_of(request)
        if (refusal := self.files.refusal(request, body)) is not None:
            return _refused(refusal)
        try:
            return _json(_METHODS[verb](model, body), 200)
        except RefusedError as refused:
            return _refused(refused.refusal)

    async def list_models(self, request: web.Request) -> web.Response:
        """Answer models.list, in pages."""
        if (refusal := key_refusal(request)) is not None:
            return _refused(refusal)
        size, start = request.query.get("pageSize", "50"), request.query.get("pageToken", "0")
        if not size.isdecimal() or not start.isdecimal():
            return _refused(Refusal(400, "INVALID_ARGUMENT", "* ListModelsRequest: no such page"))
        return _json(page(min(int(size) or 50, _LARGEST_PAGE), int(start), self._limits), 200)

    async def get_model(self, request: web.Request) -> web.Response:
        """Answer models.get."""
        name = request.match_info["model"]
        refusal = key_refusal(request) or model_refusal(name, "")
        return _json(record(name, self._limits), 200) if refusal is None else _refused(refusal)

    async def _answer(self, request: web.Request, call: Call, reply: Reply) -> web.StreamResponse:
        if reply.delay:
            await asyncio.sleep(reply.delay)
        if reply.status != 200:
            if isinstance(reply.body, str):
                return web.Response(text=reply.body, status=reply.status, content_type="text/html")
            return _json(reply.body, reply.status)
        if not call.stream:
            whole = joined(reply.chunks)
            error = whole.get("error")
            return _json({"error": error}, error.get("code", 500)) if error else _json(whole, 200)
        return await self._stream(request, reply, sse=request.query.get("alt") == "sse")

    async def _stream(self, request: web.Request, reply: Reply, *, sse: bool) -> web.StreamResponse:
        """Stream the chunks: events with CRLF as Google sends them, or without `alt=sse` one JSON array."""
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream" if sse else "application/json"}
        )
        with suppress(ConnectionResetError):  # the client disconnected
            return await self._write_chunks(request, response, reply, sse=sse)
        return response

    async def _write_chunks(
        self, request: web.Request, response: web.StreamResponse, reply: Reply, *, sse: bool
    ) -> web.StreamResponse:
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


def _count_tokens(_: str, body: Any) -> dict[str, Any]:
    request = decode(body, "CountTokensRequest")
    return {"totalTokens": prompt_tokens(request.get("generateContentRequest") or request)}


_METHODS = {"countTokens": _count_tokens, "embedContent": embedded, "batchEmbedContents": batch_embedded}


async def _json_of(request: web.Request) -> Any:
    """Return the decoded body, or None if it is not JSON."""
    try:
        return msgspec.json.decode(await request.read())
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None


def _refused(refusal: Refusal) -> web.Response:
    return _json(refusal.body(), refusal.code)


def _json(body: Any, status: int) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")
