"""Gemini's own API, passed through with the gateway's keys, limits and log. No key is ever in a URL."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from functools import cached_property, partial
from time import time
from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct, structs
from multidict import CIMultiDict

from gateway.errors import (
    GatewayError,
    UpstreamDropped,
    UpstreamError,
    scrub,
)
from gateway.exchange.calls.accounting import Target
from gateway.exchange.calls.attempt import Attempt, open_attempt
from gateway.exchange.calls.cost import CostEstimate
from gateway.exchange.cancellation import of_cancellation
from gateway.exchange.context import CONTEXT, RequestContext
from gateway.exchange.incoming.client_address import origin
from gateway.exchange.incoming.request_body import check_encoding, read_bytes, read_pieces
from gateway.exchange.offload import HEAVY_ANSWER, offload
from gateway.exchange.replies.delivery import ERROR_RENDERER, ErrorRenderer
from gateway.exchange.replies.unserved import unserved, wants_websocket
from gateway.gemini.errors import from_response
from gateway.gemini.resources import allowed_models
from gateway.plugin import KEY_HEADERS, KNOWN_CLIENT, Plugin, Services
from gateway.plugins.native import interactions
from gateway.plugins.native.batches import BatchLedger, BatchReader, open_row, settle
from gateway.plugins.native.hooked import HookedAnswer, hooked_body
from gateway.plugins.native.interactions import InteractionReader, InteractionsConfig
from gateway.plugins.native.issued_keys import NativeCall, NativeRequest, Payload, native_call
from gateway.plugins.native.live import surface as live
from gateway.plugins.native.live.config import LiveConfig
from gateway.plugins.native.live.pins import LIMITS, Pins
from gateway.plugins.native.query_keys import (
    google_key,
    refuse_credentials,
    refuse_issued_keys,
    refuse_path,
    text_without_keys,
    without_keys,
)
from gateway.plugins.native.relay import Relay
from gateway.plugins.native.request import (
    check_path,
    creates_interaction,
    is_sent_once,
    model_of,
    on_vertex,
    passed_on,
    upload_id,
)
from gateway.plugins.native.response import (
    UPLOAD_URL,
    UsageReader,
    created,
    redirected,
    render_error,
    returned,
)
from gateway.policy.api_paths import GOOGLE, Family
from gateway.policy.clients.access import Client
from gateway.policy.models.native_methods import generates, shown_path
from gateway.upstream.client import Forwarded

_EMBEDDINGS = ("embedContent", "batchEmbedContents")
"""Methods whose answers have no candidates."""
_DEADLINE = "x-server-timeout"
"""Header by which google-genai tells Google when to give up, in seconds."""


class Native(Plugin):
    """`/v1beta/**`, `/v1alpha/**`, `/upload/**`, `/download/**`, and `/v1/**` for Google's own clients."""

    class Config(Struct, frozen=True, forbid_unknown_fields=True):
        """Limits of Gemini's own API."""

        live: Annotated[LiveConfig, Meta(description="Sessions of the Live API.")] = LiveConfig()
        interactions: Annotated[InteractionsConfig, Meta(description="Interactions of issued keys.")] = (
            InteractionsConfig()
        )

    def __init__(self, config: "Native.Config", services: Services) -> None:
        super().__init__(config, services)
        self._live = live.Live(services, config.live)
        self._stores = config.interactions.store

    async def lifespan(self, app: web.Application) -> AsyncIterator[None]:
        """Open the store of tokens and handles."""
        self._live.pins = Pins(await self.services.open_store("native", LIMITS))
        yield

    def routes(self) -> list[web.RouteDef]:
        paths = [
            r"/{version:v1(?:beta|alpha)}/{tail:.+}",
            r"/{kind:upload|download}/{version:v1(?:beta|alpha)?}/{tail:.+}",
            GOOGLE + r"/v1/{tail:.+}",
        ]
        methods = ("GET", "POST", "PATCH", "DELETE")
        ways = [web.route(method, path, self.forward) for path in paths for method in methods]
        # the files of an environment are uploaded with PUT
        uploads = web.put(paths[1], self.forward)
        return [web.get(live.PATH, self._live.serve, allow_head=False), uploads, *ways]

    @cached_property
    def _checking(self) -> list[Plugin]:
        """Plugins that refuse methods."""
        plugins = self.services.plugins.values()
        return [plugin for plugin in plugins if type(plugin).check_native is not Plugin.check_native]

    def error_formats(self) -> Mapping[Family, ErrorRenderer]:
        return {"google": render_error}

    async def forward(self, request: web.Request) -> web.StreamResponse:
        """Pass one request on, and its answer back."""
        path = request.rel_url.raw_path.removeprefix(GOOGLE)
        request[ERROR_RENDERER] = render_error
        request[KEY_HEADERS] = _with_query_key(request)
        if wants_websocket(request):
            if path.endswith("/interactions/live") and request.method == "GET":
                return await self._live.serve(request)
            raise unserved(request, frozenset({"POST"} if model_of(path) else ()))
        check_path(path)
        if path.startswith("/upload/") and not _has_key(request[KEY_HEADERS]):
            await self._identify_by_upload(request)
        surface = interactions.METHOD if creates_interaction(request.method, path) else "native"
        entry = self.services.enter(request, surface, reads_body=not _is_upload(request))
        try:
            async with entry as context:
                return await self._exchange(request, path, context)
        except GatewayError:
            report = request[CONTEXT].report
            if report.model is None:  # refused before the call was known
                report.model = model_of(path) or None
            raise

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
        if self._checking:
            shown = shown_path(path, request.rel_url.query.items())
            for plugin in self._checking:
                plugin.check_native(request.method, shown, context)
        client, accounting = context.client, self.services.exchange.accounting
        headers, affinity = passed_on(request.headers), b""
        timeout = self.services.config.connections.body_timeout
        body, model = await _body(request, headers, timeout), model_of(path)
        context.report.describe(model or None, None)
        if context.hooks is not None and isinstance(body, bytes):
            body = await hooked_body(body, path, model, context, context.hooks)
        query = _query(request, client, headers)
        if client.id:
            received = NativeRequest(request.method, path, query, request.headers, body)
            owners, stores = self.services.file_owners, self._stores
            call = await native_call(received, client, owners, accounting.model_output, stores=stores)
            context.report.describe(call.model or None, None, notes=list(call.dropped))
            if "Content-Length" in headers and body is call.body:
                call.headers["Content-Length"] = headers["Content-Length"]
            affinity = client.scope.encode() if call.creates else b""
        else:
            text = _sent_query(request, query)
            if creates_interaction(request.method, path):
                model = interactions.answering(body)
            call = NativeCall(body, text, headers, model, _own_cost(body, model))
            context.report.describe(model or None, None)
        target = Target(
            call.model, call.cost, affinity, call.project, price_factor=call.price_factor, tier=call.tier,
            feature=call.feature, own_deadline=_DEADLINE in call.headers, gemini_only=not on_vertex(path, call.model),
        )  # fmt: skip
        relay = Relay(request)
        try:
            # then it is sent once more, except for what Google may have created, such as a batch or an interaction
            with suppress(*(() if is_sent_once(request.method, path) else (UpstreamDropped,))):
                return await self._attempt(request, path, context, call, target, relay)
            return await self._attempt(request, path, context, call, target, relay)
        except GatewayError as error:
            if not relay.begun:
                raise
            return await relay.fail(error)
        except asyncio.CancelledError as cancelled:
            reason = of_cancellation(cancelled)
            if reason is None or not relay.begun:
                raise
            return await relay.fail(reason)

    async def _attempt(
        self,
        request: web.Request,
        path: str,
        context: RequestContext,
        call: NativeCall,
        target: Target,
        relay: Relay,
    ) -> web.StreamResponse:
        """Make one attempt, and another in each project on Vertex AI that does not serve the model.

        Raises GatewayError; a hook's refusal when the attempt has ended, which has not failed.
        """
        exchange = self.services.exchange
        while True:
            accounting = exchange.accounting
            if call.creates and call.tier == "batch" and accounting.ledger is not None:
                call = structs.replace(call, ledger=BatchLedger(accounting.ledger))
                accounting = structs.replace(accounting, ledger=call.ledger)
            try:
                async with open_attempt(accounting, context, target) as attempt:
                    response = await self._relay(request, path, context, call, attempt, relay)
            except GatewayError as error:
                is_elsewhere = (
                    error.unserved and exchange.accounting.probe_pool(error, context.client, target)[0]
                )
                if relay.begun or not is_elsewhere:
                    raise
                continue
            if relay.refusal is not None:
                raise relay.refusal
            return response

    async def _relay(
        self,
        request: web.Request,
        path: str,
        context: RequestContext,
        call: NativeCall,
        attempt: Attempt,
        relay: Relay,
    ) -> web.StreamResponse:
        """Make one attempt, and pass its answer on."""
        owners, scope = self.services.file_owners, context.client.scope
        url = f"{path}?{call.query}" if call.query else path
        with await self.services.exchange.forward(
            attempt, request.method, url, call.headers, call.body
        ) as answer:
            if not 200 <= answer.status < 600:
                raise UpstreamError(
                    f"The upstream answered with the status {answer.status}, which is not HTTP's.",
                    code="upstream_bad_response",
                )
            if answer.status >= 400:
                return _refusal(answer, await answer.refusal(), issued=bool(context.client.id))
            if answer.status >= 300 and "Location" in answer.headers:
                return await self._redirect(request, answer, attempt)
            if call.deletes:
                await owners.forget(scope, call.deletes, time())
            if UPLOAD_URL in answer.headers:
                upload, project = upload_id(answer.headers[UPLOAD_URL]), context.report.project or ""
                await owners.begin(scope, upload, project, time())
            if call.token is not None:
                project = context.report.project or ""
                body = await self._live.minted(await answer.whole(), call.token, context.client, project)
                return web.Response(body=body, status=answer.status, headers=returned(answer.headers, ""))
            if call.creates:
                return await self._answer_creation(request, answer, context, attempt, call)
            if call.reads_batch and answer.status == 200:
                return await self._answer_batch(answer, call, relay, context)
            if call.lists and context.client.rules.models:
                data = allowed_models(await answer.whole(), context.client.rules.allows)
                return web.Response(body=data, status=answer.status, headers=returned(answer.headers, ""))
            return await self._answer(path, answer, call, attempt, relay, context)

    async def _answer(
        self,
        path: str,
        answer: Forwarded,
        call: NativeCall,
        attempt: Attempt,
        relay: Relay,
        context: RequestContext,
    ) -> web.StreamResponse:
        """Pass an answer on, and count the tokens of a 200, also of one that breaks off."""
        usage: UsageReader | InteractionReader
        if context.surface == interactions.METHOD:
            usage = InteractionReader()
        else:
            candidates = 0 if call.method in _EMBEDDINGS else call.candidates
            usage = UsageReader(answer.headers.get("Content-Type", ""), candidates)
        complete = False
        try:
            hooks = context.hooks
            if hooks is None or not hooks.reads_answers or answer.status != 200 or not generates(path):
                keep = (
                    partial(self._keep_interaction, context) if call.stores and answer.status == 200 else None
                )
                response = await relay.send(answer, usage, keep)
                complete = True
                return response
            hooked = HookedAnswer(hooks, call.model, lambda: usage.counts, context)
            response = await relay.send_hooked(answer, usage, hooked)
            complete = relay.is_read
            return response
        finally:  # also when the client disconnects: Google bills what it has counted
            if call.model and answer.status == 200:
                counts = usage.close() if complete else usage.counts
                attempt.count(counts, whole=usage.is_counted, version=usage.version, service_tier=usage.tier)
                self.services.exchange.accounting.note_version(call.model, usage.version, context.report)
                if usage.failure is not None:
                    attempt.fail(usage.failure)

    async def _answer_batch(
        self, answer: Forwarded, call: NativeCall, relay: Relay, context: RequestContext
    ) -> web.StreamResponse:
        """Pass a batch on. The first time that it has ended, charge its cost."""
        owners, client, name = self.services.file_owners, context.client, call.reads_batch
        row = open_row(await owners.noted(client.scope, name, time()))
        reader = BatchReader(context.memory.take) if row is not None else UsageReader("")
        response = await relay.send(answer, reader)
        if row is not None and isinstance(reader, BatchReader):
            responses = await offload(reader.size > HEAVY_ANSWER, reader.responses)
            if responses is not None:
                await settle(row, responses, client, self.services.exchange.accounting)
                await owners.note(client.scope, name, "", time())
        return response

    async def _keep_interaction(self, context: RequestContext, identifier: str) -> None:
        """Store which client an interaction is of."""
        names, project = [f"interactions/{identifier}"], context.report.project or ""
        await self.services.file_owners.keep(context.client.scope, names, project, time())

    async def _redirect(self, request: web.Request, answer: Forwarded, attempt: Attempt) -> web.Response:
        """Send the client on through the gateway. Raises UpstreamError for another host, which would get the key."""
        base = self.services.config.upstream.base_url
        location = redirected(answer.headers["Location"], base, origin(request), attempt.key)
        if not location:
            raise UpstreamError("The upstream redirects to another host.", code="upstream_bad_response")
        headers = returned(answer.headers, "")
        headers["Location"] = location
        return web.Response(body=await answer.whole(), status=answer.status, headers=headers)

    async def _answer_creation(
        self,
        request: web.Request,
        answer: Forwarded,
        context: RequestContext,
        attempt: Attempt,
        call: NativeCall,
    ) -> web.Response:
        """Return the answer to a creation. The owner is stored before the client gets the name."""
        data = await answer.whole()
        names, usage = created(data)
        project, scope = context.report.project or "", context.client.scope
        if call.ledger is not None and names:
            await self.services.file_owners.note(scope, names[0], call.ledger.created(), time())
        await self.services.file_owners.keep(scope, names, project, time())
        if context.report.model:
            attempt.count(usage, whole=bool(usage.total) or (call.ledger is not None and bool(names)))
        return web.Response(
            body=data, status=answer.status, headers=returned(answer.headers, origin(request))
        )


async def _body(request: web.Request, headers: CIMultiDict[str], timeout: float) -> Payload:  # noqa: ASYNC109
    """Return an upload as a stream of the stated length, any other body whole. Raises TooLarge.

    `timeout` is for a client that uploads slowly; see `read_pieces`.
    """
    if not request.body_exists:
        return None
    check_encoding(request, readable=())  # the body is passed on as it is
    if not _is_upload(request):
        return await read_bytes(request) or None
    if not request.can_read_body:
        return None
    if request.content_length is not None:
        headers["Content-Length"] = str(request.content_length)
    return read_pieces(request, timeout)


def _is_upload(request: web.Request) -> bool:
    """Return whether the body is passed on as it arrives. Google takes files of 2 GB, which are never held whole."""
    return request.path.startswith("/upload/")


def _refusal(answer: Forwarded, data: bytes, *, issued: bool) -> web.Response:
    """Return Google's error as it is, but for keys that it repeats. Raises GatewayError for an issued key's client."""
    if issued:
        raise from_response(answer.status, data)
    body = scrub(data.decode("latin-1")).encode("latin-1")
    return web.Response(body=body, status=answer.status, headers=returned(answer.headers, ""))


def _has_key(headers: Mapping[str, str]) -> bool:
    return any(name in headers for name in ("Authorization", "x-api-key", "x-goog-api-key"))


def _with_query_key(request: web.Request) -> Mapping[str, str]:
    """Return the headers, with the query's key as x-goog-api-key: Google's API takes it there, too.

    Raises BadRequest for a key that is not the header's.
    """
    own = request.headers.get("x-goog-api-key", "")
    key = google_key(request.rel_url.query.items(), own)
    if key == own:
        return request.headers
    headers = CIMultiDict(request.headers)
    headers["x-goog-api-key"] = key
    return headers


def _query(request: web.Request, client: Client, headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the query without keys. Raises Unauthorized and BadRequest for a credential elsewhere in the URL."""
    parameters = list(request.rel_url.query.items())
    query = without_keys(parameters)
    checked = query if client.id else parameters
    refuse_issued_keys((*headers.values(), *(text for pair in checked for text in pair)))
    refuse_credentials(parameters, client.key)
    refuse_path(request.rel_url.raw_path, client.key)
    return query


def _sent_query(request: web.Request, query: list[tuple[str, str]]) -> str:
    """Return the query string for Google: the client's own spelling, without keys. `query` has no keys either."""
    url = request.rel_url
    text = text_without_keys(url.raw_query_string, url.query.items())
    return url.with_query(query).raw_query_string if text is None else text


def _own_cost(body: Payload, model: str) -> CostEstimate:
    """Return an estimate for a client with a Gemini key of its own, who has no budget."""
    return CostEstimate(len(body) if model and isinstance(body, bytes) else 0)
