"""HTTP server of the emulator: Google's paths, keys, stream framing and pace."""

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import time
from typing import Any

import msgspec
from aiohttp import web
from msgspec import Struct

from gateway.emulator import model_rules
from gateway.emulator.batches_api import BatchesApi
from gateway.emulator.caches_api import CachesApi
from gateway.emulator.chunks import joined
from gateway.emulator.embeddings import batch_embedded, embedded
from gateway.emulator.errors import RefusedError, key_refusal, model_refusal
from gateway.emulator.files_api import FilesApi
from gateway.emulator.interactions import InteractionsApi
from gateway.emulator.live_api import LiveApi
from gateway.emulator.messages import decode
from gateway.emulator.models import MODELS, NO_LIMITS, model_of, record
from gateway.emulator.objects import Objects
from gateway.emulator.operations_api import OperationsApi
from gateway.emulator.replies import Reply, hop_refusal
from gateway.emulator.request import CACHED, prompt_tokens
from gateway.emulator.rest import VERSION, page, refused, reply
from gateway.emulator.script import Script, load_script
from gateway.emulator.speech import shaped
from gateway.emulator.tokens_api import TokensApi
from gateway.emulator.validation import validate
from gateway.emulator.vertex_api import ON_VERTEX, VertexApi, exhausted


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
LIVE: web.AppKey[LiveApi] = web.AppKey("live", LiveApi)
"""The Live API, whose handshakes tests look at."""
VERTEX: web.AppKey[VertexApi] = web.AppKey("vertex", VertexApi)
"""Vertex AI, whose token service tests put out of order."""


def build_fake(
    script: Script | None = None,
    *,
    pace: float = 0.02,
    limits: Mapping[str, int] = NO_LIMITS,
    answering: Callable[[str], str] = str,
    batch_seconds: float | None = None,
) -> web.Application:
    """Return the emulator as an application.

    `pace` is the seconds between the chunks of a stream; `limits` replace the input tokens of some models. `answering`
    returns the model that answers for a name; each name's own, unless given. A batch takes `batch_seconds`, or is done
    when it was read twice if they are None.
    """
    emulator = _Emulator(script or Script([]), pace, limits, answering, batch_seconds)
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app[CALLS], app[LIVE], app[VERTEX] = emulator.calls, emulator.live, emulator.vertex
    models = VERSION + "/models"
    model = models + "/{model:[^/:]+}"
    app.add_routes([
        web.post(model + ":{verb:generateContent|streamGenerateContent}", emulator.generate),
        web.post(model + ":{verb:countTokens|embedContent|batchEmbedContents}", emulator.measure),
        web.get(models, emulator.list_models),
        web.get(model, emulator.get_model),
        *(route for api in emulator.apis for route in api.routes()),
    ])  # fmt: skip
    return app


def serve_fake(
    host: str,
    port: int,
    *,
    script: Path | None,
    limits: Mapping[str, int] = NO_LIMITS,
    answering: Callable[[str], str] = str,
    batch_seconds: float | None = None,
) -> int:
    """Serve until Ctrl-C, and return the exit code."""
    try:
        rules = load_script(script) if script else None
        app = build_fake(rules, limits=limits, answering=answering, batch_seconds=batch_seconds)
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
    def __init__(
        self,
        script: Script,
        pace: float,
        limits: Mapping[str, int],
        answering: Callable[[str], str],
        batch_seconds: float | None,
    ) -> None:
        self._script = script
        self._pace = pace
        self._limits = limits
        self._answering = answering
        self.calls: deque[Call] = deque(maxlen=1000)
        objects = Objects()
        tokens = TokensApi(objects, time)
        self.live = LiveApi(script, objects, tokens, pace)
        self.vertex = VertexApi(self.generate, time)
        self._files = FilesApi(objects)
        self._caches = CachesApi(objects, self._files.refusal, time)
        answerers = {"generateContent": self._generated, "embedContent": self._embedded}
        self.apis = (
            self._files,
            self._caches,
            BatchesApi(objects, self._files, answerers, time, batch_seconds),
            OperationsApi(objects, self._files),
            tokens,
            InteractionsApi(script, objects, answering, self._files),
            self.live,
            self.vertex,
        )

    async def generate(self, request: web.Request) -> web.StreamResponse:
        """Answer generateContent and streamGenerateContent."""
        model, stream = request.match_info["model"], request.match_info["verb"].startswith("stream")
        call = Call(request.path, model, stream, {k.lower(): v for k, v in request.headers.items()}, None)
        self.calls.append(call)
        call.body = await _json_of(request)
        try:
            answer = self._reply(request, model, call.body, stream=stream)
        except RefusedError as error:
            return refused(error.refusal)
        try:
            return await self._answer(request, call, answer)
        except (asyncio.CancelledError, ConnectionError):
            call.left = True
            raise

    async def measure(self, request: web.Request) -> web.Response:
        """Answer countTokens, which counts as answers do, and the embedding methods."""
        model, verb = request.match_info["model"], request.match_info["verb"]
        refusal = key_refusal(request) or model_refusal(model, verb)
        if refusal is not None:
            return refused(refusal)
        body = await _json_of(request)
        if (refusal := self._files.refusal(request, body)) is not None:
            return refused(refusal)
        try:
            return reply(_METHODS[verb](model, body))
        except RefusedError as error:
            return refused(error.refusal)

    async def list_models(self, request: web.Request) -> web.Response:
        """Answer models.list, in pages."""
        if (refusal := key_refusal(request)) is not None:
            return refused(refusal)
        try:
            return reply(page(request, [record(name, self._limits) for name in MODELS], "models"))
        except RefusedError as error:
            return refused(error.refusal)

    async def get_model(self, request: web.Request) -> web.Response:
        """Answer models.get."""
        name = request.match_info["model"]
        refusal = key_refusal(request) or model_refusal(name, "")
        return reply(record(name, self._limits)) if refusal is None else refused(refusal)

    def _reply(self, request: web.Request, model: str, content: Any, *, stream: bool) -> Reply:
        """Return the reply to a request of a model. Raises RefusedError for what Google refuses."""
        version = self._answering(model)
        is_admitted = ON_VERTEX in request
        refusal = (None if is_admitted else key_refusal(request)) or model_refusal(model, "generateContent")
        refusal = refusal or validate(version, content)
        refusal = refusal or self._files.refusal(request, content)
        if refusal is not None:
            raise RefusedError.of(refusal)
        body = decode(content)
        message = (
            hop_refusal(version, body, stream=stream)
            or model_rules.refusal(version, body)
            or model_rules.length_refusal(model if model in self._limits else version, body, self._limits)
        )
        if message is not None:
            raise RefusedError(message)
        body[CACHED] = self._caches.used(request, model, body)
        answer = self._script.reply(model, body, version)
        answer.chunks = shaped(model_of(version), answer.chunks, stream=stream)
        if is_admitted:
            answer.chunks = [self.vertex.shaped(chunk) for chunk in answer.chunks]
            answer.body = exhausted() if answer.status == 429 else answer.body
        return answer

    def _generated(self, request: web.Request, model: str, body: Any) -> dict[str, Any]:
        """Return the unary answer to a request of a batch. Raises RefusedError."""
        answer = self._reply(request, model, body, stream=False)
        whole = joined(answer.chunks)
        refusal = answer.body if isinstance(answer.body, dict) else {}
        error = (
            whole.get("error") if answer.status == 200 else refusal.get("error") or {"code": answer.status}
        )
        if error:
            raise RefusedError(
                str(error.get("message")), code=error.get("code", 500), status=str(error.get("status"))
            )
        return whole

    def _embedded(self, _: web.Request, model: str, body: Any) -> dict[str, Any]:
        return embedded(model, body)

    async def _answer(self, request: web.Request, call: Call, answer: Reply) -> web.StreamResponse:
        if answer.delay:
            await asyncio.sleep(answer.delay)
        if answer.status != 200:
            if isinstance(answer.body, str):
                return web.Response(text=answer.body, status=answer.status, content_type="text/html")
            return reply(answer.body, answer.status)
        if not call.stream:
            whole = joined(answer.chunks)
            error = whole.get("error")
            return reply({"error": error}, error.get("code", 500)) if error else reply(whole)
        return await self._stream(request, answer, sse=request.query.get("alt") == "sse")

    async def _stream(self, request: web.Request, answer: Reply, *, sse: bool) -> web.StreamResponse:
        """Stream the chunks: events with CRLF as Google sends them, or without `alt=sse` one JSON array."""
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream" if sse else "application/json"}
        )
        with suppress(ConnectionResetError):  # the client disconnected
            return await self._write_chunks(request, response, answer, sse=sse)
        return response

    async def _write_chunks(
        self, request: web.Request, response: web.StreamResponse, answer: Reply, *, sse: bool
    ) -> web.StreamResponse:
        await response.prepare(request)
        chunks: list[Any] = list(answer.chunks)
        if answer.ending == "error midstream":
            chunks.append(
                {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
            )
        for i, chunk in enumerate(chunks):
            data = msgspec.json.encode(chunk)
            await response.write(b"data: " + data + b"\r\n\r\n" if sse else (b",\r\n" if i else b"[") + data)
            await asyncio.sleep(self._pace)
        if answer.ending == "cut" and request.transport is not None:
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
