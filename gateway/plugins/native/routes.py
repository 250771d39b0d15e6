"""Gemini's own API, passed through: no translation, our limits, our log, and the key never in a URL."""

import re
from collections.abc import Mapping
from time import time

import msgspec
from aiohttp import web
from multidict import CIMultiDict

from gateway.errors import BadRequest, GatewayError, NotFound, scrub
from gateway.exchange.accounting import CostEstimate, Target
from gateway.exchange.attempt import Attempt
from gateway.exchange.context import RequestContext
from gateway.exchange.delivery import ERROR_RENDERER
from gateway.exchange.request_body import read_bytes
from gateway.gemini import errors as failure
from gateway.gemini.grounding import searches
from gateway.gemini.sse import SSEDecoder
from gateway.gemini.usage import TokenCounts, merge, token_counts
from gateway.gemini.wire import UsageMetadata, decode_response
from gateway.plugin import KEY_HEADERS, KNOWN_CLIENT, Plugin
from gateway.plugins.native.issued_keys import NativeCall, Sent, made, native_call, upload_id
from gateway.policy.access import Client
from gateway.upstream.client import Forwarded

_PATH = re.compile(r"/[A-Za-z0-9._~:/@-]*")
_SENT = re.compile(r"content-type|accept|x-goog-(?!api-key)[a-z-]+|x-server-timeout", re.I)
_RETURNED = re.compile(
    r"content-type|x-goog-[a-z-]+|x-gemini-service-tier|retry-after|content-disposition", re.I
)
_MOST_OUTPUT = 65_536
_UPLOAD_URL = "x-goog-upload-url"
_STREAMED = "text/event-stream"
_NO_CHAT = r"(?!(?:.*/)?chat/completions$)"
"""Google's own OpenAI endpoint is ours to answer, too."""


class Native(Plugin):
    """`/v1beta/**`, `/v1alpha/**`, `/upload/**`, and of `/v1` what google-genai calls and is not OpenAI's."""

    def routes(self) -> list[web.RouteDef]:
        paths = [
            rf"/{{version:v1(?:beta|alpha)}}/{{tail:{_NO_CHAT}.+}}",
            r"/upload/{version:v1(?:beta|alpha)?}/{tail:.+}",
            r"/v1/models/{model:[^/:]+}:{verb:[A-Za-z]+}",
            r"/v1/{tail:(?:files|cachedContents)(?:/.+)?}",
        ]
        methods = ("GET", "POST", "PATCH", "DELETE")
        return [web.route(method, path, self.forward) for path in paths for method in methods]

    async def forward(self, request: web.Request) -> web.StreamResponse:
        """Pass one request on, and its answer back."""
        request[KEY_HEADERS] = _with_query_key(request)
        path = request.rel_url.raw_path
        if path.startswith("/v1/files") and "x-goog-api-key" not in request[KEY_HEADERS]:
            # OpenAI's, which is not served
            raise NotFound(f"Unknown request URL: {request.method} /v1/files")
        request[ERROR_RENDERER] = render_error
        if _PATH.fullmatch(path) is None or ".." in path:
            raise BadRequest("not a path of Gemini's API")
        if path.startswith("/upload/") and not _has_key(request[KEY_HEADERS]):
            await self._recognise(request)
        async with self.services.enter(request, "native") as context:
            return await self._exchange(request, path, context)

    async def _recognise(self, request: web.Request) -> None:
        """Who goes on with an upload is who began it. Raises Unauthorized for an issued key that is revoked."""
        number = ",".join(request.rel_url.query.getall("upload_id", []))
        scope, project = await self.services.file_owners.upload(number, time())
        if project:
            request[KNOWN_CLIENT] = self.services.holder(scope)
        elif scope:
            request[KNOWN_CLIENT] = Client("", scope[:8], scope)

    async def _exchange(self, request: web.Request, path: str, context: RequestContext) -> web.StreamResponse:
        client, model = context.client, _model(path)
        context.report.describe(model, None)
        query = request.rel_url.query
        kept = request.rel_url.with_query([(k, v) for k, v in query.items() if k != "key"]).raw_query_string
        headers = CIMultiDict(
            {name: value for name, value in request.headers.items() if _SENT.fullmatch(name)}
        )
        call = NativeCall(await self._body(request, headers), model or "")
        exchange, home = self.services.exchange, b""
        if client.id:
            uploads = query.getall("upload_id", [])
            call = await native_call(
                request.method, path, uploads, call.body, client, self.services.file_owners
            )
            context.report.describe(call.model or None, None)
            home = client.scope.encode()
            if isinstance(call.body, bytes):
                headers["Content-Type"] = "application/json"  # names in protobuf could not be read
        target = Target(call.model, _cost(call), home if call.makes else b"", call.project)
        async with exchange.attempt(context, target) as attempt:
            url = f"{path}?{kept}" if kept else path
            async with await exchange.forward(attempt, request.method, url, headers, call.body) as answer:
                if client.id and answer.status >= 400:
                    raise failure.from_response(answer.status, await answer.whole())
                if call.deletes:
                    await self.services.file_owners.forget(client.scope, call.deletes, time())
                if _UPLOAD_URL in answer.headers:
                    await self._begun(answer, context)
                if call.makes:
                    return await self._made(request, answer, context, attempt)
                return await self._answer(request, answer, attempt, counted=bool(call.model))

    async def _begun(self, answer: Forwarded, context: RequestContext) -> None:
        """Whoever goes on with this upload may come without a key: its id is known to its client alone."""
        number = upload_id(answer.headers[_UPLOAD_URL])
        scope, project = context.client.scope, context.report.project or ""
        await self.services.file_owners.begin(scope, number, project, time())

    async def _made(
        self, request: web.Request, answer: Forwarded, context: RequestContext, attempt: Attempt
    ) -> web.Response:
        """The answer to a creation: where the new names are is known before the client has them."""
        report, file_owners = context.report, self.services.file_owners
        data = await answer.whole()
        names, usage = made(data)
        await file_owners.keep(context.client.scope, names, report.project or "", time())
        if report.model:
            attempt.count(token_counts(usage))
        return web.Response(body=data, status=answer.status, headers=_returned(request, answer))

    async def _body(self, request: web.Request, headers: CIMultiDict[str]) -> Sent:
        """Uploads as they come, of the length they said; anything else whole, within `limits.body`."""
        if not request.can_read_body:
            return None
        if not request.path.startswith("/upload/"):
            return await read_bytes(request)
        if request.content_length is not None:
            headers["Content-Length"] = str(request.content_length)
        return request.content.iter_any()

    async def _answer(
        self, request: web.Request, answer: Forwarded, attempt: Attempt, *, counted: bool
    ) -> web.StreamResponse:
        """Status, headers and bytes, as they come."""
        headers = _returned(request, answer)
        response = web.StreamResponse(status=answer.status, headers=headers)
        if headers.get("Content-Type", "").startswith(_STREAMED):
            response.headers.update({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        counting = _Counting(headers.get("Content-Type", ""))
        await response.prepare(request)
        try:
            async for piece in answer:
                counting.feed(piece)
                await response.write(piece)
            await response.write_eof()
        finally:  # also when the client disconnects: Google bills what it has counted
            if counted and answer.status == 200:
                attempt.count(counting.close())
        return response


class _Counting:
    """Reader of the counts in an answer that is passed on; it ignores what it cannot read."""

    def __init__(self, content_type: str) -> None:
        self._decoder = SSEDecoder() if "json" in content_type or _STREAMED in content_type else None
        self._usage = UsageMetadata()
        self._grounding: list[msgspec.Raw] = []

    def feed(self, data: bytes) -> None:
        if self._decoder is not None:
            try:
                self._take(self._decoder.feed(data))
            except GatewayError:  # larger than any answer of words
                self._decoder = None

    def close(self) -> TokenCounts:
        """Return the counts of what was read."""
        if self._decoder is not None:
            self._take(self._decoder.close())
        return token_counts(self._usage, searches(self._grounding))

    def _take(self, payloads: list[bytes]) -> None:
        for payload in payloads:
            try:
                message = decode_response(payload)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
            self._grounding += [
                c.grounding_metadata for c in message.candidates or () if c.grounding_metadata
            ]
            if message.usage_metadata is not None:
                self._usage = merge(self._usage, message.usage_metadata)


def _has_key(headers: Mapping[str, str]) -> bool:
    return any(name in headers for name in ("Authorization", "x-api-key", "x-goog-api-key"))


def _with_query_key(request: web.Request) -> Mapping[str, str]:
    """The headers, and the key of the query among them (design.md 1.1, 8: on this surface only)."""
    key = request.rel_url.query.get("key")
    if key is None or "x-goog-api-key" in request.headers:
        return request.headers
    return CIMultiDict([*request.headers.items(), ("x-goog-api-key", key)])


def _cost(call: NativeCall) -> CostEstimate:
    """Return an estimate. Only calls of models spend tokens; creating a cache spends prompt tokens only."""
    read = len(call.body) if call.model and isinstance(call.body, bytes) else 0
    return CostEstimate(read, _MOST_OUTPUT if call.model and not call.makes else 0)


def _model(path: str) -> str | None:
    found = re.search(r"/models/([^/:]+):", path)
    return found[1] if found else None


def _returned(request: web.Request, answer: Forwarded) -> CIMultiDict[str]:
    """The headers that are the client's business."""
    headers = CIMultiDict(
        {name: value for name, value in answer.headers.items() if _RETURNED.fullmatch(name)}
    )
    if _UPLOAD_URL in headers:
        headers[_UPLOAD_URL] = _ours(request, headers[_UPLOAD_URL])
    return headers


def _ours(request: web.Request, url: str) -> str:
    """An upload goes on through us: Google's host may be out of the client's reach."""
    scheme = request.headers.get("X-Forwarded-Proto", request.scheme)
    scheme = scheme if scheme in ("http", "https") else request.scheme
    return re.sub(r"^https?://[^/]+", f"{scheme}://{request.host}", url)


def render_error(error: GatewayError, _: str) -> tuple[int, bytes]:
    """Return the HTTP status and Google's error object (google.rpc.Status)."""
    name = _STATUS.get(error.status, "INTERNAL")
    status = {"code": error.status, "message": scrub(error.message), "status": name}
    return error.status, msgspec.json.encode({"error": status})


_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
