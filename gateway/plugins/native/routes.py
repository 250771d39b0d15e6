"""Gemini's own API, passed through: no translation, our limits, our log, and the key never in a URL."""

import re
from collections.abc import Mapping
from time import time

import msgspec
from aiohttp import web
from multidict import CIMultiDict

from gateway.errors import BadRequest, GatewayError, NotFound, retry_headers, scrub
from gateway.exchange.attempt import Attempt, CostEstimate
from gateway.exchange.delivery import ERROR_REPLY, json_reply, read_whole
from gateway.gemini import errors as failure
from gateway.gemini.grounding import searches
from gateway.gemini.sse import SSEDecoder
from gateway.gemini.usage import merge
from gateway.gemini.wire import UsageMetadata, decode_response
from gateway.observability.request_log import REQUEST_LOG, RequestLog
from gateway.plugin import KEY_HEADERS, KNOWN, Plugin
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
        record = request[REQUEST_LOG]
        path = request.rel_url.raw_path
        if path.startswith("/v1/files") and "x-goog-api-key" not in request[KEY_HEADERS]:
            # OpenAI's, which is not served
            raise NotFound(f"Unknown request URL: {request.method} /v1/files")
        request[ERROR_REPLY] = google_error
        if _PATH.fullmatch(path) is None or ".." in path:
            raise BadRequest("not a path of Gemini's API")
        if path.startswith("/upload/") and not _has_key(request[KEY_HEADERS]):
            await self._recognise(request)
        async with self.services.enter(request, "native") as client:
            record.model = _model(path)
            return await self._exchange(request, path, client, record)

    async def _recognise(self, request: web.Request) -> None:
        """Who goes on with an upload is who began it. Raises Unauthorized for an issued key that is revoked."""
        number = ",".join(request.rel_url.query.getall("upload_id", []))
        scope, project = await self.services.exchange.stores.pins.upload(number, time())
        if project:
            request[KNOWN] = self.services.access.holder(scope, time())
        elif scope:
            request[KNOWN] = Client("", scope[:8], scope)

    async def _exchange(
        self, request: web.Request, path: str, client: Client, record: RequestLog
    ) -> web.StreamResponse:
        query = request.rel_url.query
        kept = request.rel_url.with_query([(k, v) for k, v in query.items() if k != "key"]).raw_query_string
        headers = CIMultiDict(
            {name: value for name, value in request.headers.items() if _SENT.fullmatch(name)}
        )
        told = NativeCall(await self._body(request, headers), record.model or "")
        exchange, home = self.services.exchange, b""
        if client.id:
            uploads = query.getall("upload_id", [])
            told = await native_call(request.method, path, uploads, told.body, client, exchange.stores.pins)
            record.model, home = told.model or None, client.scope.encode()
            if isinstance(told.body, bytes):
                headers["Content-Type"] = "application/json"  # in protobuf, names could not be read
        size = _size(told)
        async with exchange.accounts.attempt(
            client, record, told.model, [], home if told.makes else b"", size, told.project
        ) as attempt:
            target = f"{path}?{kept}" if kept else path
            answer = await exchange.forward(request.method, target, headers, told.body, attempt.key)
            async with answer:
                record.upstream_status = attempt.status = answer.status
                if client.id and answer.status >= 400:
                    raise failure.from_response(answer.status, await answer.whole())
                if told.deletes:
                    await exchange.stores.pins.forget(client.scope, told.deletes, time())
                if _UPLOAD_URL in answer.headers:
                    await self._begun(answer, client, record)
                if told.makes:
                    return await self._made(request, answer, client, attempt)
                return await self._answer(request, answer, record, attempt)

    async def _begun(self, answer: Forwarded, client: Client, record: RequestLog) -> None:
        """Whoever goes on with this upload may come without a key: its id is known to its client alone."""
        number = upload_id(answer.headers[_UPLOAD_URL])
        await self.services.exchange.stores.pins.begin(client.scope, number, record.project or "", time())

    async def _made(
        self, request: web.Request, answer: Forwarded, client: Client, attempt: Attempt
    ) -> web.Response:
        """The answer to a creation: where the new names are is known before the client has them."""
        record, pins = request[REQUEST_LOG], self.services.exchange.stores.pins
        data = await answer.whole()
        names, usage = made(data)
        await pins.keep(client.scope, names, record.project or "", time())
        if record.model:
            attempt.usage = usage
            record.count(usage)
        return web.Response(body=data, status=answer.status, headers=_returned(request, answer))

    async def _body(self, request: web.Request, headers: CIMultiDict[str]) -> Sent:
        """Uploads as they come, of the length they said; anything else whole, within `limits.body`."""
        if not request.can_read_body:
            return None
        if not request.path.startswith("/upload/"):
            return await read_whole(request)
        if request.content_length is not None:
            headers["Content-Length"] = str(request.content_length)
        return request.content.iter_any()

    async def _answer(
        self, request: web.Request, answer: Forwarded, record: RequestLog, attempt: Attempt
    ) -> web.StreamResponse:
        """Status, headers and bytes, as they come."""
        headers = _returned(request, answer)
        response = web.StreamResponse(status=answer.status, headers=headers)
        if headers.get("Content-Type", "").startswith(_STREAMED):
            response.headers.update({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        counting = _Counting(headers.get("Content-Type", ""))
        await response.prepare(request)
        async for piece in answer:
            counting.feed(piece)
            await response.write(piece)
        await response.write_eof()
        if record.model and answer.status == 200:
            attempt.usage, attempt.searches = counting.close(), searches(counting.grounding)
            record.count(attempt.usage)
        return response


class _Counting:
    """Reads the counts of an answer on its way; what it cannot read it lets pass."""

    def __init__(self, content_type: str) -> None:
        self._decoder = SSEDecoder() if "json" in content_type or _STREAMED in content_type else None
        self._usage = UsageMetadata()
        self.grounding: list[msgspec.Raw] = []

    def feed(self, data: bytes) -> None:
        if self._decoder is not None:
            try:
                self._take(self._decoder.feed(data))
            except GatewayError:  # larger than any answer of words
                self._decoder = None

    def close(self) -> UsageMetadata:
        if self._decoder is not None:
            self._take(self._decoder.close())
        return self._usage

    def _take(self, payloads: list[bytes]) -> None:
        for payload in payloads:
            try:
                message = decode_response(payload)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
            self.grounding += [c.grounding_metadata for c in message.candidates or () if c.grounding_metadata]
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


def _size(told: NativeCall) -> CostEstimate:
    """Only models spend tokens; what makes a cache has them read, and nothing written."""
    read = len(told.body) if told.model and isinstance(told.body, bytes) else 0
    return CostEstimate(read, _MOST_OUTPUT if told.model and not told.makes else 0)


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


def google_error(error: GatewayError) -> web.Response:
    """google.rpc.Status, as clients of this surface expect."""
    name = _STATUS.get(error.status, "INTERNAL")
    told = {"code": error.status, "message": scrub(error.message), "status": name}
    return json_reply(msgspec.json.encode({"error": told}), retry_headers(error), error.status)


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
