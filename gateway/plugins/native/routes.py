"""Gemini's own API, passed through with the gateway's keys, limits and log. No key is ever in a URL."""

from collections.abc import Mapping
from time import time

from aiohttp import web
from multidict import CIMultiDict

from gateway.errors import NotFound
from gateway.exchange.accounting import CostEstimate, Target
from gateway.exchange.attempt import Attempt
from gateway.exchange.context import RequestContext
from gateway.exchange.delivery import ERROR_RENDERER
from gateway.exchange.request_body import read_bytes
from gateway.gemini.errors import from_response
from gateway.plugin import KEY_HEADERS, KNOWN_CLIENT, Plugin
from gateway.plugins.native.issued_keys import NativeCall, Payload, native_call
from gateway.plugins.native.request import check_path, model_of, passed_on, upload_id
from gateway.plugins.native.response import (
    STREAM,
    UPLOAD_URL,
    UsageReader,
    created,
    render_error,
    returned,
)
from gateway.policy.access import Client
from gateway.upstream.client import Forwarded

_MAX_OUTPUT = 65_536
"""Tokens that a call is assumed to write, for budgets."""
_NOT_CHAT = r"(?!(?:.*/)?chat/completions$)"
"""Google's OpenAI-compatible endpoint is served by `chat`."""


class Native(Plugin):
    """`/v1beta/**`, `/v1alpha/**`, `/upload/**`, and the methods of `/v1` that google-genai uses."""

    def routes(self) -> list[web.RouteDef]:
        paths = [
            rf"/{{version:v1(?:beta|alpha)}}/{{tail:{_NOT_CHAT}.+}}",
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
            # OpenAI's files API has the same path
            raise NotFound(
                f"Unknown request URL: {request.method} {path[:100]}. OpenAI's files API is not served."
                " Gemini's is, with the key in `x-goog-api-key`."
            )
        request[ERROR_RENDERER] = render_error
        check_path(path)
        if path.startswith("/upload/") and not _has_key(request[KEY_HEADERS]):
            await self._identify_by_upload(request)
        async with self.services.enter(request, "native") as context:
            return await self._exchange(request, path, context)

    async def _identify_by_upload(self, request: web.Request) -> None:
        """Take the client that began an upload: Google's SDKs send no key when they continue it.

        Raises Unauthorized if the client's issued key has been revoked.
        """
        upload = ",".join(request.rel_url.query.getall("upload_id", []))
        scope, project = await self.services.file_owners.upload(upload, time())
        if project:
            request[KNOWN_CLIENT] = self.services.holder(scope)
        elif scope:
            request[KNOWN_CLIENT] = Client("", scope[:8], scope)

    async def _exchange(self, request: web.Request, path: str, context: RequestContext) -> web.StreamResponse:
        """Make the call with a key of the client or of the pool."""
        client, exchange, owners = context.client, self.services.exchange, self.services.file_owners
        headers, affinity = passed_on(request.headers), b""
        call = NativeCall(await _body(request, headers), model_of(path))
        context.report.describe(call.model or None, None)
        if client.id:
            uploads = request.rel_url.query.getall("upload_id", [])
            call = await native_call(request.method, path, uploads, call.body, client, owners)
            context.report.describe(call.model or None, None)
            affinity = client.scope.encode() if call.creates else b""
            if isinstance(call.body, bytes):
                headers["Content-Type"] = "application/json"  # names in protobuf could not be checked
        target = Target(call.model, _cost(call), affinity, call.project)
        async with exchange.attempt(context, target) as attempt:
            url = _without_key(request, path)
            async with await exchange.forward(attempt, request.method, url, headers, call.body) as answer:
                if client.id and answer.status >= 400:
                    raise from_response(answer.status, await answer.whole())
                if call.deletes:
                    await owners.forget(client.scope, call.deletes, time())
                if UPLOAD_URL in answer.headers:
                    upload, project = upload_id(answer.headers[UPLOAD_URL]), context.report.project or ""
                    await owners.begin(client.scope, upload, project, time())
                if call.creates:
                    return await self._answer_creation(request, answer, context, attempt)
                return await _answer(request, answer, attempt, counted=bool(call.model))

    async def _answer_creation(
        self, request: web.Request, answer: Forwarded, context: RequestContext, attempt: Attempt
    ) -> web.Response:
        """Return the answer to a creation. The owner is stored before the client knows the name."""
        data = await answer.whole()
        names, usage = created(data)
        project = context.report.project or ""
        await self.services.file_owners.keep(context.client.scope, names, project, time())
        if context.report.model:
            attempt.count(usage)
        return web.Response(
            body=data, status=answer.status, headers=returned(answer.headers, _origin(request))
        )


async def _answer(
    request: web.Request, answer: Forwarded, attempt: Attempt, *, counted: bool
) -> web.StreamResponse:
    """Send status, headers and bytes as they arrive; count the tokens of a 200."""
    headers = returned(answer.headers, _origin(request))
    content_type = headers.get("Content-Type", "")
    response = web.StreamResponse(status=answer.status, headers=headers)
    if content_type.startswith(STREAM):
        response.headers.update({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
    usage = UsageReader(content_type)
    await response.prepare(request)
    try:
        async for piece in answer:
            usage.feed(piece)
            await response.write(piece)
        await response.write_eof()
    finally:  # also when the client disconnects: Google bills what it has counted
        if counted and answer.status == 200:
            attempt.count(usage.close())
    return response


async def _body(request: web.Request, headers: CIMultiDict[str]) -> Payload:
    """Return an upload as a stream of the stated length, any other body whole. Raises TooLarge."""
    if not request.can_read_body:
        return None
    if not request.path.startswith("/upload/"):
        return await read_bytes(request)
    if request.content_length is not None:
        headers["Content-Length"] = str(request.content_length)
    return request.content.iter_any()


def _has_key(headers: Mapping[str, str]) -> bool:
    return any(name in headers for name in ("Authorization", "x-api-key", "x-goog-api-key"))


def _with_query_key(request: web.Request) -> Mapping[str, str]:
    """Return the headers, with the query's `key` as x-goog-api-key: Google's API takes it there, too."""
    key = request.rel_url.query.get("key")
    if key is None or "x-goog-api-key" in request.headers:
        return request.headers
    return CIMultiDict([*request.headers.items(), ("x-goog-api-key", key)])


def _without_key(request: web.Request, path: str) -> str:
    """Return path and query without the key."""
    parameters = [(name, value) for name, value in request.rel_url.query.items() if name != "key"]
    query = request.rel_url.with_query(parameters).raw_query_string
    return f"{path}?{query}" if query else path


def _cost(call: NativeCall) -> CostEstimate:
    """Return an estimate. Only calls of models spend tokens; creating a cache spends prompt tokens only."""
    size = len(call.body) if call.model and isinstance(call.body, bytes) else 0
    return CostEstimate(size, _MAX_OUTPUT if call.model and not call.creates else 0)


def _origin(request: web.Request) -> str:
    """Return scheme and host of the gateway as the client sees it, behind a proxy from X-Forwarded-Proto."""
    scheme = request.headers.get("X-Forwarded-Proto", request.scheme)
    return f"{scheme if scheme in ('http', 'https') else request.scheme}://{request.host}"
