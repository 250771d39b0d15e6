"""Anthropic's batches: `/v1/messages/batches`."""

import secrets
from asyncio import to_thread
from collections.abc import Sequence
from time import time
from typing import TYPE_CHECKING, Any, Protocol

from aiohttp import web

from gateway.conversation.field_policy import review
from gateway.conversation.notes import Notes
from gateway.errors import BadRequest, NotFound
from gateway.exchange.context import RequestContext
from gateway.exchange.incoming.request_body import read_body
from gateway.exchange.offload import offload
from gateway.exchange.replies.delivery import answer_headers, json_response
from gateway.exchange.replies.unserved import ERROR_FORMATS, unserved
from gateway.plugin import Entry, Services
from gateway.plugins.batches.anthropic_response import batch_list, batch_object, deleted
from gateway.plugins.batches.fields import MESSAGE_BATCH
from gateway.plugins.batches.response import note_headers
from gateway.plugins.batches.wire import encode
from gateway.policy.clients.kept_batches import ENDED, Batch, BatchPage, Details
from gateway.store.disk_space import check_space

if TYPE_CHECKING:
    from gateway.exchange.batches.engine import Engine
    from gateway.plugins.batches.anthropic_request import Entry as BatchEntry
    from gateway.plugins.batches.anthropic_request import ListQuery
    from gateway.plugins.batches.anthropic_surface import MessageSurface

_LIFE = 48 * 3600
"""Seconds after which Google gives a batch up (https://ai.google.dev/gemini-api/docs/batch-api)."""
_PIECE = 256 * 1024


class BatchKeeper(Protocol):
    """The plugin."""

    name: str
    services: Services
    config: Any

    async def engine(self) -> "Engine": ...
    def messages(self, engine: "Engine") -> "MessageSurface": ...
    async def looked_at(self, engine: "Engine", batch: Batch, context: RequestContext) -> Batch: ...
    async def stop(self, engine: "Engine", batch: Batch, context: RequestContext) -> None: ...


class MessageBatches:
    """The routes of Anthropic's batches."""

    def __init__(self, plugin: BatchKeeper) -> None:
        self._plugin = plugin

    def routes(self) -> list[web.RouteDef]:
        path = "/v1/messages/batches"
        return [
            web.post(path, self.create),
            web.get(path, self.list_batches),
            web.get(path + "/{id}", self.show),
            web.delete(path + "/{id}", self.delete),
            web.post(path + "/{id}/cancel", self.cancel),
            web.get(path + "/{id}/results", self.results),
        ]

    async def create(self, request: web.Request) -> web.Response:
        """Create a batch of the requests in the body."""
        from gateway.plugins.batches.anthropic_request import check, decode_create

        async with self._enter(request) as context:
            data = await read_body(request)
            notes = Notes(strict=self._plugin.services.strict)
            review(data.fields, MESSAGE_BATCH, notes)
            entries = (await offload(data.heavy, data.decode, decode_create)).requests
            await offload(data.heavy, check, entries, self._plugin.config.lines)
            batch = await self._added(entries, context)
            context.report.describe(None, None, notes=notes.distinct())
        shown = batch_object(batch, origin(request))
        return json_response(encode(shown), answer_headers("", notes.distinct()) | _id_of(context))

    async def _added(self, entries: "Sequence[BatchEntry]", context: RequestContext) -> Batch:
        """Store a new batch, and begin it. Raises GatewayError."""
        from gateway.plugins.batches.anthropic_request import ENDPOINT, write_lines

        plugin, client, now = self._plugin, context.client, int(time())
        engine = await plugin.engine()
        batch = Batch(
            secrets.token_hex(12), client.scope, client.id, "anthropic", ENDPOINT, now, now + _LIFE,
            total=len(entries), details=Details(request_id=context.request_id),
        )  # fmt: skip
        path = engine.store.input(batch)
        await to_thread(check_space, path.parent, 0)
        await to_thread(write_lines, path, entries)
        try:
            await plugin.messages(engine).admit(batch, context)
            await to_thread(engine.store.add, batch, plugin.config.count)
        except BaseException:
            await to_thread(path.unlink, missing_ok=True)
            raise
        plugin.services.count(plugin.name, "created")
        if not plugin.services.draining():
            engine.start(batch, client)
        return batch

    async def list_batches(self, request: web.Request) -> web.Response:
        """Answer with a page of the client's batches."""
        from gateway.plugins.batches.anthropic_request import list_query

        async with self._enter(request, reads_body=False) as context:
            query = list_query(request.query)
            batches, has_more = await self._page(query, context)
        shown = batch_list(batches, origin(request), has_more=has_more)
        return json_response(encode(shown), _id_of(context))

    async def _page(self, query: "ListQuery", context: RequestContext) -> tuple[list[Batch], bool]:
        """Return a page, the newest first, and whether there is more in its direction."""
        engine, beyond = await self._plugin.engine(), None
        if query.beyond:
            beyond = (await self._found(engine, query.beyond, context)).number
        page = BatchPage(query.limit + 1, beyond, query.up)
        batches = await to_thread(engine.store.page, context.client.scope, "anthropic", page)
        kept = batches[: query.limit]
        return kept[::-1] if query.up else kept, len(batches) > query.limit

    async def show(self, request: web.Request) -> web.Response:
        """Answer with a batch. One of a client's own key is looked at now."""
        async with self._enter(request, reads_body=False) as context:
            engine = await self._plugin.engine()
            batch = await self._found(engine, request.match_info["id"], context)
            if not batch.client and batch.status not in ENDED:
                batch = await self._plugin.looked_at(engine, batch, context)
        return json_response(
            encode(batch_object(batch, origin(request))), _id_of(context) | note_headers(batch)
        )

    async def cancel(self, request: web.Request) -> web.Response:
        """Cancel a batch. Requests that are answered already keep their answers."""
        async with self._enter(request, reads_body=False) as context:
            engine = await self._plugin.engine()
            batch = await self._found(engine, request.match_info["id"], context)
            if batch.status in ENDED:
                raise BadRequest(
                    "This message batch has ended, so it cannot be canceled.", code="message_batch_ended"
                )
            await self._plugin.stop(engine, batch, context)
        return json_response(
            encode(batch_object(batch, origin(request))), _id_of(context) | note_headers(batch)
        )

    async def delete(self, request: web.Request) -> web.Response:
        """Delete a batch that has ended, with its results."""
        async with self._enter(request, reads_body=False) as context:
            engine, name = await self._plugin.engine(), request.match_info["id"]
            batch = await self._found(engine, name, context)
            if batch.status not in ENDED:
                raise BadRequest(
                    "A message batch can only be deleted once it has ended: cancel it first.",
                    code="batch_not_ended",
                )
            await to_thread(engine.store.delete, batch)
        return json_response(encode(deleted(name)), _id_of(context))

    async def results(self, request: web.Request) -> web.StreamResponse:
        """Answer with the results of a batch that has ended, one on each line."""
        async with self._enter(request, reads_body=False) as context:
            engine = await self._plugin.engine()
            batch = await self._found(engine, request.match_info["id"], context)
            if batch.status not in ENDED:
                raise BadRequest(
                    "This message batch has no results before it has ended.", code="batch_not_ended"
                )
            try:
                source = await to_thread(engine.store.results(batch).open, "rb")
            except FileNotFoundError:
                raise NotFound(
                    "The results of this message batch are not kept.", code="results_not_kept"
                ) from None
            response = web.StreamResponse(headers={"Content-Type": "application/x-jsonl"} | _id_of(context))
            with source:
                await response.prepare(request)
                while data := await to_thread(source.read, _PIECE):
                    await response.write(data)
            await response.write_eof()
            return response

    def _enter(self, request: web.Request, *, reads_body: bool = True) -> Entry:
        """Admit a request; errors are in Anthropic's format. Raises NotFound where Messages are not served."""
        services = self._plugin.services
        if "messages" not in services.plugins:
            raise unserved(request)
        errors = request.app[ERROR_FORMATS].get("anthropic")
        return services.enter(request, "batches", errors, reads_body=reads_body)

    async def _found(self, engine: "Engine", name: str, context: RequestContext) -> Batch:
        """Return a client's batch. Raises NotFound."""
        from gateway.plugins.batches.anthropic_request import identifier, no_batch

        batch = await to_thread(engine.store.find, context.client.scope, "anthropic", identifier(name))
        if batch is None:
            raise no_batch(name)
        return batch


def origin(request: web.Request) -> str:
    """Return scheme and host of the gateway as the client sees it, behind a proxy from X-Forwarded-Proto."""
    scheme = request.headers.get("X-Forwarded-Proto", request.scheme)
    return f"{scheme if scheme in ('http', 'https') else request.scheme}://{request.host}"


def _id_of(context: RequestContext) -> dict[str, str]:
    return {"request-id": context.request_id}
