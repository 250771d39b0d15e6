"""The emulator's HTTP side: Google's paths, keys, framing and pace."""

import asyncio
import sys
from collections import deque
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web
from msgspec import Struct

from gateway.emulator.access import against_key, against_model
from gateway.emulator.chunks import joined
from gateway.emulator.contract import check, shaped
from gateway.emulator.embeddings import batch_embedded, embedded
from gateway.emulator.models import MODELS, page, record
from gateway.emulator.objects import Objects
from gateway.emulator.refusals import refusal as refused_together
from gateway.emulator.replies import Reply
from gateway.emulator.script import Script, load_script
from gateway.emulator.status import Refusal, RefusedError

_LARGEST_PAGE = 1000


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
    models = "/{version:v1(?:beta|alpha)?}/models"
    model = models + "/{model:[^/:]+}"
    app.add_routes([
        web.post(model + ":{verb:generateContent|streamGenerateContent}", emulator.generate),
        web.post(model + ":{verb:countTokens|embedContent|batchEmbedContents}", emulator.measure),
        web.get(models, emulator.list_models),
        web.get(model, emulator.get_model),
        *emulator.objects.routes(),
    ])  # fmt: skip
    return app


def serve_fake(host: str, port: int, *, script: Path | None) -> int:
    """Serve until Ctrl-C. The exit code."""
    try:
        app = build_fake(load_script(script) if script else None)
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
    def __init__(self, script: Script, pace: float) -> None:
        self._script = script
        self._pace = pace
        self.calls: deque[Call] = deque(maxlen=1000)
        self.objects = Objects()

    async def generate(self, request: web.Request) -> web.StreamResponse:
        """generateContent and streamGenerateContent."""
        model, stream = request.match_info["model"], request.match_info["verb"].startswith("stream")
        call = Call(request.path, model, stream, {k.lower(): v for k, v in request.headers.items()}, None)
        self.calls.append(call)
        call.body = await _json_of(request)
        refusal = against_key(request) or against_model(model, "generateContent") or check(model, call.body)
        refusal = refusal or self.objects.against(request, call.body)
        if refusal is not None:
            return _refused(refusal)
        understood = shaped(call.body)
        told = refused_together(model, understood)
        if told is not None:
            return _refused(Refusal(400, "INVALID_ARGUMENT", told))
        try:
            return await self._answer(request, call, self._script.reply(model, understood))
        except (asyncio.CancelledError, ConnectionError):
            call.left = True
            raise

    async def measure(self, request: web.Request) -> web.Response:
        """countTokens, at about four bytes a token of whatever was sent, and embeddings."""
        model, verb = request.match_info["model"], request.match_info["verb"]
        refusal = against_key(request) or against_model(model, verb)
        if refusal is not None:
            return _refused(refusal)
        body = await _json_of(request)
        if (refusal := self.objects.against(request, body)) is not None:
            return _refused(refusal)
        try:
            return _json(_MEASURES[verb](model, body), 200)
        except RefusedError as refused:
            return _refused(refused.refusal)

    async def list_models(self, request: web.Request) -> web.Response:
        """All models, in Google's pages."""
        if (refusal := against_key(request)) is not None:
            return _refused(refusal)
        size, start = request.query.get("pageSize", "50"), request.query.get("pageToken", "0")
        if not size.isdecimal() or not start.isdecimal():
            return _refused(Refusal(400, "INVALID_ARGUMENT", "* ListModelsRequest: no such page"))
        return _json(page(min(int(size) or 50, _LARGEST_PAGE), int(start)), 200)

    async def get_model(self, request: web.Request) -> web.Response:
        """One model's record."""
        name = request.match_info["model"]
        refusal = against_key(request) or (against_model(name, "") if name not in MODELS else None)
        return _json(record(name), 200) if refusal is None else _refused(refusal)

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
        """SSE with Google's CRLF, or without alt=sse one JSON array in pieces."""
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream" if sse else "application/json"}
        )
        with suppress(ConnectionResetError):  # a client that has heard enough
            return await self._pieces(request, response, reply, sse=sse)
        return response

    async def _pieces(
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


def _counted(_: str, body: Any) -> dict[str, Any]:
    shaped(body, "CountTokensRequest")
    return {"totalTokens": -(-len(msgspec.json.encode(body)) // 4)}


_MEASURES = {"countTokens": _counted, "embedContent": embedded, "batchEmbedContents": batch_embedded}


async def _json_of(request: web.Request) -> Any:
    """The body; None when it is no JSON."""
    try:
        return msgspec.json.decode(await request.read())
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None


def _refused(refusal: Refusal) -> web.Response:
    return _json(refusal.body(), refusal.code)


def _json(body: Any, status: int) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")
